// Package cloud is the local cloud: everything that the bridge needs around it,
// on one machine, started by one call and gone without a trace after another.
//
//	browser ── http://localhost:7071 ── dev host ── handler process(es)
//	   │                                  │            │
//	   ├─ sign-in pages, menu             │            ├─ Entra   back channel, https
//	   ├─ Teams page                      │            ├─ Graph   https
//	   └─ UCServer page                   │            ├─ Key Vault, UCServer   https
//	                                      └─ Azurite ──┘
//
// The handler sees only settings that it would also have in Azure: nothing in it
// knows that it runs locally. SDKs refuse plain http, so the back channels are TLS
// below a certificate authority made for this run; pages that a person opens are
// plain http on 127.0.0.1, while the bridge is on localhost, so that they are two
// sites as in real life.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"procallteams/dev/azurite"
	"procallteams/dev/entra"
	"procallteams/dev/funchost"
	"procallteams/dev/graph"
	"procallteams/dev/keyvault"
	"procallteams/dev/pki"
	"procallteams/dev/ucserver"
)

// Options say what to start. The zero value is one process for all functions,
// on free ports, with 25 users.
type Options struct {
	// Dist is the folder that make build lays out; "dist" in the repository's root
	// when empty.
	Dist string
	// Port is the bridge's own port on localhost, 0 for a free one. With a port,
	// the simulators' pages get fixed ones too: Entra the next, Teams, UCServer.
	Port int
	// Users is the size of the directory, beside the accounts that can sign in.
	Users int
	// Members makes all of them enabled members; otherwise a few are guests or
	// disabled, as in real directories.
	Members bool
	// Roster gives UCServer a list of its own users, who fit the accounts in various
	// ways or not at all; otherwise the bridge takes UPNs for user names.
	Roster bool
	// Seed decides users, movement and probabilities.
	Seed uint64
	// Schedule is PRESENCE_SYNC_SCHEDULE, "*/5 * * * * *" when empty.
	Schedule string
	// Mode is how HTTP functions are called; empty follows host.json.
	Mode funchost.Mode
	// PerGroup starts one process per function group as Flex Consumption does:
	// two for HTTP, two for presencepush, one for each timer.
	PerGroup bool
	// Cold is how late queue functions pick up a message after Quiet without one, as
	// without always-ready instances; see [funchost.Options].
	Cold, Quiet time.Duration
	// Domain names the back channels of Entra, Graph and UCServer: login.<Domain> and so
	// on, which only a proxy that is told of them finds. Empty: they are on 127.0.0.1,
	// where no proxy is asked for anything.
	Domain string
	// Wire puts a counting proxy in front of the storage emulator.
	Wire bool
	// DataDir keeps storage between runs; empty is a temporary folder.
	DataDir string
	// Settings are app settings that win over those made here.
	Settings map[string]string
	// Log receives the lines of the host and its handlers; nothing when nil.
	Log io.Writer
}

// Cloud is a running local cloud.
type Cloud struct {
	Entra    *entra.Simulator
	Graph    *graph.Simulator
	Vault    *keyvault.Simulator
	UCServer *ucserver.Server
	Azurite  *azurite.Server
	Wire     *azurite.Wire // nil without Options.Wire
	Host     *funchost.Host
	CA       *pki.Authority

	// URL is the bridge as browsers and UCServer see it, without trailing slash.
	URL string
	// EntraPages, TeamsPage and UCServerPage are what a person opens.
	EntraPages, TeamsPage, UCServerPage string
	// PushURL is what an administrator enters as the push target.
	PushURL string
	// Dist is the folder that the host runs.
	Dist string
	// Accounts can sign in; the first one is an administrator.
	Accounts []Account

	// ClientSecret is the app registration's.
	ClientSecret string

	entraURL, graphURL, vaultURL, vaultResource string

	names []string // of back channels, with Options.Domain

	onInvocation atomic.Pointer[func(funchost.Invocation)]

	env      map[string]string
	dir      string
	stop     []func() error
	stopOnce sync.Once
	stopped  error
}

// Start starts everything. When it returns, the handler has answered the
// readiness probe. With an error, nothing is left behind.
func Start(ctx context.Context, o Options) (_ *Cloud, err error) {
	c := &Cloud{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if c.dir, err = os.MkdirTemp("", "procall-cloud-"); err != nil {
		return nil, fmt.Errorf("make a folder for the local cloud: %w", err)
	}
	c.onStop(func() error { return os.RemoveAll(c.dir) })
	if o.Dist == "" {
		root, err := Root()
		if err != nil {
			return nil, err
		}
		o.Dist = filepath.Join(root, "dist")
	}
	if _, err := os.Stat(filepath.Join(o.Dist, "host.json")); err != nil {
		return nil, fmt.Errorf("%s is no laid-out app: run make build", o.Dist)
	}
	c.Dist = o.Dist
	if c.CA, err = pki.New(); err != nil {
		return nil, err
	}
	port, err := bridgePort(o.Port)
	if err != nil {
		return nil, err
	}
	c.URL = "http://localhost:" + strconv.Itoa(port)
	if err := c.startSimulators(o); err != nil {
		return nil, err
	}
	if err := c.populate(o); err != nil {
		return nil, err
	}
	storage, err := c.startStorage(ctx, o)
	if err != nil {
		return nil, err
	}
	if c.env, err = c.settings(o, storage); err != nil {
		return nil, err
	}
	return c, c.startHost(ctx, o, port, storage)
}

// Stop ends every process and listener and removes the temporary folder. It may
// be called more than once.
func (c *Cloud) Stop() error {
	c.stopOnce.Do(func() {
		var faults []error
		for i := len(c.stop) - 1; i >= 0; i-- {
			faults = append(faults, c.stop[i]())
		}
		c.stopped = errors.Join(faults...)
	})
	return c.stopped
}

func (c *Cloud) onStop(f func() error) { c.stop = append(c.stop, f) }

// Root returns the repository's root: the folder of go.mod above the working
// directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the repository: no go.mod above the working directory")
		}
		dir = parent
	}
}

// bridgePort returns the wanted port, or a free one: the public address stands
// in the settings of a process that starts before the port is opened. It lies below
// the range that the kernel gives to others meanwhile, and above that of handlers.
func bridgePort(wanted int) (int, error) {
	if wanted != 0 {
		return wanted, nil
	}
	for range 200 {
		port := 30000 + rand.IntN(2768)
		if listener, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("find a free port for the bridge: none between 30000 and 32767")
}

// listen serves h on 127.0.0.1 and returns the base URL.
func (c *Cloud) listen(h http.Handler, port int, secure bool) (string, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return "", fmt.Errorf("listen for the local cloud: %w", err)
	}
	server := &http.Server{Handler: h, ErrorLog: discard}
	scheme := "http"
	if secure {
		scheme = "https"
		server.TLSConfig = c.CA.ServerTLS(append([]string{"127.0.0.1", "::1", "localhost"}, c.names...)...)
		go func() { _ = server.ServeTLS(listener, "", "") }()
	} else {
		go func() { _ = server.Serve(listener) }()
	}
	c.onStop(server.Close)
	return scheme + "://" + listener.Addr().String(), nil
}
