package cmdline

import (
	"regexp"
	"strings"

	"github.com/google/uuid"

	"procallteams/internal/msteamscfg"
	"procallteams/internal/settings"
)

// original is what the original's msteams.cfg says. The names are those of its
// published settings record (UCServer Web SDK 2.0, AsnMSTeamsSettings); who takes
// part is not in it.
type original struct {
	Tenant             string
	FromTeams, ToTeams bool
	ClientID           string
	HasSecret          bool
	Proxy              settings.Proxy
	ProxyPassword      bool     // whether one stands in the file
	Unknown            []string // names only
}

// faults are what is wrong with a file, all of it, without any value: a value may
// be a secret.
type faults []string

// readOriginal reads msteams.cfg.
func readOriginal(content []byte) (original, faults) {
	file, err := msteamscfg.Parse(content)
	if err != nil {
		return original{}, faults{err.Error()}
	}
	o := original{
		Tenant: tenant(file, "u8sTenant"), FromTeams: file.Yes("bGetFromTeams"), ToTeams: file.Yes("bSendToTeams"),
		ClientID: file.Text("u8sClientID"), HasSecret: file.Text("u8sClientSecret") != "",
	}
	o.Proxy, o.ProxyPassword = settings.ProxyOf(file)
	file.Skip("bEnabled", "u8sTokenCache", "iPollingRate", "iLogLevel", "u8sAuthToken")
	if file.Known() == 0 && len(file.Faults()) == 0 {
		file.Fault("holds none of the original's settings, such as u8sTenant: is it the msteams.cfg of the folder config?")
	}
	o.Unknown = file.Left()
	return o, file.Faults()
}

var domain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)

func tenant(file *msteamscfg.File, name string) string {
	text := strings.ToLower(file.Text(name))
	if id, err := uuid.Parse(text); err == nil {
		return id.String()
	}
	if text != "" && !domain.MatchString(text) {
		file.Fault(name + ": is neither a tenant id nor a domain")
	}
	return text
}
