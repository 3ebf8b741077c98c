package cloud

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"strings"

	"procallteams/dev/azurite"
	"procallteams/dev/entra"
	"procallteams/dev/funchost"
	"procallteams/dev/graph"
	"procallteams/dev/keyvault"
	"procallteams/dev/ucserver"
)

// discard takes what net/http says about connections that a killed handler or a
// fault cut: the runs cut them on purpose.
var discard = log.New(io.Discard, "", 0)

// startSimulators opens every listener first, since the simulators' answers name
// each other's addresses.
func (c *Cloud) startSimulators(o Options) error {
	var err error
	if c.Entra, err = entra.New(entra.Config{}); err != nil {
		return err
	}
	c.Graph = graph.New(graph.Config{Seed: o.Seed, TenantID: TenantID, VerifyToken: c.verifyGraph})
	c.onStop(func() error { c.Graph.Close(); return nil })
	if c.UCServer, err = ucserver.New(ucserver.Config{BridgeURL: c.URL}); err != nil {
		return err
	}
	c.onStop(func() error { c.UCServer.Close(); return nil })

	page := func(h http.Handler, offset int) (string, error) {
		port := 0
		if o.Port != 0 {
			port = o.Port + offset
		}
		return c.listen(h, port, false)
	}
	if c.EntraPages, err = page(c.Entra, 1); err != nil {
		return err
	}
	if c.TeamsPage, err = page(c.Graph, 2); err != nil {
		return err
	}
	if c.UCServerPage, err = page(c.UCServer, 3); err != nil {
		return err
	}
	if o.Domain != "" {
		c.names = Names(o.Domain)
	}
	back := func(h http.Handler, name string) (string, error) {
		address, err := c.listen(h, 0, true)
		if o.Domain != "" {
			address = strings.Replace(address, "127.0.0.1", name+"."+o.Domain, 1)
		}
		return address, err
	}
	if c.entraURL, err = back(c.Entra, "login"); err != nil {
		return err
	}
	if c.graphURL, err = back(c.Graph, "graph"); err != nil {
		return err
	}
	push, err := back(c.UCServer, "ucserver")
	if err != nil {
		return err
	}
	c.PushURL = push + "/push"
	c.Vault = keyvault.New(keyvault.Config{VerifyToken: c.verifyVault})
	vault, err := c.listen(c.Vault, 0, true)
	if err != nil {
		return err
	}
	c.vaultURL, c.vaultResource = vault, keyvault.ResourceFor(strings.TrimPrefix(vault, "https://"))
	c.Vault.SetURLs(c.entraURL+"/"+TenantID, c.vaultResource)
	c.Entra.SetURLs(c.EntraPages, c.entraURL)
	c.Entra.SetResources(c.graphURL, c.vaultResource)
	return nil
}

// Names are the host names below a domain, for [Options.Domain].
func Names(domain string) []string {
	return []string{"login." + domain, "graph." + domain, "ucserver." + domain}
}

func (c *Cloud) startStorage(ctx context.Context, o Options) (string, error) {
	options := azurite.Options{Dir: o.DataDir}
	server, err := azurite.Start(ctx, options)
	if err != nil {
		return "", err
	}
	c.Azurite = server
	c.onStop(func() error { server.Stop(); return nil })
	if !o.Wire {
		return server.ConnectionString(), nil
	}
	wire, err := azurite.NewWire(server.Endpoints())
	if err != nil {
		return "", err
	}
	c.Wire = wire
	c.onStop(wire.Close)
	return wire.ConnectionString(), nil
}

// settings are the handler's app settings: what a function app in Azure has,
// with local addresses.
func (c *Cloud) settings(o Options, storage string) (map[string]string, error) {
	ca, err := c.CA.CertFile(c.dir)
	if err != nil {
		return nil, err
	}
	schedule := o.Schedule
	if schedule == "" {
		schedule = "*/5 * * * * *"
	}
	env := map[string]string{
		"FUNCTIONS_WORKER_RUNTIME": "custom",
		"AzureWebJobsStorage":      storage,
		"KEY_VAULT_URI":            c.vaultURL,
		"BRIDGE_PUBLIC_URL":        c.URL,
		"ENTRA_AUTHORITY":          c.entraURL,
		"GRAPH_ENDPOINT":           c.graphURL,
		"PRESENCE_SYNC_SCHEDULE":   schedule,
		"SSL_CERT_FILE":            ca,
		// As the template sets it.
		"AzureWebJobsDisableHomepage": "true",
		// The app registration trusts it, so that no secret is needed.
		"MANAGED_IDENTITY_CLIENT_ID": bridgeIdentity,
		"IDENTITY_ENDPOINT":          c.EntraPages + "/msi/token",
		"IDENTITY_HEADER":            c.Entra.IdentityHeader(),
	}
	maps.Copy(env, o.Settings)
	return env, nil
}

func (c *Cloud) startHost(ctx context.Context, o Options, port int, storage string) error {
	options := funchost.Options{
		ScriptRoot: o.Dist, Addr: fmt.Sprintf("127.0.0.1:%d", port), Env: c.env, Storage: storage, Mode: o.Mode, Log: o.Log, Supervise: true,
		Cold: o.Cold, Quiet: o.Quiet,
		OnInvocation: func(call funchost.Invocation) {
			if f := c.onInvocation.Load(); f != nil {
				(*f)(call)
			}
		},
	}
	if o.PerGroup {
		options.Layout = funchost.Layout{PerGroup: true, HTTP: 2, Queue: 2}
	}
	host, err := funchost.Start(ctx, options)
	if err != nil {
		return err
	}
	c.Host = host
	c.onStop(func() error { host.Stop(); return nil })
	return host.AwaitReady(ctx)
}

// OnInvocation sets a function that is called at the start and the end of every
// invocation, by several goroutines; nil removes it.
func (c *Cloud) OnInvocation(f func(funchost.Invocation)) {
	if f == nil {
		c.onInvocation.Store(nil)
		return
	}
	c.onInvocation.Store(&f)
}

// Environment is this process's environment with the handler's settings, for
// starting a handler without a host.
func (c *Cloud) Environment() []string {
	list := os.Environ()
	for name, value := range c.env {
		list = append(list, name+"="+value)
	}
	return list
}
