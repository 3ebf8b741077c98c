package status

import (
	"procallteams/internal/settings"
	"procallteams/internal/trust"
)

// Outbound is api/openapi.yaml, Outbound: the way out that the settings name.
type Outbound struct {
	// Proxy is nil when connections go directly.
	Proxy *Proxy `json:"proxy,omitempty"`
	// Authorities are trusted besides the system's, by name.
	Authorities []string `json:"authorities,omitempty"`
}

// Proxy is the proxy in use, without its password.
type Proxy struct {
	Address string   `json:"address"` // http://proxy.contoso.com:8080
	User    string   `json:"user,omitempty"`
	Source  string   `json:"source"` // where it is set
	Bypass  []string `json:"bypass,omitempty"`
}

// OutboundOf says what the settings say.
func OutboundOf(b settings.Bootstrap) Outbound {
	var o Outbound
	if p := b.Proxy; p.On() {
		o.Proxy = &Proxy{p.Address.String(), p.User, p.Source, p.Bypass}
	}
	for _, authority := range b.Authorities {
		o.Authorities = append(o.Authorities, trust.Label(authority))
	}
	return o
}

// String names the proxy in one line, for the console.
func (p Proxy) String() string {
	if p.User == "" {
		return p.Address + ", from " + p.Source
	}
	return p.Address + " as " + p.User + ", from " + p.Source
}
