package aadsts

import (
	"strings"

	"golang.org/x/text/language"

	"procallteams/internal/settings"
)

// Advice is what an operator needs to know about a class of refusals.
type Advice struct {
	Cause  string `json:"cause"`
	Action string `json:"action"`
	Who    string `json:"who"` // who must act
}

// Texts is an [Advice] in every language that there is.
type Texts struct {
	English Advice `json:"en"`
	German  Advice `json:"de"`
}

var languages = language.NewMatcher([]language.Tag{language.English, language.German})

// Preferred returns the language, of those that advice is given in, that suits a
// browser's Accept-Language best: English where none does.
func Preferred(acceptLanguage string) language.Tag {
	wanted, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return language.English
	}
	if _, at, _ := languages.Match(wanted...); at == 1 {
		return language.German
	}
	return language.English
}

// Advice returns the class's text for an app registration of that kind, in a language:
// German, or else English. An unknown class, such as that of a grant that works, has
// none: the zero value.
func (c Class) Advice(lang language.Tag, r settings.Registration) Advice {
	texts, _ := c.Texts(r)
	if base, _ := lang.Base(); base.String() == "de" {
		return texts.German
	}
	return texts.English
}

// Says reports whether the class's advice, in whatever language it is shown, begins
// with what step says (in English): then the step need not stand beside it.
func (c Class) Says(step string, r settings.Registration) bool {
	return strings.HasPrefix(c.Advice(language.English, r).Action, strings.TrimSuffix(step, "."))
}

// Texts returns the class's advice in all languages; false when it has none.
func (c Class) Texts(r settings.Registration) (Texts, bool) {
	if texts, differs := hostedAdvice[c]; differs && r == settings.SharedRegistration {
		return texts, true
	}
	texts, ok := advice[c]
	return texts, ok
}

// hostedAdvice is what differs where the app registration is shared.
var hostedAdvice = map[Class]Texts{
	Credential: {
		English: Advice{
			Cause:  advice[Credential].English.Cause,
			Action: "Tell whoever hosts the bridge, with the code. Nothing is to be done in this tenant, and nobody has to consent again.",
			Who:    "Whoever hosts the bridge: the app registration and its credential are theirs.",
		},
		German: Advice{
			Cause:  advice[Credential].German.Cause,
			Action: "Melden Sie dem Betreiber der Bridge den Code. In diesem Mandanten ist nichts zu tun, und eine neue Zustimmung ist nicht nötig.",
			Who:    "Der Betreiber der Bridge: Die App-Registrierung und ihre Anmeldeinformation gehören ihm.",
		},
	},
	Tenant: {
		English: Advice{
			Cause:  advice[Tenant].English.Cause,
			Action: "Correct what the reason names; where it names the app registration, tell whoever hosts the bridge. Where an account or an app was disabled, the bridge goes on by itself once it is enabled.",
			Who:    "An administrator of the tenant; for the app registration itself, whoever hosts the bridge.",
		},
		German: Advice{
			Cause:  advice[Tenant].German.Cause,
			Action: "Beheben Sie, was die Begründung nennt; nennt sie die App-Registrierung, melden Sie es dem Betreiber der Bridge. War ein Konto oder eine App deaktiviert, arbeitet die Bridge nach dem Aktivieren von selbst weiter.",
			Who:    "Ein Administrator des Mandanten; für die App-Registrierung selbst der Betreiber der Bridge.",
		},
	},
}

// advice has one text per class. What is special about a single code stands in its
// cause and step.
var advice = map[Class]Texts{
	Reauthorize: {
		English: Advice{
			Cause:  "Microsoft Entra no longer accepts the sign-in that the bridge keeps for this account.",
			Action: "Sign in again on the bridge's page, with the same account.",
			Who:    "The person whose account it is, or an administrator of the bridge who can sign in with it.",
		},
		German: Advice{
			Cause:  "Microsoft Entra akzeptiert die Anmeldung nicht mehr, die die Bridge für dieses Konto aufbewahrt.",
			Action: "Melden Sie sich auf der Seite der Bridge mit demselben Konto erneut an.",
			Who:    "Die Person, der das Konto gehört, oder ein Administrator der Bridge, der sich damit anmelden kann.",
		},
	},
	AdminConsent: {
		English: Advice{
			Cause:  "The tenant has not consented, or its consent was withdrawn.",
			Action: "Open the admin consent on the bridge's page, or approve the pending request in Entra.",
			Who:    "A Global Administrator or Privileged Role Administrator of the tenant.",
		},
		German: Advice{
			Cause:  "Die Zustimmung des Mandanten fehlt oder wurde zurückgezogen.",
			Action: "Öffnen Sie auf der Seite der Bridge die Administratorzustimmung, oder genehmigen Sie die offene Anforderung in Entra.",
			Who:    "Ein globaler Administrator oder ein Administrator für privilegierte Rollen des Mandanten.",
		},
	},
	Credential: {
		English: Advice{
			Cause:  "The bridge cannot prove to Entra that it is the registered app: its secret, certificate or federated credential is wrong or has expired.",
			Action: "Renew the credential in the app registration and store it on the bridge's page. Nobody has to consent again.",
			Who:    "Whoever manages the app registration.",
		},
		German: Advice{
			Cause:  "Die Bridge kann sich bei Entra nicht als die registrierte App ausweisen: Ihr Geheimnis, ihr Zertifikat oder ihre Verbundanmeldeinformation ist falsch oder abgelaufen.",
			Action: "Erneuern Sie die Anmeldeinformation in der App-Registrierung und hinterlegen Sie sie auf der Seite der Bridge. Eine neue Zustimmung ist nicht nötig.",
			Who:    "Wer die App-Registrierung verwaltet.",
		},
	},
	Tenant: {
		English: Advice{
			Cause:  "The account, the app registration or the tenant is not set up as the bridge needs it.",
			Action: "Correct what the reason names. Where an account or an app was disabled, the bridge goes on by itself once it is enabled.",
			Who:    "An administrator of the tenant.",
		},
		German: Advice{
			Cause:  "Das Konto, die App-Registrierung oder der Mandant ist nicht so eingerichtet, wie die Bridge es braucht.",
			Action: "Beheben Sie, was die Begründung nennt. War ein Konto oder eine App deaktiviert, arbeitet die Bridge nach dem Aktivieren von selbst weiter.",
			Who:    "Ein Administrator des Mandanten.",
		},
	},
	Policy: {
		English: Advice{
			Cause:  "A policy of the tenant, such as Conditional Access, stands against it.",
			Action: "Exclude the account from the policy, or allow the bridge's outbound address. Signing in again does not help by itself.",
			Who:    "The security administrator of the tenant; Entra's sign-in log names the policy.",
		},
		German: Advice{
			Cause:  "Eine Richtlinie des Mandanten verhindert den Zugriff, zum Beispiel der bedingte Zugriff.",
			Action: "Nehmen Sie das Konto von der Richtlinie aus, oder lassen Sie die ausgehende Adresse der Bridge zu. Eine erneute Anmeldung allein hilft nicht.",
			Who:    "Der Sicherheitsadministrator des Mandanten; das Anmeldeprotokoll in Entra nennt die Richtlinie.",
		},
	},
	Transient: {
		English: Advice{
			Cause:  "Microsoft Entra does not answer, or asks for a pause.",
			Action: "Wait: the bridge tries again by itself, and a sign-in is to be started again. If it lasts, check the network and the proxy, then Microsoft's service health.",
			Who:    "Nobody; if it lasts, whoever operates the network.",
		},
		German: Advice{
			Cause:  "Microsoft Entra antwortet nicht oder bittet um eine Pause.",
			Action: "Warten Sie: Die Bridge versucht es von selbst weiter; eine Anmeldung beginnen Sie neu. Hält die Störung an, prüfen Sie Netzwerk und Proxy, danach den Dienststatus von Microsoft.",
			Who:    "Niemand; hält die Störung an, wer das Netzwerk betreibt.",
		},
	},
	Canceled: {
		English: Advice{
			Cause:  "The sign-in or the consent was declined.",
			Action: "Start again when you are ready. Nothing was changed.",
			Who:    "The person who declined.",
		},
		German: Advice{
			Cause:  "Die Anmeldung oder die Zustimmung wurde abgelehnt.",
			Action: "Beginnen Sie von vorn, wenn Sie so weit sind. Es wurde nichts geändert.",
			Who:    "Die Person, die abgelehnt hat.",
		},
	},
	Defect: {
		English: Advice{
			Cause:  "Entra does not understand what the bridge sent.",
			Action: "Start again once. If it stays, report the code and the trace id as a defect of the bridge.",
			Who:    "The maker of the bridge.",
		},
		German: Advice{
			Cause:  "Entra versteht nicht, was die Bridge gesendet hat.",
			Action: "Beginnen Sie einmal von vorn. Bleibt der Fehler, melden Sie Code und Trace-ID als Fehler der Bridge.",
			Who:    "Der Hersteller der Bridge.",
		},
	},
}
