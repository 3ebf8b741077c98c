package telephony

import (
	"bytes"
	"testing"
)

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"epoch":1,"items":[{"user":"ada","state":"busy","reasons":["call"],"seq":1}]}`), false)
	f.Add([]byte(`{"epoch":9007199254740991,"asOfSeq":0,"items":[null,[],"x",{"raw":1}]}`), true)
	f.Add([]byte(`{"epoch":1,"epoch":2,"items":[],"items":[{}]}`), false)
	f.Add([]byte(`{"EPOCH":1e0,"Items":[[[[]]]]}`), false)
	f.Fuzz(func(t *testing.T, text []byte, complete bool) {
		in, err := decode(text)
		if err == nil {
			err = in.check(complete)
		}
		if err != nil {
			if len(err.Error()) > 500 {
				t.Errorf("the error says %d bytes", len(err.Error()))
			}
			return
		}
		if *in.Epoch < 0 || *in.Epoch > maxInteger || complete && (*in.AsOfSeq < 0 || *in.AsOfSeq > maxInteger) {
			t.Errorf("accepted %s", text)
		}
		if n := len(in.Items.entries); n > bytes.Count(text, []byte(","))+1 {
			t.Errorf("%d items of %s", n, text)
		}
		for _, entry := range in.Items.entries {
			if entry.Fault == nil && entry.Item.State == "" {
				t.Errorf("an item without a state and without a fault: %s", text)
			}
		}
	})
}
