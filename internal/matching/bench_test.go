package matching_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"procallteams/internal/matching"
	"procallteams/internal/presence"
)

const benchmarkSize = 100_000

// tenant returns accounts and users whose every property is filled, and a file
// for a tenth of them. Fitting says by what person i fits, of kinds.
func tenant(size int, fitting func(i int) string) ([]matching.Account, []matching.User, string) {
	accounts, users := make([]matching.Account, size), make([]matching.User, size)
	var file strings.Builder
	for i := range size {
		a := matching.Account{
			ID: presence.UserID(fmt.Sprintf("%08x-7ef5-42da-9069-724602c31f6b", i*7919%size)), UPN: fmt.Sprintf("User%05d@contoso.com", i), Mail: fmt.Sprintf("First.Last%05d@contoso.com", i),
			OnPremisesUPN: fmt.Sprintf("User%05d@corp.contoso.com", i), SAM: fmt.Sprintf("sam%05d", i), Domain: "corp.contoso.com", ImmutableID: immutable(i + 1), SID: fmt.Sprintf("S-1-5-21-1004336348-1177238915-682003330-%d", i),
			Proxies: []string{fmt.Sprintf("SMTP:First.Last%05d@contoso.com", i), fmt.Sprintf("smtp:User%05d@contoso.onmicrosoft.com", i), fmt.Sprintf("SIP:First.Last%05d@contoso.com", i)},
		}
		u := matching.User{
			ID: fmt.Sprintf("user-%d", i), Name: fmt.Sprintf("Other%05d@domain.local", i), UPN: fmt.Sprintf("Other%05d@corp.local", i), SAM: fmt.Sprintf(`OTHER\other%05d`, i),
			ObjectGUID: object(size + i + 1), ObjectSID: fmt.Sprintf("S-1-5-21-1-2-3-%d", i), Mail: fmt.Sprintf("other%05d@domain.local", i), SIP: fmt.Sprintf("sip:other%05d@domain.local", i),
		}
		switch fitting(i) {
		case "file":
			fmt.Fprintf(&file, "%s,%s\n", a.UPN, u.Name)
		case "guid":
			u.ObjectGUID = object(i + 1)
		case "sid":
			u.ObjectSID = a.SID
		case "upn":
			u.Name = strings.ToLower(a.UPN)
		case "onprem":
			u.UPN = strings.ToLower(a.OnPremisesUPN)
		case "sam":
			u.SAM = `CORP\` + a.SAM
		case "mail":
			u.SIP = "sip:" + a.Mail
		case "crowd":
			a.Mail, u.Mail = "info@contoso.com", "info@contoso.com"
		case "dead":
			fmt.Fprintf(&file, "info@d%d.example,%s\n", i, strings.ToUpper(u.Name))
			a.UPN = fmt.Sprintf("info@e%d.example", i)
		}
		accounts[i], users[i] = a, u
	}
	return accounts, users, file.String()
}

// cpu returns the processor time that the process has used. Other work on the
// machine stretches the time on the clock, not this.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkMatch100k measures tenants of 100,000 on each side. The budget is 2 s
// of CPU and 200 MiB, of which B/op is the upper bound.
func BenchmarkMatch100k(b *testing.B) {
	for _, kind := range []string{"mixed", "guid", "upn", "nothing", "crowd", "dead"} {
		b.Run(kind, func(b *testing.B) {
			accounts, users, file := tenant(benchmarkSize, func(i int) string {
				if kind == "mixed" {
					return []string{"file", "guid", "sid", "upn", "onprem", "sam", "mail", "nothing"}[i%8]
				}
				return kind
			})
			list := parse(b, file)
			b.ReportAllocs()
			var matched int
			before := cpu(b)
			for b.Loop() {
				matched = 0
				for _, v := range matching.Match(accounts, users, list).Accounts {
					if v.Outcome == matching.Matched {
						matched++
					}
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(matched), "matched")
		})
	}
	b.Run("names", func(b *testing.B) {
		accounts, _, file := tenant(benchmarkSize, func(int) string { return "file" })
		list := parse(b, file)
		b.ReportAllocs()
		for b.Loop() {
			matching.Match(accounts, nil, list)
		}
	})
}

func BenchmarkParse100k(b *testing.B) {
	_, _, file := tenant(benchmarkSize, func(int) string { return "file" })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := matching.Parse([]byte(file)); err != nil {
			b.Fatal(err)
		}
	}
}
