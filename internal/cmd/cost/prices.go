package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// price is one line of a price list.
type price struct {
	Key  string  `json:"key"` // one of keys
	What string  `json:"what"`
	Per  string  `json:"per"` // the unit
	Each float64 `json:"price"`
	// Seen is when the price was last seen in writing. Empty: it is from memory.
	Seen string `json:"seen"`
}

// prices is a price list: Microsoft's public one, pay as you go, or yours.
type prices struct {
	Currency string  `json:"currency"`
	Region   string  `json:"region"`
	Prices   []price `json:"prices"`
}

// keys are what the model asks a price of.
var keys = []string{
	"baseline", "alwaysReady", "onDemand", "executions", "table", "queue", "blobWrite", "blobOther", "vault", "logs",
	"alert5", "alert15", "endpoint", "zone", "nat", "premium",
}

//go:embed prices.json
var publicList []byte

// pricesIn reads the price list in a file of the form of prices.json, or the public one when
// there is no file. A list that lacks a price, or has one that nothing asks for, is refused.
func pricesIn(file string) (p prices, err error) {
	text := publicList
	if file != "" {
		if text, err = os.ReadFile(file); err != nil {
			return p, err
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, fmt.Errorf("%s: %w", file, err)
	}
	var found []string
	for _, line := range p.Prices {
		if line.Each < 0 || !slices.Contains(keys, line.Key) || slices.Contains(found, line.Key) {
			return p, fmt.Errorf("%s: price %q is negative, there twice, or nothing asks for it", file, line.Key)
		}
		found = append(found, line.Key)
	}
	for _, key := range keys {
		if !slices.Contains(found, key) {
			return p, fmt.Errorf("%s: price %q is missing", file, key)
		}
	}
	return p, nil
}

// of is the price of something for one unit.
func (p prices) of(key string) float64 {
	return p.Prices[slices.IndexFunc(p.Prices, func(line price) bool { return line.Key == key })].Each
}
