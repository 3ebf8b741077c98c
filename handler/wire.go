package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"procallteams/functions/consentcallback"
	"procallteams/functions/consentstart"
	"procallteams/functions/console"
	"procallteams/functions/credentials"
	directoryfunc "procallteams/functions/directory"
	"procallteams/functions/directorysync"
	"procallteams/functions/health"
	integrationfunc "procallteams/functions/integration"
	"procallteams/functions/presencechanges"
	"procallteams/functions/presencepush"
	"procallteams/functions/presenceset"
	"procallteams/functions/presencesnapshot"
	"procallteams/functions/presencesync"
	"procallteams/functions/status"
	"procallteams/functions/telephony"
	"procallteams/functions/upkeep"
	"procallteams/functions/usermatching"
	"procallteams/functions/users"
	"procallteams/internal/access"
	"procallteams/internal/appcredential"
	"procallteams/internal/calls"
	"procallteams/internal/consent"
	"procallteams/internal/directory"
	"procallteams/internal/entra"
	"procallteams/internal/feed"
	"procallteams/internal/graph"
	"procallteams/internal/host"
	"procallteams/internal/integration"
	"procallteams/internal/keyvault"
	"procallteams/internal/outbound"
	"procallteams/internal/poll"
	"procallteams/internal/presence"
	"procallteams/internal/report"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
	"procallteams/internal/telemetry"
	"procallteams/internal/ucserver"
)

// Adapters fulfil the ports of their consumers.
var (
	_ presencesync.Graph   = (*graph.Client)(nil)
	_ presencesync.Tokens  = (*consent.Service)(nil)
	_ directorysync.Graph  = (*graph.Client)(nil)
	_ directorysync.Tokens = (*consent.Service)(nil)
	_ presenceset.Graph    = (*graph.Client)(nil)
	_ presenceset.Tokens   = (*consent.Service)(nil)
	_ presenceset.Work     = storage.Calls{}
	_ presenceset.Written  = storage.Written{}
	_ telephony.Ledger     = (*calls.Ledger)(nil)
	_ console.SignIn       = (*consent.Service)(nil)
	_ consent.Addresses    = (*entra.Client)(nil)
	_ consent.Issuer       = (*entra.Client)(nil)
	_ appcredential.Vault  = (*keyvault.Vault)(nil)
	_ consent.Vault        = (*keyvault.Vault)(nil)
	_ access.Vault         = (*keyvault.Vault)(nil)
	_ integration.Tenants  = (*entra.Client)(nil)
)

// clients are what reaches outside, and what more than one function shares.
type clients struct {
	settings.Bootstrap
	log      *slog.Logger
	now      func() time.Time
	network  *outbound.Network
	storage  *storage.Storage
	settings storage.Settings
	identity *entra.Identity
	vault    *keyvault.Vault
	entra    *entra.Client
	// credential issues tokens by what proves the app registration.
	credential *appcredential.Issuer
	graph      *graph.Client
	consent    *consent.Service
	gate       *access.Gate
	setup      *access.Kept
	signing    *access.Kept
	// books and people are kept warm for every function of this process.
	books  *feed.Shelf
	people *directory.Cache
	meter  *telemetry.Meter
}

// connect builds the clients. Nothing is contacted yet.
func connect(b settings.Bootstrap, log *slog.Logger, meter *telemetry.Meter) (c clients, err error) {
	c = clients{Bootstrap: b, log: log, meter: meter, now: time.Now}
	var vault *keyvault.Vault
	c.network, err = outbound.New(outbound.Config{Proxy: b.Proxy, Authorities: b.Authorities, Now: c.now, Password: func(ctx context.Context) (secret.Text, error) {
		value, _, err := vault.Get(ctx, settings.ProxyPasswordName)
		return value, err
	}})
	if err != nil {
		return c, err
	}
	// The platform's identity endpoint is on this machine, or next to it.
	if c.identity, err = entra.ManagedIdentity(b.ManagedIdentity, c.network.Direct()); err != nil {
		return c, err
	}
	store := c.identity
	if b.Storage.IdentityClientID != b.ManagedIdentity {
		if store, err = entra.ManagedIdentity(b.Storage.IdentityClientID, c.network.Direct()); err != nil {
			return c, err
		}
	}
	if c.storage, err = storage.Open(b.Storage, store, c.network.Client()); err != nil {
		return c, err
	}
	c.settings = storage.Settings{Storage: c.storage, Overrides: b.Overrides}
	toVault := c.network.Client()
	if b.Proxy.PasswordInVault() {
		toVault = c.network.Direct() // the proxy wants a password that lies there
	}
	if vault, err = keyvault.Open(b.KeyVault, c.identity, toVault); err != nil {
		return c, err
	}
	c.vault = vault
	c.entra = &entra.Client{Cloud: b.Cloud, HTTP: c.network.Client()}
	if c.graph, err = graph.New(graph.Config{Endpoint: b.Cloud.Graph, Transport: c.network.Client()}); err != nil {
		return c, err
	}
	c.credential = c.appCredential()
	c.consent = consent.New(consent.Config{
		Settings: c.settings, Addresses: c.entra, Issuer: c.credential, Vault: c.vault,
		Grants: storage.Grants{Storage: c.storage}, Flows: storage.Flows{Storage: c.storage},
		Read: c.harmlessRead, Public: b.Public,
		Administrator: access.AdministratorFrom, Log: log,
		Audit: func(ctx context.Context, tenant, who, what string, fields ...string) error {
			return c.storage.Record(ctx, tenant, access.Change{Who: who, What: what, Fields: fields, At: time.Now()})
		},
	})
	c.gate = &access.Gate{Public: b.Public, Credentials: c.storage, Sessions: c.storage, Tenant: c.settings.Tenant, Now: c.now, Log: log}
	c.setup = &access.Kept{Name: access.SetupCodeName, Vault: c.vault, Versions: c.storage, Make: access.MakeSetupCode}
	c.signing = &access.Kept{Name: access.PushSecretName, Vault: c.vault, Versions: c.storage, Make: access.MakePushSecret}
	c.books, c.people = &feed.Shelf{}, &directory.Cache{Read: c.storage.Directory}
	return c, nil
}

// wire makes the functions.
func wire(b settings.Bootstrap, log *slog.Logger, meter *telemetry.Meter) (functions, error) {
	c, err := connect(b, log, meter)
	if err != nil {
		return functions{}, err
	}
	version := buildVersion()
	pusher := c.pusher()
	keys := access.Credentials{Store: c.storage, Tenant: c.settings.Tenant, Audit: c.storage, Now: c.now}
	reader := report.Reader{
		Settings: c.settings.Load, Now: c.storage.Now, Push: pusher.State, Due: storage.Calls{Storage: c.storage}.Due, Consumers: keys.List, Poisoned: c.storage.Poisoned, Interval: b.Interval,
	}
	editor := integration.Editor{Store: c.settings, Tenants: c.entra, Audit: c.storage, PushSecret: c.signing, Changed: c.tell, Now: c.now}
	ledger, writer := c.ledger(), c.writer()
	names := &usermatching.Function{Storage: c.storage, Settings: c.settings, Audit: c.storage, Now: c.now, Log: log}
	list := &directoryfunc.Function{Storage: c.storage, Settings: c.settings, Audit: c.storage, Now: c.now, Log: log}
	chain := c.check(pusher)
	feeds := poll.Feeds{
		Watch: &feed.Watch[poll.View]{Read: c.view, Every: time.Second},
		Open:  func(tenant string) feed.Reader { return c.storage.Feed(tenant) },
		Books: c.books,
	}
	sync := &presencesync.Function{
		Storage: c.storage, Settings: c.settings, Graph: c.graph, Tokens: c.consent, Books: c.books, People: c.people,
		Names: filepath.Join(b.ScriptRoot, "config", "usermatching.csv"), Interval: b.Interval, Unsteady: c.identity.Unsteady,
		Now: c.now, Log: log, Meter: meter,
	}
	lookups := users.Function{
		Storage: c.storage, Settings: c.settings, People: c.people.Index, Feeds: feeds, Interval: b.Interval, Now: c.now, Log: log,
	}
	return functions{
		consentStart:    consentstart.Function{Consent: c.consent, Administrator: c.gate.Administrator},
		consentCallback: consentcallback.Function{Consent: c.consent, Administrator: c.gate.AdministratorOr},
		console: &console.Function{
			Gate: c.gate, Setup: access.SetupCode{Code: c.setup, Tries: c.storage, Limiter: access.NewSetupLimiter(), Now: c.now},
			SignIn: c.consent, Editor: editor, Credentials: keys, Read: reader.Read, Check: chain.Run,
			App: c.credential, SecretFixed: !b.Overrides.ClientSecret.Empty(),
			Grants: c.consent, Probe: c.consent.ProveNow, Resume: pusher.Resume,
			Storage: c.storage, TakeNames: names.Take, TakeUsers: list.Take, LookUp: lookups.Find,
			Redirects: []string{c.consent.RedirectURI(consent.User), c.consent.RedirectURI(consent.Admin), c.consent.SignInURI()},
			KeyVault:  b.KeyVault, Warnings: b.Warnings, Outbound: status.OutboundOf(b), Now: c.now, Log: log,
		},
		credentials: c.gate.Administrator(credentials.Function{Credentials: keys, Log: log}),
		health:      c.gate.Either(access.Monitor, health.Function{Read: reader.Read, Version: version, Now: c.now}.ServeCaller),
		integration: c.gate.Administrator(integrationfunc.Function{Editor: editor, Resume: pusher.Resume, Log: log}),
		status: c.gate.Either(access.Monitor, status.Function{
			Read: reader.Read, Consumers: keys.List, Check: chain.Run, Version: version, Warnings: b.Warnings, Outbound: status.OutboundOf(b), Now: c.now, Log: log,
		}.ServeCaller),
		presenceSnapshot: c.gate.Machine(access.Read, presencesnapshot.Function{Feeds: feeds, Log: log, Meter: meter}.ServeConsumer),
		presenceChanges:  c.gate.Machine(access.Read, presencechanges.Function{Feeds: feeds, Log: log, Meter: meter}.ServeConsumer),
		telephony:        c.gate.Machine(access.Report, telephony.Function{Ledger: ledger, Log: log, Meter: meter}.ServeReporter),
		users:            c.gate.Either(access.Directory, lookups.ServeCaller),
		directory:        c.gate.Either(access.Directory, list.ServeCaller),
		userMatching:     c.gate.Administrator(names),
		directorySync: (&directorysync.Function{
			Storage: c.storage, Settings: c.settings, Graph: c.graph, Tokens: c.consent, Now: c.now, Log: log,
		}).Run,
		presenceSync: sync.Run,
		presencePush: pusher.Run,
		presenceSet:  writer.Run,
		upkeep: upkeep.Function{Log: log, Duties: []upkeep.Duty{
			{Name: "renew what lasts in Teams", Do: writer.Turn},
			{Name: "end the leases of silent reporters", Do: c.inTenant(ledger.Sweep)},
			{Name: "write what no wake-up announced", Do: writer.Turn},
			{Name: "make the set-up code", Do: func(ctx context.Context) error { _, err := c.setup.Ensure(ctx); return err }},
			{Name: "deliver what no wake-up announced", Do: pusher.Sweep},
			{Name: "look at the consents", Do: c.consent.Probe},
			{Name: "say how it stands", Do: upkeep.Standing{Read: reader.Read, Now: c.now, Log: log}.Do},
			{Name: "announce the end of the credential", Do: c.consent.Remind},
			{Name: "retire the previous tenant", Do: c.settings.Repair},
			{Name: "disable the sign-ins of former tenants", Do: c.abandon},
			{Name: "forget old changes", Do: c.trim},
			{Name: "forget what may not be kept", Do: (&storage.Forgetting{Settings: c.settings, Now: c.now}).Do},
		}}.Run,
	}, nil
}

// appCredential finds what proves the app registration. A system-assigned identity
// can't: an app registration trusts user-assigned ones alone.
func (c clients) appCredential() *appcredential.Issuer {
	config := appcredential.Config{
		Entra: c.entra, Settings: c.settings, Vault: c.vault, Open: entra.OpenCertificate, Cloud: c.Cloud,
		Fixed: c.Overrides.ClientSecret, FixedEnds: c.Overrides.ClientSecretEnds, Now: c.now,
	}
	if c.ManagedIdentity != "" {
		config.Identity = c.identity
	}
	return appcredential.New(config)
}

// noOne is an object id that no account has: asking for its presence proves a
// permission without reading anybody (design invariant 9).
const noOne = presence.UserID("00000000-0000-0000-0000-000000000000")

// harmlessRead asks Graph for nobody's presence and returns Graph's status.
func (c clients) harmlessRead(ctx context.Context, token secret.Text) (int, error) {
	return c.onePresence(ctx, consent.Token{Value: token}, noOne)
}

// view is what polls need of a tenant: one storage operation.
func (c clients) view(ctx context.Context, tenant string) (poll.View, error) {
	view, _, err := c.look(ctx, tenant)
	return view, err
}

func (c clients) look(ctx context.Context, tenant string) (poll.View, settings.Integration, error) {
	now, err := c.storage.Now(ctx, tenant)
	if err != nil {
		return poll.View{}, settings.Integration{}, err
	}
	current, _ := now.Settings.Override(c.Overrides)
	if now.Retired && c.Overrides.Tenant == "" { // an app setting brings any tenant back
		current.PushURL = ""
	}
	view := poll.View{Head: now.Head, Freshness: poll.FreshnessOf(c.now(), report.InputOf(now, current, c.Interval))}
	return view, current, nil
}

// pusher is presencepush.
func (c clients) pusher() presencepush.Function {
	return presencepush.Function{
		Tenant: c.settings.Tenant,
		Look: func(ctx context.Context, tenant string) (presencepush.View, error) {
			view, current, err := c.look(ctx, tenant)
			return presencepush.View{View: view, URL: current.PushURL, Authority: current.PushAuthority}, err
		},
		Open:    func(tenant string) presencepush.Store { return c.storage.Feed(tenant) },
		Secrets: signingSecret{c.signing},
		Sender:  &ucserver.Client{Transport: c.network.Trusting},
		Wake:    c.storage.WakePusher,
		Now:     c.now, Log: c.log, Meter: c.meter,
	}
}

// ledger takes in who is on the phone.
func (c clients) ledger() *calls.Ledger {
	return &calls.Ledger{
		Store: storage.Calls{Storage: c.storage},
		Look: func(ctx context.Context, tenant string) (calls.View, error) {
			now, err := c.storage.Now(ctx, tenant)
			current, _ := now.Settings.Override(c.Overrides)
			return calls.View{
				Reporters: now.Reporters, Directory: now.Directory, Swept: now.Swept, On: current.ProCallToTeams.On(),
			}, err
		},
		People: func(ctx context.Context, ref directory.Ref) (*directory.Index, error) {
			people, err := c.people.Index(ctx, ref)
			if errors.Is(err, storage.ErrNotFound) {
				return nil, calls.ErrChanged // replaced this instant: the ledger looks again
			}
			if errors.Is(err, directory.ErrForm) {
				return nil, calls.ErrNoDirectory // another version's: the next sync makes one
			}
			return people, err
		},
		Stopped: func(ctx context.Context, tenant string, since time.Time) (func(string) bool, error) {
			credentials, err := c.storage.Credentials(ctx, tenant)
			return access.RevokedBefore(credentials, since), err
		},
		Wake: func(ctx context.Context, tenant string) error {
			err := c.storage.WakeWriter(ctx, tenant, 0)
			if err != nil {
				host.Log(ctx, c.log).Warn("writer not woken; upkeep will look", "error", err.Error())
			}
			return err
		},
		Now: c.now,
	}
}

// writer is presenceset.
func (c clients) writer() *presenceset.Function {
	return &presenceset.Function{
		Tenant: c.settings.Tenant,
		Look: func(ctx context.Context, tenant string) (presenceset.View, error) {
			now, err := c.storage.Now(ctx, tenant)
			current, _ := now.Settings.Override(c.Overrides)
			return presenceset.View{
				Settings: current, Retired: now.Retired && c.Overrides.Tenant == "", Reporters: now.Reporters, Grants: now.Grants,
				ThrottledUntil: now.ThrottledUntil, Head: now.Head, Writer: now.Writer,
			}, err
		},
		Published: c.published,
		Work:      storage.Calls{Storage: c.storage}, Written: storage.Written{Storage: c.storage},
		Graph: c.graph, Tokens: c.consent, Throttle: c.storage.Throttle, Wake: c.storage.WakeWriter,
		Now: c.now, Log: c.log, Meter: c.meter,
	}
}

// published is what the feed says about people, at the view's head or later.
func (c clients) published(ctx context.Context, tenant string, view presenceset.View) (presenceset.Published, error) {
	book, err := c.books.Of(tenant).Book(ctx, c.storage.Feed(tenant), view.Head)
	if err != nil {
		return nil, fmt.Errorf("read the feed: %w", err)
	}
	return func(id presence.UserID) (presence.Outcome, bool) {
		change, ok := book.Get(id)
		return change.Outcome, ok
	}, nil
}

// tell wakes whoever works with the settings. A wake-up that is lost is upkeep's.
func (c clients) tell(ctx context.Context, tenant string) {
	if err := errors.Join(c.storage.WakeWriter(ctx, tenant, 0), c.storage.WakePusher(ctx, tenant)); err != nil {
		c.log.Warn("wake-up after a change of settings not sent", "error", err.Error())
	}
}

type signingSecret struct{ *access.Kept }

// PushSecret makes the secret if the push address came from an app setting, so
// that no page has made it.
func (s signingSecret) PushSecret(ctx context.Context) (secret.Text, error) { return s.Ensure(ctx) }
