package cmdline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// original is what the original's msteams.cfg says. The names are those of its
// published settings record (UCServer Web SDK 2.0, AsnMSTeamsSettings); who takes
// part is not in it.
type original struct {
	Tenant              string
	FromTeams, ToTeams  bool
	ClientID            string
	HasSecret           bool
	Proxy               string // host:port, empty for none
	ProxyAuthentication bool
	Bypass              []string
	Unknown             []string // names only
}

// faults are what is wrong with a file, all of it, without any value: a value may
// be a secret.
type faults []string

// readOriginal reads msteams.cfg: JSON, also as a Windows editor saves it.
func readOriginal(content []byte) (original, faults) {
	members, err := membersOf(content)
	if err != nil {
		return original{}, faults{err.Error()}
	}
	r := reader{members: members}
	o := original{
		Tenant: r.tenant("u8sTenant"), FromTeams: r.yes("bGetFromTeams"), ToTeams: r.yes("bSendToTeams"),
		ClientID: r.text("u8sClientID"), HasSecret: r.text("u8sClientSecret") != "",
		Bypass: r.list("u8sProxyBypassList"),
	}
	user, password := r.text("u8sProxyUserName"), r.text("u8sProxyPassword")
	o.Proxy, o.ProxyAuthentication = r.proxy("u8sProxyAddress")
	o.ProxyAuthentication = o.ProxyAuthentication || user != "" || password != ""
	r.skip("bEnabled", "u8sTokenCache", "iPollingRate", "iLogLevel", "u8sAuthToken")
	if r.known == 0 && len(r.faults) == 0 {
		r.fault("holds none of the original's settings, such as u8sTenant: is it the msteams.cfg of the folder config?")
	}
	o.Unknown = slices.Sorted(maps.Keys(r.members))
	return o, r.faults
}

// membersOf returns the members of the object that the file is.
func membersOf(content []byte) (map[string]json.RawMessage, error) {
	text, _, err := transform.Bytes(unicode.BOMOverride(unicode.UTF8.NewDecoder()), content)
	if err != nil {
		return nil, errors.New("is not a text file")
	}
	var members map[string]json.RawMessage
	err = json.Unmarshal(text, &members)
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := text[:min(int(wrong.Offset), len(text))]
		line := 1 + bytes.Count(before, []byte("\n"))
		return nil, fmt.Errorf("is not JSON from line %d on: look for a comma or a quotation mark that is missing or too many, and write \\ in a value twice", line)
	}
	if err != nil || members == nil {
		return nil, errors.New("is not a JSON object with the original's settings")
	}
	return members, nil
}

// reader takes members away as it reads them.
type reader struct {
	members map[string]json.RawMessage
	known   int
	faults  faults
}

func (r *reader) fault(text string) { r.faults = append(r.faults, text) }

// take returns a member's value; nil when there is none. Names are compared
// without regard to case, as people type them.
func (r *reader) take(name string) json.RawMessage {
	for _, key := range slices.Sorted(maps.Keys(r.members)) {
		if strings.EqualFold(key, name) {
			value := r.members[key]
			delete(r.members, key)
			r.known++
			return value
		}
	}
	return nil
}

func (r *reader) skip(names ...string) {
	for _, name := range names {
		r.take(name)
	}
}

func (r *reader) text(name string) string {
	value := r.take(name)
	if value == nil {
		return ""
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		r.fault(name + ": must be a text in quotation marks")
	}
	return strings.TrimSpace(text)
}

func (r *reader) list(name string) []string {
	value := r.take(name)
	if value == nil {
		return nil
	}
	var texts []string
	if json.Unmarshal(value, &texts) != nil {
		r.fault(name + ": must be a list of texts")
	}
	return texts
}

// yes reads a switch: a number in the record, which people also write as true.
func (r *reader) yes(name string) bool {
	switch value := strings.ToLower(strings.Trim(string(r.take(name)), `" `)); value {
	case "1", "true":
		return true
	case "0", "false", "null", "":
		return false
	}
	r.fault(name + ": must be 0 or 1")
	return false
}

var domain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)

func (r *reader) tenant(name string) string {
	text := strings.ToLower(r.text(name))
	if id, err := uuid.Parse(text); err == nil {
		return id.String()
	}
	if text != "" && !domain.MatchString(text) {
		r.fault(name + ": is neither a tenant id nor a domain")
	}
	return text
}

// proxy reads the address of a proxy, and whether a user name stands in it. An
// address that can't be read is a fault: going without a proxy is no way out.
func (r *reader) proxy(name string) (hostPort string, authentication bool) {
	text := r.text(name)
	if text == "" {
		return "", false
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "http", strings.TrimPrefix(text, "//")
	}
	u, err := url.Parse("http://" + rest)
	switch {
	case !strings.EqualFold(scheme, "http"):
		r.fault(name + ": only a proxy that is spoken to by http is possible, as in proxy.contoso.com:8080")
	case err != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || !isHost(u.Hostname()) || !isPort(u.Port()):
		r.fault(name + ": is not host:port, as in proxy.contoso.com:8080; a user name and a password don't belong into it")
	default:
		port := u.Port()
		if port == "" {
			port = "80"
		}
		return net.JoinHostPort(u.Hostname(), port), u.User != nil
	}
	return "", false
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

func isHost(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil || hostName.MatchString(name) && !strings.HasSuffix(strings.ToLower(name), ".pac")
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}
