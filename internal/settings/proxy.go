package settings

import (
	"cmp"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"procallteams/internal/msteamscfg"
	"procallteams/internal/secret"
	"procallteams/internal/trust"
)

// ProxyPasswordName is the secret in Key Vault that holds the proxy's password.
const ProxyPasswordName = "proxy-password"

// Proxy is the outbound proxy. The zero value is none: connections go directly.
type Proxy struct {
	// Address has a scheme (http or https), a host and a port, and nothing else; nil
	// for no proxy.
	Address *url.URL
	// User is whom the proxy knows us as, empty when it asks nobody.
	User string
	// Password is what the address held. Without one (HasPassword is false), and
	// with a user, it is the secret [ProxyPasswordName].
	Password    secret.Text
	HasPassword bool
	// Bypass are the hosts that are reached directly, in the forms of NO_PROXY:
	// host, .suffix, address, network, each but the last with a port or not, and *.
	Bypass []string
	// Source is where the proxy was named: OUTBOUND_PROXY, msteams.cfg or
	// HTTPS_PROXY.
	Source string
}

// On reports whether there is a proxy.
func (p Proxy) On() bool { return p.Address != nil }

// PasswordInVault reports whether the password has to be read from Key Vault, which
// then can't be reached through this proxy.
func (p Proxy) PasswordInVault() bool { return p.On() && p.User != "" && !p.HasPassword }

const (
	proxyForm  = "is not host:port, as in proxy.contoso.com:8080"
	proxyUser  = "can't be read: a password belongs into Key Vault (secret " + ProxyPasswordName + "), or must be percent-encoded, each of its signs that is neither letter nor digit"
	proxyIPv6  = "is ambiguous: an IPv6 address stands in brackets, as in [fd00::5]:8080"
	proxySOCKS = "names a SOCKS proxy: only a proxy that is spoken to by http or https is possible"
	proxyPAC   = "names a proxy configuration script (PAC), which is not read: write host:port of the proxy that it names"
	proxyNone  = "names no proxy: take it out where connections go directly, or, where another place names a proxy that is not to be used, set OUTBOUND_PROXY_BYPASS to *"
	proxyOther = "names another protocol: only a proxy that is spoken to by http or https is possible"
)

// ParseProxy reads where a proxy is: host:port, also with http:// or https:// before
// it, and with a user and a password, percent-encoded. The port is 80 or 443 when
// none is given. An error is a sentence without any part of the text, which may be
// a secret.
func ParseProxy(text string) (Proxy, error) {
	text = strings.TrimSpace(text)
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "http", strings.TrimPrefix(text, "//")
	}
	if isNone(scheme, rest) {
		return Proxy{}, errors.New(proxyNone)
	}
	port := map[string]string{"http": "80", "https": "443"}[strings.ToLower(scheme)]
	rest = strings.TrimSuffix(rest, "/")
	user, host, withUser := strings.Cut(rest, "@")
	if !withUser {
		user, host = "", rest
	}
	var p Proxy
	switch {
	case port == "" && strings.Contains(text, "@") && !isWord(scheme):
		return Proxy{}, errors.New(proxyUser)
	case strings.HasPrefix(strings.ToLower(scheme), "socks"):
		return Proxy{}, errors.New(proxySOCKS)
	case port == "":
		return Proxy{}, errors.New(proxyOther)
	case withUser && !p.readUser(user), strings.Contains(rest, "@") && strings.ContainsAny(host, "@/?#"):
		return Proxy{}, errors.New(proxyUser)
	case isScript(rest):
		return Proxy{}, errors.New(proxyPAC)
	case strings.Count(host, ":") > 1 && strings.Trim(host, "0123456789abcdefABCDEF:.") == "":
		return Proxy{}, errors.New(proxyIPv6)
	}
	name, given := splitPort(host)
	if !isHost(name) || given != "" && !isPort(given) || strings.HasSuffix(host, ":") {
		return Proxy{}, errors.New(proxyForm)
	}
	p.Address = &url.URL{Scheme: strings.ToLower(scheme), Host: net.JoinHostPort(name, cmp.Or(given, port))}
	return p, nil
}

// readUser reads user[:password], both percent-encoded. It reports false for signs
// that would have to be encoded: where the password ends can't be known then.
func (p *Proxy) readUser(text string) bool {
	const plain = "-._~!$&'()*+,;=:%"
	for _, r := range text {
		if (r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)) && !strings.ContainsRune(plain, r) {
			return false
		}
	}
	name, password, has := strings.Cut(text, ":")
	user, err := url.PathUnescape(name)
	word, err2 := url.PathUnescape(password)
	if err != nil || err2 != nil || user == "" || !isPlain(user) || !isPlain(word) || strings.Contains(user, ":") {
		return false
	}
	p.User, p.HasPassword = user, has
	if has {
		p.Password = secret.New(word)
	}
	return true
}

// isPlain reports whether text is Unicode without control characters.
func isPlain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func isWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// isNone reports whether an address is one of the words that other programs take for "no
// proxy" (direct:// is that of browsers). As the name of a host they would fail late, and as a
// way out they could be a slip: neither is guessed.
func isNone(scheme, rest string) bool {
	switch strings.ToLower(strings.Trim(rest, "/")) {
	case "none", "direct", "no", "off", "false", "null", "disabled":
		return true
	}
	return strings.EqualFold(scheme, "direct")
}

// isScript reports whether an address is that of a configuration script.
func isScript(text string) bool {
	text = strings.ToLower(text)
	return strings.HasSuffix(text, ".pac") || strings.HasSuffix(text, "/wpad.dat") || text == "wpad.dat"
}

// splitPort splits host[:port]; an IPv6 address stands in brackets or has no port.
func splitPort(text string) (host, port string) {
	if host, port, err := net.SplitHostPort(text); err == nil {
		return host, port
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), ""
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// proxy reads which proxy is in force, and warns of what concerns the Functions
// host. What can't be read is a fault: a direct connection is no way out.
func (l *loader) proxy(folder string) (p Proxy) {
	switch {
	case l.unresolved("OUTBOUND_PROXY"):
		return Proxy{}
	case l.env["OUTBOUND_PROXY"] != "":
		p = l.proxyIn("OUTBOUND_PROXY")
	default:
		if p = l.originalsProxy(filepath.Join(folder, "msteams.cfg")); p.Source == "" {
			p = l.environmentsProxy()
		}
	}
	more, wrong := bypass(strings.FieldsFunc(l.env["OUTBOUND_PROXY_BYPASS"], isSeparator))
	for _, text := range wrong {
		l.fault("OUTBOUND_PROXY_BYPASS: %s", text)
	}
	p.Bypass = append(p.Bypass, more...)
	if len(more) > 0 && p.Source == "" {
		l.warn("OUTBOUND_PROXY_BYPASS has no effect, since no proxy is set")
	}
	l.warnOfTheHost()
	return p
}

func isSeparator(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) }

func (l *loader) proxyIn(name string) Proxy {
	p, err := ParseProxy(l.env[name])
	if err != nil {
		l.fault("%s %v", name, err)
	}
	p.Source = name
	return p
}

// originalsProxy reads the proxy out of the original's settings file, where one lies
// beside host.json. Source stays empty when it names none.
func (l *loader) originalsProxy(path string) Proxy {
	const name = "msteams.cfg"
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Proxy{}
	}
	if err != nil {
		l.fault("%s beside host.json can't be read: %v", name, errors.Unwrap(err))
		return Proxy{Source: name}
	}
	file, err := msteamscfg.Parse(content)
	if err != nil {
		l.fault("%s %v", name, err)
		return Proxy{Source: name}
	}
	p, password := ProxyOf(file)
	for _, text := range file.Faults() {
		l.fault("%s: %s", name, text)
	}
	if password {
		l.fault("%s: a password does not belong into this file: take u8sProxyPassword out, and a password out of u8sProxyAddress, and store it in Key Vault as the secret %s", name, ProxyPasswordName)
	}
	if secrets := file.Skip("u8sClientSecret", "u8sTokenCache", "u8sAuthToken"); len(secrets) > 0 {
		l.warn(name + " beside host.json holds secrets (" + strings.Join(secrets, ", ") + "): only the names that begin with u8sProxy are read, take everything else out")
	}
	if p.On() || len(file.Faults()) > 0 || password {
		p.Source = name
	}
	return p
}

// ProxyOf reads the proxy out of the original's settings. What is wrong is added to
// the file's faults. password reports whether one stands there; it is not kept.
func ProxyOf(file *msteamscfg.File) (p Proxy, password bool) {
	address, user := file.Text("u8sProxyAddress"), file.Text("u8sProxyUserName")
	exceptions := file.List("u8sProxyBypassList")
	password = len(file.Skip("u8sProxyPassword")) > 0
	if address == "" {
		return Proxy{}, password
	}
	p, err := ParseProxy(address)
	switch {
	case err != nil:
		file.Fault("u8sProxyAddress " + err.Error())
	case p.User != "" && user != "" && p.User != user:
		file.Fault("u8sProxyAddress names another user than u8sProxyUserName: keep one of the two")
	case !isPlain(user) || strings.Contains(user, ":"):
		file.Fault("u8sProxyUserName holds a sign that no user name may hold")
	}
	password = password || p.HasPassword
	p.User, p.Password, p.HasPassword, p.Source = cmp.Or(user, p.User), secret.Text{}, false, "msteams.cfg"
	more, wrong := bypass(exceptions)
	for _, text := range wrong {
		file.Fault("u8sProxyBypassList: " + text)
	}
	p.Bypass = more
	return p, password
}

// environmentsProxy reads what other programs read, too.
func (l *loader) environmentsProxy() Proxy {
	name := "HTTPS_PROXY"
	if l.env[name] == "" {
		name = strings.ToLower(name)
	}
	if l.env[name] == "" || l.unresolved(name) {
		return Proxy{}
	}
	p := l.proxyIn(name)
	if p.User != "" {
		l.warn(name + " holds a user name: the Functions host reads it too, and has crashed because of one; use OUTBOUND_PROXY instead")
	}
	more, wrong := bypass(strings.FieldsFunc(l.noProxy(), isSeparator))
	for _, text := range wrong { // other programs know other forms
		l.warn("NO_PROXY: " + text)
	}
	p.Bypass = more
	return p
}

func (l *loader) noProxy() string { return cmp.Or(l.env["NO_PROXY"], l.env["no_proxy"]) }

// warnOfTheHost warns of settings by which the Functions host sends its own calls
// to the bridge through a proxy (.NET's environment proxy knows no loopback).
func (l *loader) warnOfTheHost() {
	if slices.Contains(strings.FieldsFunc(l.noProxy(), isSeparator), "127.0.0.1") {
		return
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		if l.env[name] != "" {
			l.warn(name + " is set and NO_PROXY lacks 127.0.0.1: the Functions host uses this too, and sends its calls to the bridge there; remove it (the bridge reads OUTBOUND_PROXY), or set NO_PROXY=localhost,127.0.0.1")
		}
	}
}

// authorities reads the certificates that the bridge trusts besides the system's: the
// text of OUTBOUND_CA, and the file that OUTBOUND_CA_FILE names.
func (l *loader) authorities(folder string) (all []*x509.Certificate) {
	const text, file = "OUTBOUND_CA", "OUTBOUND_CA_FILE"
	if l.env[text] != "" && !l.unresolved(text) {
		all = l.authoritiesIn(text, []byte(lines(l.env[text])))
	}
	path := l.env[file]
	if path == "" {
		return all
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		l.fault("%s names a file that can't be read (%v): name one that lies beside host.json", file, reason(err))
		return all
	}
	return append(all, l.authoritiesIn(file, content)...)
}

func (l *loader) authoritiesIn(name string, content []byte) []*x509.Certificate {
	all, err := trust.Authorities(content)
	if err != nil {
		l.fault("%s %v", name, err)
	}
	return all
}

// boundary is what begins or ends a certificate in PEM.
var boundary = regexp.MustCompile(`-----(BEGIN|END) [A-Z0-9 ]+-----`)

// lines gives a PEM text its lines back, which the fields of the Azure portal take away.
func lines(text string) string {
	return boundary.ReplaceAllString(strings.ReplaceAll(text, `\n`, "\n"), "\n$0\n")
}

// reason is an error of the file system without the path.
func reason(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
