package directory

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Zip packs fields as they are; Unzip is its inverse.
func Zip(fields []byte) []byte {
	p := newPacker(0)
	p.fields = fields
	packed, _ := p.done()
	return packed
}

func Unzip(packed []byte) []byte {
	r, err := zstd.NewReader(bytes.NewReader(packed[:len(packed)-4]))
	if err != nil {
		return nil
	}
	defer r.Close()
	fields, _ := io.ReadAll(r)
	return fields
}
