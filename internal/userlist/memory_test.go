package userlist

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// crowd is a list of n users as a directory has them.
func crowd(n int) string {
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, `{"id":"%032x","name":"first.last%06d@domain.local","upn":"first.last%06d@contoso.com","samAccountName":"CONTOSO\\fl%06d","mail":"first.last%06d@contoso.com","groups":["Everybody","Site %d"]}`+"\n", i, i, i, i, i, i%40)
	}
	fmt.Fprintf(&list, `{"count":%d}`, n)
	return list.String()
}

// Four million memberships may come: each group's name is in memory once.
func TestAGroupsNameIsKeptOnce(t *testing.T) {
	list, err := Read(strings.NewReader(crowd(1000)))
	if err != nil {
		t.Fatal(err)
	}
	first, last := list[0].Groups[0], list[999].Groups[0]
	if first != "Everybody" || unsafe.StringData(first) != unsafe.StringData(last) {
		t.Errorf("%q and %q are two texts", first, last)
	}
	// Of many lines each keeps its own texts, escapes undone.
	for i, u := range list {
		if u.ID != fmt.Sprintf("%032x", i) || u.Name != fmt.Sprintf("first.last%06d@domain.local", i) || u.SAM != fmt.Sprintf(`CONTOSO\fl%06d`, i) {
			t.Fatalf("user %d = %+v", i, u)
		}
	}
}

func BenchmarkRead100k(b *testing.B) {
	text := crowd(100_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
