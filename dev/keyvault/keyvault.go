// Package keyvault simulates the secrets of one Azure Key Vault over its REST
// interface (api-version 7.x and 2026-04-01): challenge authentication, versions,
// attributes, tags, soft delete with recover and purge.
//
// It refuses what the service refuses: a request without a token (401 with a
// challenge), values over 25 KiB, reading a disabled version, writing a name that
// lies in soft delete, and it has neither compare-and-swap nor a way to delete one
// version. Where Microsoft's documentation is silent the comment says INFER.
//
// Not simulated: keys, certificates, backup, network rules, paging tokens that
// outlive a change.
package keyvault

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config is what a vault is made of. URLs may be set later by
// [Simulator.SetURLs], once listeners have ports.
type Config struct {
	// VerifyToken checks a bearer token, its audience included; an error is
	// answered 401. Nil refuses every token.
	VerifyToken func(token string) error
	// Authority is the tenant's URL at the token service, as the challenge names it:
	// scheme, host and one path segment.
	Authority string
	// Resource is what tokens must be for. Clients insist that the vault's host ends
	// in a full stop and the resource's host; see [ResourceFor]. Empty: derived from
	// the Host of each request.
	Resource string
	// Now is the clock of attributes; time.Now when nil.
	Now func() time.Time
	// PurgeAfter is the time a deleted secret can be recovered; 90 days when zero.
	PurgeAfter time.Duration
}

// Version is one version of a secret.
type Version struct {
	ID          string // 32 hexadecimal digits
	Value       string
	ContentType string
	Tags        map[string]string
	Enabled     bool
	NotBefore   *int64 // Unix seconds, informational
	Expires     *int64 // Unix seconds, informational
	Created     time.Time
	Updated     time.Time
}

// Simulator is one vault. It is safe for concurrent use.
type Simulator struct {
	cfg Config
	mux *http.ServeMux

	mu         sync.Mutex // guards everything below
	authority  string
	resource   string
	live       map[string]*secret
	deleted    map[string]*secret
	values     []string // every value ever stored
	forbidden  map[string]bool
	recovering map[string]int // writes still refused after a recovery, by name
	delay      int            // how many writes a recovery refuses
	faults     []*Fault
	requests   map[string]int
}

// secret is all versions of one name, oldest first.
type secret struct {
	name      string
	versions  []*Version
	deletedAt time.Time
}

// New makes an empty vault.
func New(cfg Config) *Simulator {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.PurgeAfter == 0 {
		cfg.PurgeAfter = 90 * 24 * time.Hour
	}
	if cfg.VerifyToken == nil {
		cfg.VerifyToken = func(string) error { return errors.New("no token is accepted") }
	}
	s := &Simulator{
		cfg: cfg, authority: strings.TrimSuffix(cfg.Authority, "/"), resource: cfg.Resource,
		live: map[string]*secret{}, deleted: map[string]*secret{}, forbidden: map[string]bool{},
		recovering: map[string]int{}, requests: map[string]int{},
	}
	s.mux = s.routes()
	return s
}

// SetURLs sets what the challenge names.
func (s *Simulator) SetURLs(authority, resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authority, s.resource = strings.TrimSuffix(authority, "/"), resource
}

// ResourceFor gives the resource of a vault at host (name or address, with port):
// https and the host without its first label, which is what clients compare. For
// 127.0.0.1:8443 that is the odd but sufficient https://0.0.1:8443.
func ResourceFor(host string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if _, rest, found := strings.Cut(name, "."); found {
		name = rest
	}
	if port != "" {
		name += ":" + port
	}
	return "https://" + name
}

// Versions lists the versions of a secret, oldest first; those of a deleted one
// too.
func (s *Simulator) Versions(name string) []Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.live[key(name)]
	if found == nil {
		found = s.deleted[key(name)]
	}
	if found == nil {
		return nil
	}
	versions := make([]Version, 0, len(found.versions))
	for _, v := range found.versions {
		versions = append(versions, *v)
	}
	return versions
}

// Names lists the secrets that are not deleted.
func (s *Simulator) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sortedNames(s.live)
}

// Value is the newest version's value; false when the secret does not exist.
func (s *Simulator) Value(name string) (string, bool) {
	versions := s.Versions(name)
	if len(versions) == 0 {
		return "", false
	}
	return versions[len(versions)-1].Value, true
}

// SecretValues lists every value that was ever stored. None may be found in what
// the app under test stores elsewhere or logs.
func (s *Simulator) SecretValues() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values)
}

// Set stores a version as an administrator would in the portal.
func (s *Simulator) Set(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(name, value)
}

// Delete moves a secret to soft delete as an administrator would in the portal.
func (s *Simulator) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.live[key(name)]; found != nil {
		s.moveToDeleted(found)
	}
}

func (s *Simulator) store(name, value string) *Version {
	k := key(name)
	if s.live[k] == nil {
		s.live[k] = &secret{name: name}
	}
	now := s.cfg.Now().UTC().Truncate(time.Second)
	v := &Version{ID: versionID(), Value: value, Enabled: true, Created: now, Updated: now}
	s.live[k].versions = append(s.live[k].versions, v)
	s.values = append(s.values, value)
	return v
}

func (s *Simulator) moveToDeleted(found *secret) {
	found.deletedAt = s.cfg.Now().UTC().Truncate(time.Second)
	delete(s.live, key(found.name))
	s.deleted[key(found.name)] = found
}

// key: names of secrets do not differ by case alone.
func key(name string) string { return strings.ToLower(name) }

func versionID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func sortedNames(secrets map[string]*secret) []string {
	names := make([]string, 0, len(secrets))
	for _, found := range secrets {
		names = append(names, found.name)
	}
	slices.Sort(names)
	return names
}
