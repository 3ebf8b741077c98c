package matching_test

import (
	"testing"

	"procallteams/internal/matching"
)

func TestWhatNoScreenShowsIsWrittenOut(t *testing.T) {
	for name, want := range map[string]string{
		"":                          "",
		"max@domain.local":          "max@domain.local",
		"Max Mustermann":            "Max Mustermann",
		"müller":                    "müller",
		"中村 ひろ":                     "中村 ひろ",
		" max":                      "⟨U+0020⟩max",
		"max ":                      "max⟨U+0020⟩",
		"  ":                        "⟨U+0020⟩⟨U+0020⟩",
		"max\u200b@domain.local":    "max⟨U+200B⟩@domain.local",
		"mmu@contoso.com\u00a0":     "mmu@contoso.com⟨U+00A0⟩",
		"m\u00admu":                 "m⟨U+00AD⟩mu",
		"\ufeffmmu":                 "⟨U+FEFF⟩mmu",
		"mu\u0308ller":              "mu⟨U+0308⟩ller",
		"a\tb":                      "a⟨U+0009⟩b",
		"twin, twi\u200bn@contoso.": "twin, twi⟨U+200B⟩n@contoso.",
	} {
		if got := matching.Visible(name); got != want {
			t.Errorf("Visible(%q) = %q; want %q", name, got, want)
		}
	}
}
