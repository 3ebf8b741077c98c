package cmdline

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"procallteams/internal/settings"
)

// imported is the body for PUT /api/integration: api/openapi.yaml,
// IntegrationEdit. Paused keeps everything still until the original is off.
type imported struct {
	Tenant         string `json:"tenant,omitempty"`
	TeamsToProCall string `json:"teamsToProCall"`
	ProCallToTeams string `json:"proCallToTeams"`
	Paused         bool   `json:"paused"`
}

// importSettings prints what the original's msteams.cfg says: settings to
// standard output, what is left to a person to standard error.
func (c command) importSettings(path string, content []byte) int {
	o, faults := readOriginal(content)
	if len(faults) > 0 {
		for _, fault := range faults {
			fmt.Fprintf(c.err, "%s: %s\n", path, fault)
		}
		return faulty
	}
	body, err := json.MarshalIndent(imported{o.Tenant, participation(o.FromTeams), participation(o.ToTeams), true}, "", "  ")
	if err != nil { // plain strings
		panic(err)
	}
	fmt.Fprintf(c.out, "%s\n", body)
	fmt.Fprintf(c.err, "Read from %s. By hand, in this order (more in docs/moving.md):\n", path)
	for i, step := range o.steps() {
		fmt.Fprintf(c.err, "%2d. %s\n", i+1, step)
	}
	return well
}

func participation(on bool) string {
	if on {
		return "everyone"
	}
	return "nobody"
}

// steps are what no import can do.
func (o original) steps() []string {
	steps := []string{
		"Send the settings with PUT /api/integration and the version that GET /api/integration shows, or enter them on the console. They are paused: nothing is read or written yet.",
	}
	if o.Tenant == "" {
		steps = append(steps, "u8sTenant is empty: enter the tenant on the console.")
	}
	if o.ClientID != "" || o.HasSecret {
		steps = append(steps, "The original used an app registration of your own. The bridge needs other permissions and redirect addresses: make a new registration as the console says. Client id and client secret were not taken over.")
	} else {
		steps = append(steps, "Make an app registration as the console says: the original's belongs to its vendor.")
	}
	steps = append(steps,
		"Give the consents on the console: the original's were given to another app, and its tokens were not taken over.",
		"Who took part is kept in UCServer (global, groups, users), not in this file. Enter it on the console before you end the pause: \"everyone\" above means everyone who is matched.",
		"Check the original's usermatching.csv (folder ExternalServiceProvider) with \"handler usermatching check\" and upload it.",
	)
	steps = append(steps, o.proxySteps()...)
	if len(o.Unknown) > 0 {
		steps = append(steps, "Not taken over, since the bridge does not know it: "+visible(strings.Join(o.Unknown, ", "))+".")
	}
	return append(steps,
		"Switch off the original in the UCServer administration (Services, ProCall Integration in Microsoft Teams). Never run both: each takes what the other wrote for a Teams call.",
		"End the pause on the console.",
	)
}

// proxySteps say how the bridge is told of the proxy.
func (o original) proxySteps() []string {
	p := o.Proxy
	if !p.On() {
		return nil
	}
	value := *p.Address
	if p.User != "" {
		value.User = url.User(p.User)
	}
	step := "The original went through the proxy " + p.Address.Host + ". In Azure the bridge needs none, unless its virtual network lets nothing out. Then set the app setting OUTBOUND_PROXY=" + value.String()
	if len(p.Bypass) > 0 {
		step += " and OUTBOUND_PROXY_BYPASS=" + strings.Join(p.Bypass, ",")
	}
	steps := []string{step + "; or lay a msteams.cfg with the names that begin with u8sProxy, and nothing else, beside host.json. Never set HTTP_PROXY or ALL_PROXY: the Functions host would send its own calls to the bridge there."}
	if p.User != "" || o.ProxyPassword {
		steps = append(steps, "The proxy wants a password. It was not taken over and is not printed here: store it in Key Vault as the secret "+settings.ProxyPasswordName+".")
	}
	return steps
}
