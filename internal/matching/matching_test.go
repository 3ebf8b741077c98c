package matching_test

import (
	"errors"
	"fmt"
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
		{"line ends of an old Macintosh", "\rmmu@contoso.com,max@domain.local\r", ""},
		{"byte order mark in the middle of the file", "\r\n\ufeffmmu@contoso.com,max@domain.local", "U+FEFF at the beginning"},
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
		{"one column", "a@contoso.com,a\nb@contoso.com\n", 2, "two columns, Entra user name and UCServer user name, but 1"},
		{"three columns", "a,b,c\n", 1, "two columns, Entra user name and UCServer user name, but 3"},
		{"empty name", "a@contoso.com,\n", 1, "UCServer user name is empty"},
		{"only invisible characters", "\u200b,x\n", 1, "Entra user name is empty"},
		{"two separators", "mmu@contoso.com;max@domain.local,x\n", 1, "two separators"},
		{"a user twice", "ada@contoso.com,ada\r\nbob@contoso.com,bob\r\nada@contoso.com,lovelace\r\n", 3, "already matched on line 1"},
		{"an open quotation mark", "a,b\n\"c,d\n", 2, "quotation mark"},
		{"a quotation mark that closes a hundred lines later", "a@contoso.com,\"a\n" + strings.Repeat("b@contoso.com,b\n", 100) + "c@contoso.com,c\"\n", 1, "quotation mark is probably missing"},
		{"a NUL byte", "a,b\nc\x00,d\n", 2, "U+0000"},
		{"a NUL byte in the line of an old Macintosh", "a,b\rc\x00,d\r", 2, "U+0000"},
		{"a control character above ASCII", "a,b\nc\u0085,d\n", 2, "U+0085"},
		{"a byte that Windows-1252 does not have", "a,b\nc\x81,d\xfc\n", 2, "can't be read"},
		{"a quotation mark that closes in the next line", "a@contoso.com,\"a\nb@contoso.com,b\"\n", 1, "goes on in the next line"},
		{"cut off within an umlaut", "m\u00fcller@contoso.com,mueller\nj\u00e4ger@contoso.com,j\xc3", 2, "the file was cut off"},
		{"two files put together", "m\u00fcller@contoso.com,mueller\nj\xe4ger@contoso.com,jaeger", 2, "byte E4 is not UTF-8"},
		{"a spreadsheet's formula in a third column", "a@contoso.com,a,=1+1\n", 1, "two columns, Entra user name and UCServer user name, but 3"},
		{"line numbers count the separator line", "sep=,\na,b\nc\n", 3, "two columns, Entra user name and UCServer user name, but 1"},
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

// A warning names line, column and code point: the column counts characters, with
// quotation marks and everything that can't be seen.
func TestWarningsPointAtTheCharacter(t *testing.T) {
	for _, row := range []struct {
		file string
		want matching.Warning
	}{
		{"a,b\nmmu@contoso.com\u00a0,max@domain.local", matching.Warning{Line: 2, Column: 16, Text: "U+00A0 at the end of the Entra user name was taken away"}},
		{" mmu@contoso.com,max", matching.Warning{Line: 1, Column: 1, Text: "U+0020 at the beginning of the Entra user name was taken away"}},
		{"ada@contoso.com      ,max", matching.Warning{Line: 1, Column: 16, Text: "U+0020 at the end of the Entra user name was taken away"}},
		{"müller,max\u200b@domain.local", matching.Warning{Line: 1, Column: 11, Text: "U+200B inside the UCServer user name can't be seen on a screen"}},
		{"mül\u00adler,max", matching.Warning{Line: 1, Column: 4, Text: "U+00AD inside the Entra user name can't be seen on a screen"}},
		{"\n\n\"m\"\"ü\",\"x\"\"\u200bm\"", matching.Warning{Line: 3, Column: 12, Text: "U+200B inside the UCServer user name can't be seen on a screen"}},
		{"a,b\rm\xfcller,max\r", matching.Warning{Line: 2, Column: 2, Text: "the file was read as Windows-1252: byte FC as ü; save it as CSV UTF-8 to be sure"}},
		{"a,=cmd|'/c calc'!A1", matching.Warning{Line: 1, Column: 3, Text: "the UCServer user name begins with =: a spreadsheet takes it for a formula"}},
		{"Ada@contoso.com,a\nada@contoso.com,b", matching.Warning{Line: 2, Text: "the Entra user name differs only in case from the one on line 1"}},
		{"ada@contoso.com,a\nAda@contoso.com,b", matching.Warning{Line: 2, Text: "the Entra user name differs only in case from the one on line 1"}},
		{"Ada@contoso.com,a\nADA@contoso.com,b", matching.Warning{Line: 2, Text: "the Entra user name differs only in case from the one on line 1"}},
		{"b,bob\na,Bob", matching.Warning{Line: 2, Text: "the UCServer user name differs only in case from the one on line 1"}},
		{"a,Bob\nb,bob", matching.Warning{Line: 2, Text: "the UCServer user name differs only in case from the one on line 1"}},
		{"Azure AD username,UCServer username\n", matching.Warning{Text: "the file names nobody"}},
	} {
		list, err := matching.Parse([]byte(row.file))
		if err != nil || len(list.Warnings) != 1 || list.Warnings[0] != row.want {
			t.Errorf("Parse(%q): warnings %+v, %v; want %+v", row.file, list.Warnings, err, row.want)
		}
	}
}

func TestWarningsDoNotGrowWithoutEnd(t *testing.T) {
	list, err := matching.Parse([]byte("\u00a0a\u200b,b\n" + padded(150_000)))
	if err != nil || list.Len() != 150_001 || len(list.Warnings) != 100_001 {
		t.Errorf("Parse() = %d names, %d warnings, %v", list.Len(), len(list.Warnings), err)
	}
}

func padded(lines int) string {
	var file strings.Builder
	for i := range lines {
		fmt.Fprintf(&file, "u%d@c    ,n%d\n", i, i)
	}
	return file.String()
}

func TestAnEmptyFileNamesNobody(t *testing.T) {
	if list, err := matching.Parse(nil); err != nil || list.Len() != 0 || len(list.Warnings) != 0 {
		t.Errorf("Parse(nil) = %v, %v", list, err)
	}
}

func TestAMillionLinesAreRead(t *testing.T) {
	var file []byte
	for i := range 1_000_000 {
		file = fmt.Appendf(file, "u%d@c,n%d\n", i, i)
	}
	if list, err := matching.Parse(file); err != nil || list.Len() != 1_000_000 {
		t.Errorf("Parse() = %d names, %v", list.Len(), err)
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{
		"sep=;\r\n\"a\";b\r\n", "\xff\xfea\x00,\x00b\x00", "a,b\rc\xfc,d\r", "\xef\xbb\xbf\"a\"\"\",\"b\n\"", "a\u00a0,\u200bb", "Azure AD username\tUCServer username\n", "=a,b\nA,b\na,B", "m\u00fc,\xc3",
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		list, err := matching.Parse(file)
		if err != nil {
			faults, ok := errors.AsType[*matching.FaultsError](err)
			if !ok || len(faults.Faults) == 0 || list.Len() != 0 {
				t.Errorf("Parse() = %d names, %v", list.Len(), err)
			}
			return
		}
		last := 0
		for _, line := range list.Lines() {
			if name, ok := list.Name(line.UPN); !ok || name != line.Name || name == "" || line.UPN == "" || line.Number <= last {
				t.Errorf("line %+v after line %d; its name is %q, %t", line, last, name, ok)
			}
			if strings.ContainsAny(line.UPN+line.Name, "\x00\r\n\x1e\x1f\ufffd") {
				t.Errorf("line %+v holds a control character", line)
			}
			last = line.Number
		}
		for _, w := range list.Warnings {
			if w.Line < 0 || w.Column < 0 || w.Text == "" || w.Line == 0 && w.Column != 0 {
				t.Errorf("warning %+v", w)
			}
		}
	})
}
