package directory_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
	"procallteams/internal/presence"
)

// stored is something with a stored form.
type stored interface{ Encode() ([]byte, error) }

func decodeTo[T stored](decode func([]byte) (T, error)) func([]byte) (stored, error) {
	return func(packed []byte) (stored, error) { return decode(packed) }
}

func everyForm() map[string]struct {
	value  stored
	decode func([]byte) (stored, error)
} {
	accounts, users := company()
	users.People[0].SIP, users.People[0].ObjectGUID, users.People[0].ObjectSID = "sip:ada@contoso.com", "{00112233-4455-6677-8899-aabbccddeeff}", "S-1-5-21-1"
	people := accounts.People
	people[0].OnPremisesUPN, people[0].SAM, people[0].Domain, people[0].ImmutableID, people[0].SID = "ada@domain.local", "ada", "domain.local", "AAEC", "S-1-5-21-1"
	people[6].Guest = true
	people[6].UPN = "what\x00nobody\x1eexpects\x1f\xff"
	list := listOf(&testing.T{}, "nobody@contoso.com,frida\nnone@contoso.com,none\n")
	d, report := directory.Compile(accounts, users, list, everyone, participation.Rules{Users: []string{"u1"}})
	return map[string]struct {
		value  stored
		decode func([]byte) (stored, error)
	}{
		"directory": {d, decodeTo(directory.Decode)}, "accounts": {accounts, decodeTo(directory.DecodeAccounts)},
		"users": {users, decodeTo(directory.DecodeUsers)}, "report": {report, decodeTo(directory.DecodeReport)},
	}
}

func TestWhatIsStoredIsReadAsItWas(t *testing.T) {
	for name, form := range everyForm() {
		packed, err := form.value.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := form.decode(packed)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(form.value, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s after storing (-want +got):\n%s", name, diff)
		}
	}
}

func TestWhatIsDamagedOrSomethingElseIsRefused(t *testing.T) {
	forms := everyForm()
	for name, form := range forms {
		packed, err := form.value.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, []byte("x"), packed[:len(packed)-3], packed[:12]} {
			if got, err := form.decode(bad); !errors.Is(err, directory.ErrForm) {
				t.Errorf("%s of %q = %+v, %v; want ErrForm", name, bad, got, err)
			}
		}
		for other, as := range forms {
			if _, err := as.decode(packed); other != name && !errors.Is(err, directory.ErrForm) {
				t.Errorf("%s read as %s: %v", name, other, err)
			}
		}
	}
}

// FuzzStored holds that no blob makes a reader panic or use up memory.
func FuzzStored(f *testing.F) {
	for _, form := range everyForm() {
		packed, err := form.value.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(directory.Unzip(packed))
	}
	readers := []func([]byte) (stored, error){
		decodeTo(directory.Decode), decodeTo(directory.DecodeAccounts), decodeTo(directory.DecodeUsers), decodeTo(directory.DecodeReport),
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		packed := directory.Zip(fields)
		for _, read := range readers {
			value, err := read(packed)
			if err != nil {
				continue
			}
			if _, err := value.Encode(); err != nil {
				t.Errorf("%T can't be stored again: %v", value, err)
			}
		}
	})
}

// crowd is n people on both sides.
func crowd(n int) (*directory.Accounts, *directory.Users) {
	accounts, users := make([]matching.Account, n), make([]matching.User, n)
	members := make([]presence.UserID, 0, n/2)
	for i := range n {
		id := presence.UserID(fmt.Sprintf("%08x-7ef5-42da-9069-724602c31f6b", i))
		upn := fmt.Sprintf("user%05d@contoso.com", i)
		accounts[i] = matching.Account{ID: id, UPN: upn, Mail: upn, Proxies: []string{"SMTP:" + upn, fmt.Sprintf("smtp:u%d@contoso.onmicrosoft.com", i)}}
		users[i] = matching.User{ID: fmt.Sprintf("uc-%06d", i), Name: fmt.Sprintf("user%05d@domain.local", i), UPN: upn, Mail: upn, Groups: []string{"Staff", fmt.Sprintf("Team %d", i%100)}}
		if i%2 == 0 {
			members = append(members, id)
		}
	}
	return directory.NewAccounts(accounts, map[string]directory.Members{"g": {Name: "half", Accounts: members}}), directory.NewUsers(users)
}

var half = participation.Rules{Groups: []participation.Group{{Source: participation.Entra, ID: "g"}}, ExcludedGroups: []participation.Group{{Source: participation.UCServer, ID: "team 7"}}}

func BenchmarkDecode100k(b *testing.B) {
	accounts, users := crowd(100_000)
	d, _ := directory.Compile(accounts, users, matching.List{}, everyone, half)
	packed, err := d.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(packed)), "blob-bytes")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := directory.Decode(packed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompile100k measures what an edit costs, reading and storing blobs apart:
// unpack both sides, match, decide, pack the directory and its report.
func BenchmarkCompile100k(b *testing.B) {
	accounts, users := crowd(100_000)
	packedAccounts, err := accounts.Encode()
	if err != nil {
		b.Fatal(err)
	}
	packedUsers, err := users.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(packedAccounts)+len(packedUsers)), "blob-bytes")
	b.ReportAllocs()
	for b.Loop() {
		accounts, err := directory.DecodeAccounts(packedAccounts)
		if err != nil {
			b.Fatal(err)
		}
		users, err := directory.DecodeUsers(packedUsers)
		if err != nil {
			b.Fatal(err)
		}
		d, report := directory.Compile(accounts, users, matching.List{}, everyone, half)
		if _, err := d.Encode(); err != nil {
			b.Fatal(err)
		}
		if _, err := report.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
