package azurecli

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
)

// World is the Azure that scripts see: what a test writes down before, and reads
// afterwards.
type World struct {
	Cloud       string         `json:"cloud"`  // AzureCloud, AzureUSGovernment, AzureChinaCloud
	Tenant      string         `json:"tenant"` // empty when nobody is signed in
	Users       []user         `json:"users"`  // the first one is signed in
	Apps        []*application `json:"apps"`
	Principals  []principal    `json:"principals"`
	Assignments []assignment   `json:"assignments"`
	Sites       []*site        `json:"sites"`
	// Blobs names the file that was uploaded last, by account/container/name.
	Blobs map[string]string `json:"blobs"`
	// Refusals make the next calls of a command fail with their texts. Those of az rest have
	// its method behind them: "rest post".
	Refusals map[string][]string `json:"refusals"`
	// Made counts objects, for their ids.
	Made int `json:"made"`
}

type user struct {
	ID                string `json:"id"`
	UserPrincipalName string `json:"userPrincipalName"`
}

// refusal takes the next failure of a command that a test has ordered.
func (w *World) refusal(command string) (string, bool) {
	texts := w.Refusals[command]
	if len(texts) == 0 {
		return "", false
	}
	w.Refusals[command] = texts[1:]
	return texts[0], true
}

// change lets act change the world in the file AZ_WORLD.
func change(act func(w *World) error) error {
	file := os.Getenv("AZ_WORLD")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var w World
	if err := strict(text, &w); err != nil {
		return err
	}
	failure := act(&w)
	if text, err = json.MarshalIndent(w, "", "  "); err != nil {
		return err
	}
	return errors.Join(failure, os.WriteFile(file, append(text, '\n'), 0o600))
}

// strict reads JSON and refuses members that its type lacks: a misspelt one would
// let a test pass.
func strict(text []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// find returns the first element that fits, or nil.
func find[T any](all []*T, fits func(*T) bool) *T {
	if i := slices.IndexFunc(all, fits); i >= 0 {
		return all[i]
	}
	return nil
}
