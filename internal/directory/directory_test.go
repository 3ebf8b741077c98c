package directory_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"procallteams/internal/directory"
	"procallteams/internal/presence"
)

type names map[string]string

func (n names) Name(upn string) (string, bool) { name, ok := n[upn]; return name, ok }

func list(users ...directory.User) iter.Seq2[directory.User, error] {
	return func(yield func(directory.User, error) bool) {
		for _, u := range users {
			if !yield(u, nil) {
				return
			}
		}
	}
}

func TestOnlyEnabledMembersWithANameOfTheirOwnTakePart(t *testing.T) {
	d, err := directory.Build(list(
		directory.User{ID: "5", UPN: "eve@contoso.com"},
		directory.User{ID: "1", UPN: "ada@contoso.com"},
		directory.User{ID: "2", UPN: "bob@contoso.com"},
		directory.User{ID: "3", UPN: "cleo@contoso.com", Disabled: true},
		directory.User{ID: "4", UPN: "dan_fabrikam.com#EXT#@contoso.com", Guest: true},
		directory.User{ID: "1", UPN: "ada@contoso.com"}, // repeated by the next page
		directory.User{ID: "6", UPN: "ADA@contoso.com"},
	), names{"ada@contoso.com": "ada.lovelace@domain.local", "bob@contoso.com": "bob@domain.local", "eve@contoso.com": "bob@domain.local"})
	if err != nil {
		t.Fatal(err)
	}
	want := []directory.Person{
		{ID: "1", UPN: "ada@contoso.com", Name: "ada.lovelace@domain.local", Standing: directory.TakesPart},
		{ID: "2", UPN: "bob@contoso.com", Name: "bob@domain.local", Standing: directory.Ambiguous},
		{ID: "3", UPN: "cleo@contoso.com", Name: "cleo@contoso.com", Standing: directory.Disabled},
		{ID: "4", UPN: "dan_fabrikam.com#EXT#@contoso.com", Name: "dan_fabrikam.com#EXT#@contoso.com", Standing: directory.Guest},
		{ID: "5", UPN: "eve@contoso.com", Name: "bob@domain.local", Standing: directory.Ambiguous},
		// The file's names are case-sensitive: another spelling is not matched.
		{ID: "6", UPN: "ADA@contoso.com", Name: "ADA@contoso.com", Standing: directory.TakesPart},
	}
	if diff := cmp.Diff(want, d.People); diff != "" {
		t.Errorf("people (-want +got):\n%s", diff)
	}
	if n := d.Count(directory.Ambiguous); n != 2 {
		t.Errorf("ambiguous = %d; want 2", n)
	}

	packed, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := directory.Decode(packed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, again); diff != "" {
		t.Errorf("after storing (-want +got):\n%s", diff)
	}
	if p, ok := again.Find("4"); !ok || p.Standing != directory.Guest {
		t.Errorf("Find(4) = %+v, %t", p, ok)
	}
	if _, ok := again.Find("7"); ok {
		t.Error("Find(7) found somebody")
	}
}

func TestAListThatBreaksOffIsNoDirectory(t *testing.T) {
	broken := errors.New("broken")
	_, err := directory.Build(func(yield func(directory.User, error) bool) {
		if yield(directory.User{ID: "1", UPN: "a"}, nil) {
			yield(directory.User{}, broken)
		}
	}, names{})
	if !errors.Is(err, broken) {
		t.Errorf("Build() = %v; want the list's error", err)
	}
}

func TestADamagedBlobIsRefused(t *testing.T) {
	packed, err := (&directory.Directory{People: []directory.Person{{ID: "1", UPN: "a", Name: "b", Standing: directory.TakesPart}}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, []byte("x"), packed[:len(packed)-3]} {
		if d, err := directory.Decode(bad); err == nil {
			t.Errorf("Decode(%q) = %+v; want an error", bad, d)
		}
	}
	_, err = (&directory.Directory{People: []directory.Person{{ID: "1", UPN: "a\x1e"}}}).Encode()
	if err == nil {
		t.Error("a name with a separator was stored")
	}
}

func BenchmarkDecode100k(b *testing.B) {
	d := &directory.Directory{}
	for i := range 100_000 {
		id := fmt.Sprintf("%08x-7ef5-42da-9069-724602c31f6b", i)
		upn := fmt.Sprintf("user%05d@contoso.com", i)
		d.People = append(d.People, directory.Person{ID: presence.UserID(id), UPN: upn, Name: upn, Standing: directory.TakesPart})
	}
	packed, err := d.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(packed)), "blob-bytes")
	for b.Loop() {
		if _, err := directory.Decode(packed); err != nil {
			b.Fatal(err)
		}
	}
}
