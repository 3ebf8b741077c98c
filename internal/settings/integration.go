package settings

import (
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"procallteams/internal/trust"
)

// CredentialKind says how the bridge proves itself as the app registration.
type CredentialKind string

// Kinds of credentials, the preferred one first. The empty one: Federated where the
// bridge has a user-assigned managed identity, else SecretInKeyVault.
const (
	// Federated is the bridge's user-assigned managed identity, which the app
	// registration trusts: there is no secret at all.
	Federated CredentialKind = "federated"
	// CertificateInKeyVault is a certificate that Key Vault keeps.
	CertificateInKeyVault CredentialKind = "certificate"
	// SecretInKeyVault is a client secret that Key Vault keeps.
	SecretInKeyVault CredentialKind = "secret"
)

// Registration says whose the app registration is.
type Registration string

const (
	// OwnRegistration is the customer's own, in the tenant itself. The empty one too.
	OwnRegistration Registration = "own"
	// SharedRegistration is a multi-tenant one of whoever hosts the bridge: its
	// credential stays with its owner, the tenant only consents.
	SharedRegistration Registration = "shared"
)

// Profile says which permissions the app registration is meant to have.
type Profile string

const (
	// FullProfile reads and writes. The empty one too.
	FullProfile Profile = "full"
	// ReadOnlyProfile is for customers of the direction from Teams to ProCall alone.
	ReadOnlyProfile Profile = "read-only"
)

// DefaultConsentCheck is how often a consent is proven anew.
const DefaultConsentCheck = time.Minute

// Integration is the one settings entity that administrators edit. Version grows
// by one with every write. The zero value of each field is the safe one.
type Integration struct {
	Version int64 `json:"version"`
	// Tenant and ClientID are GUIDs in lower case, empty until set.
	Tenant     string         `json:"tenant"`
	ClientID   string         `json:"clientId"`
	Credential CredentialKind `json:"credential"`
	// Certificate is the name of the certificate in Key Vault, for that credential.
	Certificate string `json:"certificate"`
	// Registration is whose the app registration is; Profile what it may do.
	Registration Registration `json:"registration"`
	Profile      Profile      `json:"profile"`
	// ConsentCheck is how often consent that was given or removed in the portal is
	// looked for, in seconds; 0 means 60.
	ConsentCheck int `json:"consentCheckSeconds"`
	// TeamsToProCall reads presences for UCServer; ProCallToTeams writes calls.
	TeamsToProCall Participation `json:"teamsToProCall"`
	ProCallToTeams Participation `json:"proCallToTeams"`
	// Mapping is what this installation changes in what a presence in Teams means to
	// ProCall.
	Mapping Mapping `json:"mapping"`
	// AlsoWrite says what is written to Teams besides calls.
	AlsoWrite AlsoWrite `json:"alsoWrite"`
	// OnlySignedIn leaves people alone who are not signed in to Teams: a session of
	// the bridge would make them look as if they were. It needs reading.
	OnlySignedIn bool `json:"onlySignedIn"`
	// LookUps says whether single people may be looked up (v1/users).
	LookUps OnUnlessOff `json:"helpdesk"`
	// Paused stops both directions and withdraws what they caused.
	Paused bool `json:"paused"`
	// PushURL is where UCServer's connector receives pushes, empty for none.
	PushURL string `json:"pushUrl"`
	// PushAuthority is what pushes trust besides the system's authorities: PEM of the
	// authority that signed UCServer's private certificate, or that certificate
	// itself where it is self-signed. Empty for none.
	PushAuthority string `json:"pushAuthority"`
	// StaleAfter is how long reading may be down before Teams contributions are
	// withdrawn, in seconds; 0 means 600.
	StaleAfter int `json:"staleAfterSeconds"`
	// GraphBudget is the number of presence requests per 30 s that Graph allows
	// this app in this tenant; 0 means 1,500, at most 10,000.
	GraphBudget int `json:"graphBudget"`
	// Retention is how long feed entries are kept, in hours; 0 means 48.
	Retention int `json:"retentionHours"`
}

// AlsoWrite are the states of UCServer that are written to Teams on request only.
type AlsoWrite struct {
	Ringing     bool `json:"ringing"`     // Busy/InACall
	WrapUp      bool `json:"wrapUp"`      // Busy/InACall
	Appointment bool `json:"appointment"` // Busy/InAConferenceCall when busy, Away when absent
	// DoNotDisturb carries a Do not disturb that a person chose in ProCall, as the
	// person's own choice in Teams, for as long as it was chosen for.
	DoNotDisturb bool `json:"doNotDisturb"`
}

// OnUnlessOff is a switch that is on until somebody switches it off: the zero value
// is on. In JSON it is true or false.
type OnUnlessOff struct{ off bool }

// SwitchedOff is the other value.
var SwitchedOff = OnUnlessOff{off: true}

// On reports whether it is on.
func (s OnUnlessOff) On() bool { return !s.off }

// MarshalJSON and UnmarshalJSON make a boolean of it.
func (s OnUnlessOff) MarshalJSON() ([]byte, error) { return json.Marshal(s.On()) }
func (s *OnUnlessOff) UnmarshalJSON(text []byte) error {
	var on bool
	if err := json.Unmarshal(text, &on); err != nil {
		return &json.UnmarshalTypeError{Value: kindOf(text), Type: reflect.TypeFor[OnUnlessOff]()}
	}
	s.off = !on
	return nil
}

// Defaults of the three numbers whose zero value stands for them.
const (
	DefaultStaleAfter  = 10 * time.Minute
	DefaultGraphBudget = 1500
	DefaultRetention   = 48 * time.Hour
)

// StaleAfterDuration returns StaleAfter with its default applied.
func (i Integration) StaleAfterDuration() time.Duration {
	if i.StaleAfter == 0 {
		return DefaultStaleAfter
	}
	return time.Duration(i.StaleAfter) * time.Second
}

// ConsentCheckEvery returns ConsentCheck with its default applied.
func (i Integration) ConsentCheckEvery() time.Duration {
	if i.ConsentCheck == 0 {
		return DefaultConsentCheck
	}
	return time.Duration(i.ConsentCheck) * time.Second
}

// RetentionDuration returns Retention with its default applied.
func (i Integration) RetentionDuration() time.Duration {
	if i.Retention == 0 {
		return DefaultRetention
	}
	return time.Duration(i.Retention) * time.Hour
}

// Budget returns GraphBudget with its default applied: requests per 30 s.
func (i Integration) Budget() int {
	if i.GraphBudget == 0 {
		return DefaultGraphBudget
	}
	return i.GraphBudget
}

// Shares of Graph's presence budget; the rest is reserve. A direction that is off
// gives its share away.
const (
	readingShare = 0.30
	writingShare = 0.55
)

// ReadingRate returns how many presence requests a second reading may make.
func (i Integration) ReadingRate() float64 { return i.rate(readingShare, writingShare, i.Writes()) }

// WritingRate returns how many presence requests a second writing may make.
func (i Integration) WritingRate() float64 { return i.rate(writingShare, readingShare, i.Reads()) }

func (i Integration) rate(own, other float64, otherIsOn bool) float64 {
	if !otherIsOn {
		own += other
	}
	return own * float64(i.Budget()) / 30
}

// Reads reports whether presences are read from Teams now.
func (i Integration) Reads() bool { return i.TeamsToProCall.On() && !i.Paused }

// Writes reports whether calls are written to Teams now.
func (i Integration) Writes() bool { return i.ProCallToTeams.On() && !i.Paused }

// Override returns i with the app settings applied that win over it, and the
// JSON names of the fields that are read-only because of them.
func (i Integration) Override(o Overrides) (Integration, []string) {
	var fixed []string
	for _, f := range []struct {
		name, value string
		field       *string
	}{{"tenant", o.Tenant, &i.Tenant}, {"clientId", o.ClientID, &i.ClientID}, {"pushUrl", o.PushURL, &i.PushURL}} {
		if f.value != "" {
			*f.field = f.value
			fixed = append(fixed, f.name)
		}
	}
	return i, fixed
}

// Validate returns one sentence for every field that is out of range, joined.
// It needs no network: whether the tenant exists is checked by discovery.
func (i Integration) Validate() error {
	var faults []error
	fault := func(bad bool, text string) {
		if bad {
			faults = append(faults, errors.New(text))
		}
	}
	isGUID := func(s string) bool {
		id, err := uuid.Parse(s)
		return s == "" || err == nil && id.String() == s
	}
	fault(!isGUID(i.Tenant), "tenant: not a GUID such as 8b1f4a8e-0000-4000-8000-00000000000a")
	fault(!isGUID(i.ClientID), "clientId: not a GUID such as c0ffee00-0000-4000-8000-000000000001")
	oneOf(fault, "credential", i.Credential, Federated, CertificateInKeyVault, SecretInKeyVault)
	oneOf(fault, "registration", i.Registration, OwnRegistration, SharedRegistration)
	oneOf(fault, "profile", i.Profile, FullProfile, ReadOnlyProfile)
	fault(i.Certificate != "" && !certificateName.MatchString(i.Certificate), "certificate: not a name in Key Vault (1 to 127 letters, digits and hyphens)")
	fault(i.Credential == CertificateInKeyVault && i.Certificate == "", "certificate: the name of the certificate in Key Vault is missing")
	fault(i.Profile == ReadOnlyProfile && i.ProCallToTeams.On(), "profile: read-only does not go with proCallToTeams")
	fault(i.ConsentCheck != 0 && (i.ConsentCheck < 60 || i.ConsentCheck > 3600), "consentCheckSeconds: must be 60 to 3600")
	for name, direction := range i.directions() {
		if err := direction.validate(); err != nil {
			faults = append(faults, sentences(name, err)...)
		}
	}
	faults = append(faults, i.Mapping.faults()...)
	fault(i.StaleAfter != 0 && (i.StaleAfter < 60 || i.StaleAfter > 86400), "staleAfterSeconds: must be 60 to 86400")
	fault(i.GraphBudget != 0 && (i.GraphBudget < 30 || i.GraphBudget > 10000), "graphBudget: must be 30 to 10000 requests per 30 seconds")
	fault(i.Retention != 0 && (i.Retention < 24 || i.Retention > 720), "retentionHours: must be 24 to 720")
	fault(i.OnlySignedIn && i.ProCallToTeams.On() && !i.TeamsToProCall.On(), "onlySignedIn: needs teamsToProCall, which knows who is signed in")
	if i.PushURL != "" {
		if err := ValidatePushURL(i.PushURL); err != nil {
			faults = append(faults, errors.New("pushUrl: "+err.Error()))
		}
	}
	fault(len(i.PushAuthority) > trust.MaxBytes, "pushAuthority: longer than 8,192 bytes; keep the authority that signed UCServer's certificate alone")
	if i.PushAuthority != "" {
		if _, err := trust.Anchors([]byte(i.PushAuthority)); err != nil {
			faults = append(faults, errors.New("pushAuthority: "+err.Error()))
		}
	}
	return errors.Join(faults...)
}

// TidyAuthority writes certificates in one form, without what stands around them, and
// blanks as nothing. What is refused stays as it is, so that Validate tells why: the last
// byte of a DER file may look like a blank.
func TidyAuthority(text string) string {
	if strings.TrimSpace(text) == "" {
		return ""
	}
	all, err := trust.Anchors([]byte(text))
	if err != nil {
		return text
	}
	return trust.PEM(all)
}

// certificateName is what Key Vault allows.
var certificateName = regexp.MustCompile(`^[0-9a-zA-Z-]{1,127}$`)

// oneOf demands a known value, or none.
func oneOf[T ~string](fault func(bool, string), field string, value T, known ...T) {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = strconv.Quote(string(k))
	}
	fault(value != "" && !slices.Contains(known, value), field+": must be one of "+strings.Join(names, ", "))
}

// sentences are the lines of an error about a field.
func sentences(field string, err error) (faults []error) {
	for text := range strings.SplitSeq(err.Error(), "\n") {
		separator := ": "
		if strings.HasPrefix(text, "[") {
			separator = "" // about a line of a list
		}
		faults = append(faults, errors.New(field+separator+text))
	}
	return faults
}

// directions are the two, under their JSON names.
func (i Integration) directions() iter.Seq2[string, Participation] {
	return func(yield func(string, Participation) bool) {
		_ = yield("teamsToProCall", i.TeamsToProCall) && yield("proCallToTeams", i.ProCallToTeams)
	}
}

// ValidatePushURL checks the address that pushes go to: https, no user name, no
// fragment.
func ValidatePushURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil:
		return errors.New("a user name or a password in the address is not possible: pushes are signed, and the receiver verifies that")
	case err != nil || u.Host == "" || u.Fragment != "" || strings.ContainsAny(text, " \t\r\n"):
		return errors.New("not an address such as https://ucserver.contoso.com/push")
	case len(text) > 2048:
		return errors.New("longer than 2,048 characters")
	case u.Scheme != "https":
		return errors.New("must begin with https:// because presences are personal data")
	}
	return nil
}
