package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

func TestRowsComeBackAsTheyWereWritten(t *testing.T) {
	s := fresh(t)
	want := Row{Partition: "tenant", Key: "row", Values: map[string]any{
		"text": "Müller's 100 % \"quote\"", "number": int64(1) << 62, "flag": true, "ratio": 0.5,
		"time": time.Date(2026, 11, 24, 3, 50, 49, 123456700, time.UTC), "bytes": []byte{0, 1, 255}, "empty": "",
	}}
	if _, err := s.Insert(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "tenant", "row")
	if err != nil || got.ETag == "" {
		t.Fatalf("Get() = %+v, %v", got, err)
	}
	if diff := cmp.Diff(want.Values, got.Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestConditionsOnRowsAreSentinels(t *testing.T) {
	s := fresh(t)
	row := Row{Partition: "p", Key: "k", Values: map[string]any{"n": int64(1)}}
	if _, err := s.Get(t.Context(), "p", "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of a missing row: %v", err)
	}
	if _, err := s.Merge(t.Context(), row); !errors.Is(err, ErrNotFound) {
		t.Errorf("Merge into a missing row: %v", err)
	}
	first, err := s.Insert(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Insert(t.Context(), row); !errors.Is(err, ErrExists) {
		t.Errorf("second Insert: %v", err)
	}
	row.ETag = first
	if _, err := s.Replace(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replace(t.Context(), row); !errors.Is(err, ErrChanged) {
		t.Errorf("Replace of an old version: %v", err)
	}
	if err := s.Delete(t.Context(), "p", "k", first); !errors.Is(err, ErrChanged) {
		t.Errorf("Delete of an old version: %v", err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), "p", "k", ""); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
}

func TestARangeYieldsOneTenantsRowsInOrder(t *testing.T) {
	s := fresh(t)
	for _, row := range []Row{{Partition: "a", Key: "now-2"}, {Partition: "a", Key: "now-1"}, {Partition: "a", Key: "other"}, {Partition: "b", Key: "now-1"}} {
		if _, err := s.Insert(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	for row, err := range s.Range(t.Context(), "a", NowPrefix, NowEnd) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, row.Partition+"/"+row.Key)
	}
	if diff := cmp.Diff([]string{"a/now-1", "a/now-2"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestATransactionIsAllOrNothing(t *testing.T) {
	s := fresh(t)
	etag, err := s.Insert(t.Context(), Row{Partition: "p", Key: "there", Values: map[string]any{"n": int64(1)}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Transact(t.Context(), []Write{
		{InsertRow, Row{Partition: "p", Key: "new"}},
		{InsertRow, Row{Partition: "p", Key: "there"}},
	})
	if !errors.Is(err, ErrExists) {
		t.Errorf("Transact() = %v; want ErrExists", err)
	}
	if _, err := s.Get(t.Context(), "p", "new"); !errors.Is(err, ErrNotFound) {
		t.Errorf("half of a refused transaction was stored: %v", err)
	}
	err = s.Transact(t.Context(), []Write{
		{InsertRow, Row{Partition: "p", Key: "new"}},
		{MergeRow, Row{Partition: "p", Key: "there", ETag: etag, Values: map[string]any{"m": int64(2)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	row, err := s.Get(t.Context(), "p", "there")
	if err != nil || row.Number("n") != 1 || row.Number("m") != 2 {
		t.Errorf("merged row = %+v, %v", row, err)
	}
}

func TestWhatTheServiceRefusesIsNotSent(t *testing.T) {
	s := fresh(t)
	for name, writes := range map[string][]Write{
		"nothing":            nil,
		"two partitions":     {{InsertRow, Row{Partition: "a", Key: "1"}}, {InsertRow, Row{Partition: "b", Key: "1"}}},
		"a value too big":    {{InsertRow, Row{Partition: "a", Key: "1", Values: map[string]any{"x": make([]byte, maxValue+1)}}}},
		"a text too big":     {{InsertRow, Row{Partition: "a", Key: "1", Values: map[string]any{"x": strings.Repeat("x", maxValue/2+1)}}}},
		"an entity too big":  {{InsertRow, Row{Partition: "a", Key: "1", Values: values(11)}}},
		"a slash in a key":   {{InsertRow, Row{Partition: "a", Key: "1/2"}}},
		"a key too long":     {{InsertRow, Row{Partition: "a", Key: strings.Repeat("k", 513)}}},
		"an unknown type":    {{InsertRow, Row{Partition: "a", Key: "1", Values: map[string]any{"x": 1}}}},
		"a blind overwrite":  {{ReplaceRow, Row{Partition: "a", Key: "1"}}},
		"too much in one go": big(5),
	} {
		if err := s.Transact(t.Context(), writes); err == nil || errors.Is(err, ErrExists) {
			t.Errorf("%s was sent: %v", name, err)
		}
	}
	if err := s.Transact(t.Context(), big(3)); err != nil {
		t.Errorf("a transaction below the limit: %v", err)
	}
}

// big returns n inserts of about the largest entity.
func big(n int) []Write {
	writes := make([]Write, n)
	for i := range writes {
		writes[i] = Write{InsertRow, Row{Partition: "big", Key: fmt.Sprint(n, "-", i), Values: values(10)}}
	}
	return writes
}

// values returns n values of the largest size.
func values(n int) map[string]any {
	m := map[string]any{}
	for i := range n {
		m[fmt.Sprint("x", i)] = make([]byte, maxValue)
	}
	return m
}

func TestKeysAreEncodedReversibly(t *testing.T) {
	s := fresh(t)
	seen := map[string]string{}
	for _, name := range []string{`CONTOSO\max`, `a/b`, `max#1@domain.local`, `a?b`, "a\u0085b", "a\tb", "a b", "a+b", "a=20b", "a%20b", "o'neill", "müller", strings.Repeat("ü", 80)} {
		key := EncodeKey(name)
		if other, taken := seen[key]; taken {
			t.Errorf("%q and %q share the key %q", name, other, key)
		}
		seen[key] = name
		if back, err := DecodeKey(key); err != nil || back != name {
			t.Errorf("DecodeKey(%q) = %q, %v; want %q", key, back, err, name)
		}
		if _, err := s.Insert(t.Context(), Row{Partition: "names", Key: key}); err != nil {
			t.Errorf("insert %q: %v", name, err)
		}
	}
}

func TestBlobsAreReplacedAsAWhole(t *testing.T) {
	s := fresh(t)
	if _, err := s.GetBlob(t.Context(), "tenant/x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("GetBlob of a missing blob: %v", err)
	}
	for _, text := range []string{"first, which is longer", "second"} {
		if err := s.PutBlob(t.Context(), "tenant/x", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.GetBlob(t.Context(), "tenant/x"); err != nil || string(got) != text {
			t.Errorf("GetBlob() = %q, %v; want %q", got, err, text)
		}
	}
	for range 2 {
		if err := s.DeleteBlob(t.Context(), "tenant/x"); err != nil {
			t.Errorf("DeleteBlob: %v", err)
		}
	}
}

func TestAnUnreachableStorageIsToldWithoutKeysOrAddresses(t *testing.T) {
	text := "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://127.0.0.1:1/a;TableEndpoint=http://127.0.0.1:1/a;"
	s, err := open(settings.Storage{ConnectionString: secret.New(text)}, nil, nil, "bridge", "bridge")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = s.Get(ctx, tenantA, "session-5e5510")
	if err == nil || strings.Contains(err.Error(), tenantA) || strings.Contains(err.Error(), "session-5e5510") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Get() = %v", err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Get(ended, tenantA, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get() of a caller who left = %v", err)
	}
}
