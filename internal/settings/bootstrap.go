// Package settings holds everything an administrator can set.
//
// [Bootstrap] is read once at start from app settings (environment variables)
// and never changes while the process lives. [Integration] is one versioned row
// in Table Storage that the console and the integration API edit; an app setting
// of the same name wins over it and is shown read-only. No I/O here, but for the
// files beside host.json that app settings stand for (msteams.cfg, OUTBOUND_CA_FILE).
package settings

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/robfig/cron/v3"

	"procallteams/internal/secret"
)

// Bootstrap is what the process must know before it can read anything else.
type Bootstrap struct {
	Storage Storage
	// KeyVault is the vault's address (KEY_VAULT_URI), https.
	KeyVault *url.URL
	// Public is the address that browsers and UCServer use (BRIDGE_PUBLIC_URL,
	// else https://WEBSITE_HOSTNAME). It has no path. Redirect URIs are built
	// from it and never from a request.
	Public *url.URL
	Cloud  Cloud
	// Schedule is the NCRONTAB expression of presencesync
	// (PRESENCE_SYNC_SCHEDULE); Interval is the time between two of its ticks.
	Schedule string
	Interval time.Duration
	// ManagedIdentity is the client id of the user-assigned identity that opens
	// storage and Key Vault (MANAGED_IDENTITY_CLIENT_ID). Empty means the
	// system-assigned one.
	ManagedIdentity string
	// ScriptRoot is the folder of host.json (FUNCTIONS_APP_ROOT_PATH), where
	// config/usermatching.csv lies.
	ScriptRoot string
	// Proxy is how the bridge reaches the outside (OUTBOUND_PROXY, else msteams.cfg
	// beside host.json, else HTTPS_PROXY).
	Proxy Proxy
	// Authorities are trusted besides the system's (OUTBOUND_CA, OUTBOUND_CA_FILE).
	Authorities []*x509.Certificate
	// Overrides are the app settings that win over [Integration].
	Overrides Overrides
	// Warnings are sentences about what is probably not meant: names that nothing
	// reads, proxies that reach further than the bridge.
	Warnings []string
}

// Storage says how to reach Table, Blob and Queue Storage: by connection string
// (local work) or by identity and three endpoints (in Azure).
type Storage struct {
	ConnectionString                           secret.Text
	BlobEndpoint, QueueEndpoint, TableEndpoint string
	// IdentityClientID is AzureWebJobsStorage__clientId, else the bridge's own
	// managed identity.
	IdentityClientID string
}

// Overrides are app settings that win over the settings row. Empty fields do not
// override.
type Overrides struct {
	Tenant, ClientID, PushURL string
	ClientSecret              secret.Text
	// ClientSecretEnds is when that secret ends, zero when nobody said.
	ClientSecretEnds time.Time
}

// FaultsError lists everything that is wrong with the app settings, so that one
// look is enough. It names settings, never their values.
type FaultsError struct{ Faults []string }

func (e *FaultsError) Error() string {
	return "app settings: " + strings.Join(e.Faults, "; ")
}

// devStorage is the emulator's published account (Azurite README), which the
// short form UseDevelopmentStorage=true stands for.
const devStorage = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;" +
	"AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;" +
	"BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;" +
	"TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"

// known are the names that the bridge reads under the prefixes where a typing
// error would otherwise pass unseen.
var known = []string{"TEAMS_TENANT_ID", "TEAMS_CLIENT_ID", "TEAMS_CLIENT_SECRET", "TEAMS_CLIENT_SECRET_EXPIRES", "BRIDGE_PUBLIC_URL",
	"OUTBOUND_PROXY", "OUTBOUND_PROXY_BYPASS", "OUTBOUND_CA", "OUTBOUND_CA_FILE"}

// Load reads and validates the app settings from environ (the form of
// [os.Environ]). With faults it returns a *[FaultsError] beside what could be
// read, so that the process can still answer and say what is wrong.
func Load(environ []string) (Bootstrap, error) {
	env := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = strings.TrimSpace(value)
	}
	l := loader{env: env}
	cloud := l.cloud()
	b := Bootstrap{
		Storage:         l.storage(cloud.Storage),
		KeyVault:        l.address("KEY_VAULT_URI", true),
		Public:          l.public(),
		Cloud:           cloud,
		ManagedIdentity: l.guid("MANAGED_IDENTITY_CLIENT_ID"),
		ScriptRoot:      env["FUNCTIONS_APP_ROOT_PATH"],
		Overrides: Overrides{
			Tenant:           l.guid("TEAMS_TENANT_ID"),
			ClientID:         l.guid("TEAMS_CLIENT_ID"),
			ClientSecret:     l.secret("TEAMS_CLIENT_SECRET"),
			ClientSecretEnds: l.date("TEAMS_CLIENT_SECRET_EXPIRES"),
			PushURL:          env["UCSERVER_PUSH_URL"],
		},
	}
	if b.Storage.IdentityClientID == "" {
		b.Storage.IdentityClientID = b.ManagedIdentity
	}
	if b.Overrides.PushURL != "" {
		if err := ValidatePushURL(b.Overrides.PushURL); err != nil {
			l.fault("UCSERVER_PUSH_URL: %v", err)
		}
	}
	b.Schedule, b.Interval = l.schedule()
	b.Proxy, b.Authorities = l.proxy(b.ScriptRoot), l.authorities(b.ScriptRoot)
	b.Warnings = slices.Concat(l.typos(), b.elsewhere(env), l.warnings)
	if len(l.faults) > 0 {
		return b, &FaultsError{l.faults}
	}
	return b, nil
}

type loader struct {
	env      map[string]string
	faults   []string
	warnings []string
}

func (l *loader) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

func (l *loader) warn(text string) { l.warnings = append(l.warnings, text) }

// unresolved reports a Key Vault reference that the platform could not resolve:
// the process then sees the reference itself.
func (l *loader) unresolved(name string) bool {
	if !strings.HasPrefix(l.env[name], "@Microsoft.KeyVault(") {
		return false
	}
	l.fault("%s is a Key Vault reference that was not resolved: check the reference and the identity's role", name)
	return true
}

func (l *loader) secret(name string) secret.Text {
	if l.env[name] == "" || l.unresolved(name) {
		return secret.Text{}
	}
	return secret.New(l.env[name])
}

func (l *loader) storage(suffix string) Storage {
	const base = "AzureWebJobsStorage"
	text := l.env[base]
	uris := []string{l.env[base+"__blobServiceUri"], l.env[base+"__queueServiceUri"], l.env[base+"__tableServiceUri"]}
	account := l.env[base+"__accountName"]
	given := slices.ContainsFunc(uris, func(u string) bool { return u != "" })
	if l.env[base+"__managedIdentityResourceId"] != "" && l.env[base+"__clientId"] == "" {
		l.fault("%s__managedIdentityResourceId has no effect for the host's storage: set %s__clientId", base, base)
	}
	switch {
	case text != "" && (given || account != ""):
		l.fault("%s is set as a connection string and by identity: keep one of the two", base)
	case account != "" && given:
		l.fault("%s__accountName and %s__blobServiceUri exclude each other: keep one of the two", base, base)
	case text != "":
		if l.unresolved(base) {
			return Storage{}
		}
		if strings.EqualFold(strings.TrimRight(text, ";"), "UseDevelopmentStorage=true") {
			text = devStorage
		}
		if !strings.Contains(text, "AccountName=") {
			l.fault("%s is not a storage connection string", base)
		}
		return Storage{ConnectionString: secret.New(text)}
	case account != "":
		for i, kind := range []string{"blob", "queue", "table"} {
			uris[i] = "https://" + account + "." + kind + "." + suffix
		}
		return Storage{BlobEndpoint: uris[0], QueueEndpoint: uris[1], TableEndpoint: uris[2], IdentityClientID: l.env[base+"__clientId"]}
	case given:
		for i, kind := range []string{"blob", "queue", "table"} {
			if uris[i] == "" {
				l.fault("%s__%sServiceUri is missing", base, kind)
			} else if u, err := url.Parse(uris[i]); err != nil || u.Scheme != "https" || u.Host == "" {
				l.fault("%s__%sServiceUri is not an https address", base, kind)
			}
		}
		return Storage{BlobEndpoint: uris[0], QueueEndpoint: uris[1], TableEndpoint: uris[2], IdentityClientID: l.env[base+"__clientId"]}
	default:
		l.fault("%s is missing: set a connection string, or %s__accountName for access by identity", base, base)
	}
	return Storage{}
}

// address reads an https address without a path.
func (l *loader) address(name string, required bool) *url.URL {
	value := l.env[name]
	if value == "" {
		if required {
			l.fault("%s is missing", name)
		}
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		l.fault("%s must be an address such as https://name.example, without path, query or user name", name)
		return nil
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		l.fault("%s must begin with https://", name)
		return nil
	}
	u.Path = ""
	return u
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (l *loader) public() *url.URL {
	if l.env["BRIDGE_PUBLIC_URL"] != "" {
		return l.address("BRIDGE_PUBLIC_URL", true)
	}
	if name := l.env["WEBSITE_HOSTNAME"]; name != "" {
		u, err := url.Parse("https://" + name)
		if err != nil || u.Host != name {
			l.fault("WEBSITE_HOSTNAME is not a host name")
			return nil
		}
		return u
	}
	l.fault("BRIDGE_PUBLIC_URL is missing: the address that browsers use, such as https://bridge.contoso.com")
	return nil
}

func (l *loader) guid(name string) string {
	value := l.env[name]
	if value == "" {
		return ""
	}
	id, err := uuid.Parse(value)
	if err != nil {
		l.fault("%s is not a GUID", name)
		return ""
	}
	return id.String()
}

// date reads a day, or a moment: the day's beginning counts, in UTC.
func (l *loader) date(name string) time.Time {
	value := l.env[name]
	if value == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, value); err == nil {
			return t.UTC()
		}
	}
	l.fault("%s is not a date such as 2027-11-26", name)
	return time.Time{}
}

// schedule reads the NCRONTAB expression (Functions timer trigger: six fields,
// or five without seconds) and measures its step. An hh:mm:ss interval, which timers
// take on other plans, is refused: Flex Consumption does not know it.
func (l *loader) schedule() (string, time.Duration) {
	expression := l.env["PRESENCE_SYNC_SCHEDULE"]
	if expression == "" {
		l.fault(`PRESENCE_SYNC_SCHEDULE is missing: normally "*/5 * * * * *"`)
		return "", 0
	}
	parser := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	schedule, err := parser.Parse(expression)
	if err != nil {
		l.fault("PRESENCE_SYNC_SCHEDULE is not a six-field NCRONTAB expression")
		return "", 0
	}
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	first := schedule.Next(start)
	return expression, schedule.Next(first).Sub(first)
}

// typos returns a sentence for each TEAMS_*, BRIDGE_* or OUTBOUND_* name that nothing
// reads.
func (l *loader) typos() []string {
	var found []string
	for name := range l.env {
		if (strings.HasPrefix(name, "TEAMS_") || strings.HasPrefix(name, "BRIDGE_") || strings.HasPrefix(name, "OUTBOUND_")) && !slices.Contains(known, name) {
			found = append(found, name+" is not a setting of the bridge: a typing error?")
		}
	}
	slices.Sort(found)
	return found
}
