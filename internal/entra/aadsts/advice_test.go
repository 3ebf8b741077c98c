package aadsts

import (
	"testing"

	"golang.org/x/text/language"
)

func TestEveryClassIsExplainedInBothLanguages(t *testing.T) {
	seen := map[string]Class{}
	for _, class := range []Class{Reauthorize, AdminConsent, Credential, Tenant, Policy, Transient, Canceled, Defect} {
		for _, lang := range []language.Tag{language.English, language.German} {
			a := class.Advice(lang)
			if a.Cause == "" || a.Action == "" || a.Who == "" {
				t.Errorf("%s in %s = %+v; want cause, action and who", class, lang, a)
			}
			if other, ok := seen[a.Cause]; ok {
				t.Errorf("%s in %s has the text of %s", class, lang, other)
			}
			seen[a.Cause] = class
		}
		if texts, ok := class.Texts(); !ok || texts.German != class.Advice(language.MustParse("de-AT")) {
			t.Errorf("%s: an Austrian reads %+v", class, class.Advice(language.MustParse("de-AT")))
		}
	}
	for _, c := range codes {
		if _, ok := c.class.Texts(); !ok {
			t.Errorf("class %s has no advice", c.class)
		}
	}
	if _, ok := Class("").Texts(); ok {
		t.Error("what works has advice")
	}
}

func TestABrowsersLanguageDecides(t *testing.T) {
	for header, want := range map[string]language.Tag{
		"":                                language.English,
		"de-DE,de;q=0.9,en;q=0.8":         language.German,
		"de-CH":                           language.German,
		"en-GB,en;q=0.9,de;q=0.8":         language.English,
		"fr-FR,fr;q=0.9":                  language.English,
		"fr-FR,de;q=0.5":                  language.German,
		"*":                               language.English,
		"not a language;q=;;;, \x00 de=9": language.English,
	} {
		if got := Preferred(header); got != want {
			t.Errorf("Preferred(%q) = %s; want %s", header, got, want)
		}
	}
}
