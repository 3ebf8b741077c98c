package directory

import (
	"bytes"
	"compress/gzip"
	"io"
)

// Zip packs fields as they are; Unzip is its inverse.
func Zip(fields []byte) []byte {
	p := newPacker(0)
	p.fields = fields
	packed, _ := p.done()
	return packed
}

func Unzip(packed []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	fields, _ := io.ReadAll(r)
	return fields
}
