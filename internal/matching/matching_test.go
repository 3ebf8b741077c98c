package matching_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"procallteams/internal/matching"
)

func utf16(t *testing.T, text string) string {
	coded, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return coded
}

func TestFilesAsPeopleReallySaveThem(t *testing.T) {
	const upn, name = "mmu@contoso.com", "max@domain.local"
	for _, row := range []struct {
		name, file, warning string
	}{
		{"as documented", "mmu@contoso.com,max@domain.local", ""},
		{"Windows line ends, blank lines", "\r\nmmu@contoso.com,max@domain.local\r\n\r\n", ""},
		{"the original's column titles", "Azure AD username,UCServer username\nmmu@contoso.com,max@domain.local\n", ""},
		{"byte order mark", "\xef\xbb\xbfmmu@contoso.com,max@domain.local\r\n", "byte order mark"},
		{"byte order mark and quotes", "\xef\xbb\xbf\"mmu@contoso.com\",\"max@domain.local\"", "byte order mark"},
		{"UTF-16", utf16(t, "mmu@contoso.com;max@domain.local\r\n"), "UTF-16"},
		{"semicolons of a German Excel", "mmu@contoso.com;max@domain.local", "a semicolon"},
		{"tabs", "mmu@contoso.com\tmax@domain.local", "a tab"},
		{"an announced separator", "sep=;\r\nmmu@contoso.com;max@domain.local\r\n", "sep=;"},
		{"no-break space at the end", "mmu@contoso.com\u00a0,max@domain.local", "U+00A0 at the end"},
		{"blank at the beginning", " mmu@contoso.com,max@domain.local", "U+0020 at the beginning"},
		{"zero-width space at the end", "mmu@contoso.com,max@domain.local\u200b", "U+200B at the end"},
	} {
		t.Run(row.name, func(t *testing.T) {
			list, err := matching.Parse([]byte(row.file))
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := list.Name(upn); !ok || got != name || list.Len() != 1 {
				t.Errorf("Name(%s) = %q, %t of %d", upn, got, ok, list.Len())
			}
			warned := false
			for _, w := range list.Warnings {
				warned = warned || strings.Contains(w.Text, row.warning)
			}
			if !warned && row.warning != "" || row.warning == "" && len(list.Warnings) > 0 {
				t.Errorf("warnings = %v; want %q", list.Warnings, row.warning)
			}
		})
	}
}

func TestFaultsRefuseTheWholeFile(t *testing.T) {
	for _, row := range []struct {
		name, file string
		line       int
		text       string
	}{
		{"one column", "a@contoso.com,a\nb@contoso.com\n", 2, "has 1 columns"},
		{"three columns", "a,b,c\n", 1, "has 3 columns"},
		{"empty name", "a@contoso.com,\n", 1, "UCServer user name is empty"},
		{"only invisible characters", "\u200b,x\n", 1, "Entra user name is empty"},
		{"two separators", "mmu@contoso.com;max@domain.local,x\n", 1, "two separators"},
		{"a user twice", "ada@contoso.com,ada\r\nbob@contoso.com,bob\r\nada@contoso.com,lovelace\r\n", 3, "already matched on line 1"},
		{"an open quotation mark", "a,b\n\"c,d\n", 2, "quotation mark"},
		{"a quotation mark that closes a hundred lines later", "a@contoso.com,\"a\n" + strings.Repeat("b@contoso.com,b\n", 100) + "c@contoso.com,c\"\n", 1, "quotation mark is probably missing"},
		{"a NUL byte", "a,b\nc\x00,d\n", 2, "U+0000"},
		{"line numbers count the separator line", "sep=,\na,b\nc\n", 3, "has 1 columns"},
	} {
		t.Run(row.name, func(t *testing.T) {
			list, err := matching.Parse([]byte(row.file))
			faults, ok := errors.AsType[*matching.FaultsError](err)
			if !ok || list.Len() != 0 {
				t.Fatalf("Parse() = %v, %v; want faults", list, err)
			}
			found := false
			for _, f := range faults.Faults {
				found = found || f.Line == row.line && strings.Contains(f.Text, row.text)
			}
			if !found {
				t.Errorf("faults = %v; want line %d: %s", faults.Faults, row.line, row.text)
			}
		})
	}
}

func TestAllFaultsAreNamedAtOnce(t *testing.T) {
	_, err := matching.Parse([]byte("a\nb,\nc,d\n"))
	if faults, ok := errors.AsType[*matching.FaultsError](err); !ok || len(faults.Faults) != 2 {
		t.Errorf("error = %v; want two faults", err)
	}
}

func TestWindows1252IsReadAndShown(t *testing.T) {
	var file strings.Builder
	for i := range 699 {
		file.WriteString("u" + strings.Repeat("x", i) + ",n" + strings.Repeat("y", i) + "\n")
	}
	file.WriteString("m\xfcller@contoso.com,mueller@domain.local\n")
	list, err := matching.Parse([]byte(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := list.Name("müller@contoso.com"); !ok || name != "mueller@domain.local" {
		t.Errorf("müller = %q, %t", name, ok)
	}
	if len(list.Warnings) != 1 || list.Warnings[0].Line != 700 || !strings.Contains(list.Warnings[0].Text, "byte FC as ü") {
		t.Errorf("warnings = %v", list.Warnings)
	}
}

func TestNamesAreCaseSensitiveAndMayRepeatOnTheRight(t *testing.T) {
	list, err := matching.Parse([]byte("BOB@CONTOSO.COM,bob\nbobby@contoso.com,bob\nO'Brien@contoso.com,o'brien\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := list.Name("bob@contoso.com"); ok {
		t.Error("another spelling was matched")
	}
	if name, ok := list.Name("O'Brien@contoso.com"); !ok || name != "o'brien" {
		t.Errorf("O'Brien = %q, %t", name, ok)
	}
	if len(list.Warnings) != 1 || list.Warnings[0].Line != 2 {
		t.Errorf("warnings = %v; want one about bob", list.Warnings)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("sep=;\r\n\"a\";b\r\n"))
	f.Add([]byte("\xff\xfea\x00,\x00b\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		list, err := matching.Parse(file)
		if err != nil && list.Len() != 0 {
			t.Error("a refused file has names")
		}
	})
}
