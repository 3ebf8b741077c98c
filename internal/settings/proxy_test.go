package settings_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"procallteams/internal/settings"
)

// appFolder is a folder of host.json with these files.
func appFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// inMsteamsCfg are app settings whose folder holds a msteams.cfg with these members.
func inMsteamsCfg(t *testing.T, members map[string]any) string {
	t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return "FUNCTIONS_APP_ROOT_PATH=" + appFolder(t, map[string]string{"msteams.cfg": string(text)})
}

// places are the three where a proxy may be named, each with its app setting.
func places(t *testing.T, address string) map[string]string {
	return map[string]string{
		"OUTBOUND_PROXY": "OUTBOUND_PROXY=" + address,
		"msteams.cfg":    inMsteamsCfg(t, map[string]any{"u8sProxyAddress": address}),
		"HTTPS_PROXY":    "HTTPS_PROXY=" + address,
	}
}

func TestAProxyIsReadTheSameFromEachPlace(t *testing.T) {
	for _, tt := range []struct{ text, want, fault string }{
		{"192.168.1.253:1234", "http://192.168.1.253:1234", ""},
		{"proxy.contoso.com:8080", "http://proxy.contoso.com:8080", ""},
		{"//proxy:8080", "http://proxy:8080", ""},
		{"http://proxy.contoso.com", "http://proxy.contoso.com:80", ""},
		{"[fd00::5]:8080", "http://[fd00::5]:8080", ""},
		{" proxy.contoso.com:8080 ", "http://proxy.contoso.com:8080", ""},
		{"HTTP://proxy.contoso.com:8080/", "http://proxy.contoso.com:8080", ""},
		{"https://proxy.contoso.com:443", "https://proxy.contoso.com:443", ""},
		{"https://proxy.contoso.com", "https://proxy.contoso.com:443", ""},
		{"svc@proxy.contoso.com:8080", "http://proxy.contoso.com:8080", ""},
		{"fd00::5:8080", "", "an IPv6 address stands in brackets"},
		{"socks5://proxy:1080", "", "SOCKS"},
		{"proxy.pac", "", "(PAC)"},
		{"http://proxy.contoso.com/proxy.pac", "", "(PAC)"},
		{"ftp://proxy:21", "", "another protocol"},
		{"none", "", "names no proxy: take it out"},
		{"DIRECT", "", "names no proxy: take it out"},
		{"http://none", "", "names no proxy: take it out"},
		{"direct://", "", "names no proxy: take it out"},
		{"off", "", "names no proxy: take it out"},
		{"none:8080", "http://none:8080", ""},
		{"direct.contoso.com", "http://direct.contoso.com:80", ""},
		{"http=proxy:8080;https=proxy:8080", "", "host:port"},
		{"proxy.contoso.com:0", "", "host:port"},
		{"proxy.contoso.com:99999", "", "host:port"},
		{"proxy.contoso.com:", "", "host:port"},
		{":8080", "", "host:port"},
		{"http://", "", "host:port"},
		{"proxy contoso:8080", "", "host:port"},
		{"http://svc:50%off@proxy.contoso.com:8080", "", "percent-encoded"},
		{"http://svc:p@ss#1@proxy.contoso.com:8080", "", "percent-encoded"},
		{"http://svc:p@ss@proxy.contoso.com:8080", "", "percent-encoded"},
		{"http://svc:p/ss@proxy.contoso.com:8080", "", "percent-encoded"},
		{"svc:a://ss@proxy.contoso.com:8080", "", "percent-encoded"},
		{"http://svc:%ff@proxy.contoso.com:8080", "", "percent-encoded"},
		{"http://:ss@proxy.contoso.com:8080", "", "percent-encoded"},
	} {
		for place, setting := range places(t, tt.text) {
			t.Run(place+" "+strings.ReplaceAll(tt.text, "/", "|"), func(t *testing.T) {
				b, err := settings.Load(complete(setting))
				if tt.fault == "" {
					if err != nil || b.Proxy.Address.String() != tt.want || b.Proxy.Source != place {
						t.Errorf("Load() = %+v, %v; want %s from %s", b.Proxy, err, tt.want, place)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), tt.fault) || !strings.Contains(err.Error(), place) || b.Proxy.On() {
					t.Fatalf("Load() = %+v, %v; want a fault of %s with %q", b.Proxy, err, place, tt.fault)
				}
				for _, part := range []string{"ss#1", "off", "svc", "p@", "contoso.com/"} {
					if strings.Contains(err.Error(), part) {
						t.Errorf("the fault holds a part of the value, %q: %v", part, err)
					}
				}
			})
		}
	}
}

func TestAPasswordThatIsPercentEncodedWorksInAppSettingsAlone(t *testing.T) {
	const address = "http://svc:p%40ss%231@proxy.contoso.com:8080"
	for place, setting := range places(t, address) {
		b, err := settings.Load(complete(setting))
		if place == "msteams.cfg" {
			if err == nil || !strings.Contains(err.Error(), "store it in Key Vault as the secret proxy-password") || strings.Contains(err.Error(), "p%40") {
				t.Errorf("%s: Load() = %v", place, err)
			}
			continue
		}
		p := b.Proxy
		if err != nil || p.User != "svc" || p.Password.Reveal() != "p@ss#1" || p.PasswordInVault() || p.Address.String() != "http://proxy.contoso.com:8080" {
			t.Errorf("%s: Load() = %+v, %v", place, p, err)
		}
		if warned := slices.ContainsFunc(b.Warnings, func(w string) bool { return strings.Contains(w, "has crashed") }); warned != (place == "HTTPS_PROXY") {
			t.Errorf("%s: warnings %q", place, b.Warnings)
		}
	}
}

func TestTheOriginalsFileNamesTheProxy(t *testing.T) {
	b, err := settings.Load(complete(inMsteamsCfg(t, map[string]any{
		"u8sTenant": "whatever", "U8SPROXYADDRESS": "192.168.1.253:1234", "u8sProxyUserName": `CONTOSO\svc`,
		"u8sProxyBypassList": []string{"*.blob.core.windows.net", "<local>", "10.*", "192.168.1.7:8443", "[fd00::7]", ""},
	}), "HTTPS_PROXY=other:1", "OUTBOUND_PROXY_BYPASS=vault.azure.net"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"*.blob.core.windows.net", "<local>", "10.0.0.0/8", "192.168.1.7:8443", "fd00::7", "vault.azure.net"}
	if p := b.Proxy; p.Address.Host != "192.168.1.253:1234" || p.User != `CONTOSO\svc` || !p.PasswordInVault() || !slices.Equal(p.Bypass, want) {
		t.Errorf("Proxy = %+v", p)
	}
	// OUTBOUND_PROXY goes before the file, which is not even looked at.
	b, err = settings.Load(complete(inMsteamsCfg(t, map[string]any{"u8sProxyPassword": "hunter2"}), "OUTBOUND_PROXY=first:1"))
	if err != nil || b.Proxy.Source != "OUTBOUND_PROXY" || len(b.Proxy.Bypass) != 0 {
		t.Errorf("Load() = %+v, %v", b.Proxy, err)
	}
	// A file that names no proxy leaves the choice to the next place.
	b, err = settings.Load(complete(inMsteamsCfg(t, map[string]any{"u8sTenant": "x", "u8sClientSecret": "hunter2"}), "https_proxy=other:1", "NO_PROXY=a.example;b.example,:"))
	if err != nil || b.Proxy.Source != "https_proxy" || !slices.Equal(b.Proxy.Bypass, []string{"a.example", "b.example"}) {
		t.Errorf("Load() = %+v, %v", b.Proxy, err)
	}
	if text := strings.Join(b.Warnings, "\n"); !strings.Contains(text, "u8sClientSecret") || !strings.Contains(text, "NO_PROXY: entry 3") || strings.Contains(text, "hunter2") {
		t.Errorf("warnings = %s", text)
	}
}

func TestWhatCantBeReadOfAProxyIsAFaultAndNeverADirectConnection(t *testing.T) {
	for _, tt := range []struct {
		name string
		with []string
		want string
	}{
		{"a file that is no JSON", []string{"FUNCTIONS_APP_ROOT_PATH=" + appFolder(t, map[string]string{"msteams.cfg": "{\n\"u8sProxyAddress\" : hunter2"})}, "msteams.cfg is not JSON from line 2"},
		{"a password in the file", []string{inMsteamsCfg(t, map[string]any{"u8sProxyAddress": "p:1", "u8sProxyPassword": "hunter2"})}, "secret proxy-password"},
		{"two users", []string{inMsteamsCfg(t, map[string]any{"u8sProxyAddress": "a@p:1", "u8sProxyUserName": "b"})}, "keep one of the two"},
		{"an address that is a number", []string{inMsteamsCfg(t, map[string]any{"u8sProxyAddress": 8080})}, "u8sProxyAddress: must be a text"},
		{"an exception in the file", []string{inMsteamsCfg(t, map[string]any{"u8sProxyAddress": "p:1", "u8sProxyBypassList": []string{"ok", "https://hunter2"}})}, "u8sProxyBypassList: entry 2 can't be read"},
		{"an exception in the setting", []string{"OUTBOUND_PROXY=p:1", "OUTBOUND_PROXY_BYPASS=ok, hunter2*"}, "OUTBOUND_PROXY_BYPASS: entry 2 can't be read"},
		{"an unresolved reference", []string{"OUTBOUND_PROXY=@Microsoft.KeyVault(SecretUri=https://hunter2)"}, "OUTBOUND_PROXY is a Key Vault reference that was not resolved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := settings.Load(complete(tt.with...))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Load() = %+v, %v; want %q", b.Proxy, err, tt.want)
			}
		})
	}
}

func TestProxiesThatCatchTheHostsOwnCallsAreWarnedAbout(t *testing.T) {
	for _, tt := range []struct {
		name string
		with []string
		want string
	}{
		{"HTTP_PROXY alone", []string{"HTTP_PROXY=http://proxy.contoso.com:8080"}, "HTTP_PROXY is set and NO_PROXY lacks 127.0.0.1"},
		{"ALL_PROXY, with another exception", []string{"ALL_PROXY=p:1", "NO_PROXY=localhost"}, "the Functions host uses this too"},
		{"with the exception", []string{"HTTP_PROXY=p:1", "NO_PROXY=localhost, 127.0.0.1"}, ""},
		{"HTTPS_PROXY is harmless", []string{"HTTPS_PROXY=p:1"}, ""},
		{"exceptions from nothing", []string{"OUTBOUND_PROXY_BYPASS=*"}, "has no effect"},
		{"a name that nothing reads", []string{"OUTBOUND_PROXY_PASSWORD=hunter2"}, "OUTBOUND_PROXY_PASSWORD is not a setting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := settings.Load(complete(tt.with...))
			if text := strings.Join(b.Warnings, "\n"); err != nil || (tt.want == "") != (text == "") || !strings.Contains(text, tt.want) || strings.Contains(text, "hunter2") {
				t.Errorf("Load() = %v, warnings %q; want %q", err, text, tt.want)
			}
		})
	}
}

// authority is the certificate of one, as PEM.
func authority(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestOtherAuthoritiesAreReadFromATextAndAFileBesideHostJSON(t *testing.T) {
	if b, err := settings.Load(complete()); err != nil || b.Authorities != nil {
		t.Errorf("Load() = %v, %v", b.Authorities, err)
	}
	one, two, three := authority(t, "One CA"), authority(t, "Two CA"), authority(t, "Three CA")
	folder := "FUNCTIONS_APP_ROOT_PATH=" + appFolder(t, map[string]string{"empty.pem": "", "text.pem": "hunter2", "three.pem": three})
	for name, text := range map[string]string{
		"as it is": one + two, "in one line": strings.ReplaceAll(one+two, "\n", " "), "with written line ends": strings.ReplaceAll(one+two, "\n", `\n`),
	} {
		b, err := settings.Load(complete(folder, "OUTBOUND_CA="+text, "OUTBOUND_CA_FILE=three.pem"))
		var names []string
		for _, certificate := range b.Authorities {
			names = append(names, certificate.Subject.CommonName)
		}
		if err != nil || !slices.Equal(names, []string{"One CA", "Two CA", "Three CA"}) {
			t.Errorf("%s: Load() = %q, %v", name, names, err)
		}
	}
	for setting, want := range map[string]string{
		"OUTBOUND_CA_FILE=none.pem": "no such file", "OUTBOUND_CA_FILE=empty.pem": "holds no certificate",
		"OUTBOUND_CA_FILE=text.pem": "holds no certificate", "OUTBOUND_CA=hunter2": "OUTBOUND_CA holds no certificate",
	} {
		if _, err := settings.Load(complete(folder, setting)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: Load() = %v; want %q", setting, err, want)
		}
	}
}
