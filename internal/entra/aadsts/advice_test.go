package aadsts

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/language"

	"procallteams/internal/settings"
)

var kinds = []settings.Registration{settings.OwnRegistration, settings.SharedRegistration}

func TestEveryClassIsExplainedInBothLanguages(t *testing.T) {
	for _, kind := range kinds {
		seen := map[string]Class{}
		for _, class := range []Class{Reauthorize, AdminConsent, Credential, Tenant, Policy, Transient, Canceled, Defect} {
			for _, lang := range []language.Tag{language.English, language.German} {
				a := class.Advice(lang, kind)
				if a.Cause == "" || a.Action == "" || a.Who == "" {
					t.Errorf("%s in %s = %+v; want cause, action and who", class, lang, a)
				}
				if other, ok := seen[a.Cause]; ok {
					t.Errorf("%s in %s has the text of %s", class, lang, other)
				}
				seen[a.Cause] = class
			}
			if texts, ok := class.Texts(kind); !ok || texts.German != class.Advice(language.MustParse("de-AT"), kind) {
				t.Errorf("%s: an Austrian reads %+v", class, class.Advice(language.MustParse("de-AT"), kind))
			}
		}
		for _, c := range codes {
			if _, ok := c.class.Texts(kind); !ok {
				t.Errorf("class %s has no advice", c.class)
			}
		}
		if _, ok := Class("").Texts(kind); ok {
			t.Error("what works has advice")
		}
	}
}

// Nobody in a customer's tenant can change the app registration of whoever hosts the
// bridge, or its credential.
func TestASharedRegistrationIsCuredByWhoeverHostsTheBridge(t *testing.T) {
	for class, who := range map[Class][2]string{Credential: {"Whoever hosts the bridge", "Betreiber der Bridge"}, Tenant: {"whoever hosts the bridge", "Betreiber der Bridge"}} {
		texts, _ := class.Texts(settings.SharedRegistration)
		if !strings.Contains(texts.English.Who, who[0]) || !strings.Contains(texts.German.Who, who[1]) {
			t.Errorf("%s is cured by %q, %q", class, texts.English.Who, texts.German.Who)
		}
	}
	for n, c := range codes {
		refusal := FromAnswer(400, fmt.Appendf(nil, `{"error":"invalid_client","error_codes":[%d]}`, n))
		if own := refusal.For(settings.OwnRegistration); own.Step != c.step {
			t.Errorf("AADSTS%d of one's own: %s", n, own.Step)
		}
		told := refusal.For(settings.SharedRegistration)
		if told.Cause != refusal.Cause || told.Code != refusal.Code || told.Class != refusal.Class {
			t.Errorf("AADSTS%d is told as %+v", n, told)
		}
		for _, of := range []string{"app registration", "client secret", "Upload", "Register", "platform", "Public client", "public client flows", "Add the permissions", "credential"} {
			if strings.Contains(told.Step, of) && !strings.Contains(strings.ToLower(told.Step), "whoever hosts the bridge") {
				t.Errorf("AADSTS%d: %s", n, told.Step)
			}
		}
	}
	for word, want := range map[string]string{"invalid_client": "Whoever hosts the bridge does this", "unauthorized_client": "whoever hosts the bridge has named", "invalid_grant": "Sign in again."} {
		refusal := FromAnswer(400, []byte(`{"error":"`+word+`"}`))
		if got := refusal.For(settings.SharedRegistration).Step; !strings.Contains(got, want) {
			t.Errorf("%s: %s; want %q", word, got, want)
		}
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
