package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"procallteams/internal/consent"
	"procallteams/internal/presence"
	"procallteams/internal/settings"
)

// View is what storage holds about the bridge.
type View struct {
	Settings settings.Integration // with app settings applied
	Fixed    []string             // fields that app settings fix
	Grants   []consent.Grant
}

// Bridge is what is tried. Every function is bounded by ctx; errors are fit to be
// shown, and may be a *[Failure].
type Bridge struct {
	Warnings []string // of the app settings
	Cloud    string   // "public"
	// Look reads settings and grants from storage.
	Look func(ctx context.Context) (View, error)
	// Vault reads a secret of the bridge's own from Key Vault, not from memory.
	Vault func(ctx context.Context) (detail string, err error)
	// Proxy reaches Entra and Graph through the outbound proxy; [ErrNothing] when none is
	// in the way.
	Proxy func(ctx context.Context) (detail string, err error)
	// Discover asks Entra about the tenant, not this process's memory.
	Discover func(ctx context.Context, tenant string) error
	// App and Person prove a grant with a token that Entra issues now:
	// [consent.Service.ProveApp] and [consent.Service.ProvePerson].
	App    func(ctx context.Context) (consent.Proof, error)
	Person func(ctx context.Context, tenant string, grant consent.Grant) (consent.Proof, error)
	// AtGraph asks Graph for nobody's presence with a proof's token, and returns Graph's
	// status: [consent.Service.ProveAtGraph].
	AtGraph func(ctx context.Context, proof consent.Proof) (status int, err error)
	// Presence reads one presence and returns Graph's status. Nobody is an id that no
	// account has.
	Presence func(ctx context.Context, token consent.Token, id presence.UserID) (status int, err error)
	Nobody   presence.UserID
	// Someone returns a person who takes part in reading, empty when there is none.
	Someone func(ctx context.Context, tenant string) (presence.UserID, error)
	// Accounts asks Graph whether changes of accounts may be followed, without reading
	// any. Group reads the name of an Entra group.
	Accounts func(ctx context.Context, token consent.Token) error
	Group    func(ctx context.Context, token consent.Token, id string) (name string, err error)
	// Ping sends an empty push to UCServer and says how that was answered.
	Ping func(ctx context.Context, tenant string) (detail string, err error)
	Now  func() time.Time
}

func (r *run) all() {
	r.step(Settings, nil, func(context.Context) found { return r.settings() })
	r.step(Storage, nil, r.storage)
	r.step(KeyVault, nil, r.vault)
	r.step(Proxy, nil, r.proxy)
	r.step(Tenant, []Name{Storage, Proxy}, r.tenant)
	r.step(Credential, []Name{Storage, KeyVault, Tenant}, r.credential)
	r.step(AdminConsent, []Name{Credential}, r.admin)
	r.people()
	r.step(ReadPresence, r.reading(), r.read)
	r.step(Directory, []Name{Storage, Tenant, Credential}, r.directory)
	r.step(WritePresence, []Name{Storage, Tenant, Credential}, r.write)
	r.step(Push, []Name{Storage, KeyVault}, r.push)
}

func (r *run) settings() found {
	if len(r.Warnings) > 0 {
		return note("the app settings are valid, with "+count(len(r.Warnings), "warning")+": "+strings.Join(r.Warnings, "; "), "Correct the app settings that are named.")
	}
	return ok("the app settings are valid, for Microsoft's cloud “" + r.Cloud + "”")
}

func (r *run) storage(ctx context.Context) found {
	view, err := r.Look(ctx)
	if err != nil {
		return wrong(err, "Check the storage account, its network rules and the roles of the bridge's identity.", "operator")
	}
	r.view = view
	detail := fmt.Sprintf("settings version %d and %s read", view.Settings.Version, count(len(view.Grants), "consent"))
	if len(view.Fixed) > 0 {
		detail += "; app settings fix " + strings.Join(view.Fixed, ", ")
	}
	return ok(detail)
}

func (r *run) vault(ctx context.Context) found {
	detail, err := r.Vault(ctx)
	if err != nil {
		return wrong(err, "Check the vault's address, its network rules and the role Key Vault Secrets Officer of the bridge's identity.", "operator")
	}
	return ok(detail)
}

func (r *run) proxy(ctx context.Context) found {
	detail, err := r.Proxy(ctx)
	switch {
	case errors.Is(err, ErrNothing):
		return off(reason(err))
	case err != nil:
		return wrong(err, "Check the proxy and its settings: OUTBOUND_PROXY, or u8sProxyAddress in msteams.cfg.", "operator")
	}
	return ok(detail)
}

// unset says that there is no app registration to try anything with.
func (r *run) unset() (found, bool) {
	s := r.view.Settings
	switch {
	case s.Tenant == "":
		return off("no tenant is set yet"), true
	case s.ClientID == "":
		return off("no client id is set yet"), true
	}
	return found{}, false
}

func (r *run) tenant(ctx context.Context) found {
	tenant := r.view.Settings.Tenant
	if tenant == "" {
		return off("no tenant is set yet")
	}
	if err := r.Discover(ctx, tenant); err != nil {
		return wrong(err, "Correct the tenant on the console.", "administrator")
	}
	return ok("Microsoft Entra knows " + tenant + " in its cloud “" + r.Cloud + "”")
}

func (r *run) credential(ctx context.Context) found {
	if none, unset := r.unset(); unset {
		return none
	}
	proof, err := r.App(ctx)
	if err != nil {
		return r.theirs(wrong(err, "Look at the credential of the app registration on the console.", "administrator"))
	}
	r.app = &proof
	detail := "Entra accepts " + described(proof.Credential, r.Now())
	if proof.Credential.Note != "" {
		return r.theirs(note(detail+"; "+proof.Credential.Note, proof.Credential.Step))
	}
	if next := consent.CredentialStep(proof.Credential, r.Now()); next != "" {
		return r.theirs(note(detail, next))
	}
	return ok(detail)
}

// theirs says that whoever hosts the bridge must act, where the credential is theirs.
func (r *run) theirs(f found) found {
	if r.shared() {
		f.who = "operator"
	}
	return f
}

func (r *run) shared() bool { return r.view.Settings.Registration == settings.SharedRegistration }

// admin judges what the app's fresh token may do, and tries it on nobody.
func (r *run) admin(ctx context.Context) found {
	if r.app == nil {
		return off("the app registration is not entered")
	}
	if r.disconnected() {
		return off("an administrator disconnected it, so the bridge does not use it; “Use it again” on the console brings it back")
	}
	shared := r.shared()
	status, err := r.AtGraph(ctx, *r.app)
	switch {
	case err != nil:
		return wrong(err, "See whether Microsoft Graph can be reached from the bridge.", "operator")
	case r.app.Readable && len(r.app.Permissions) == 0:
		// Not given, which is fine while a person's consent carries all that is on.
		if r.carriedByPeople() {
			return note("not given: Entra's token for the app holds no role", "Give the admin consent, which needs no person. Until then a person's sign-in carries reading.")
		}
		if s := r.view.Settings; !s.TeamsToProCall.On() && !s.ProCallToTeams.On() {
			return note("not given: Entra's token for the app holds no role; both directions are off, so nothing needs it yet", consentStep(shared))
		}
		return failed("not given: Entra's token for the app holds no role", consentStep(shared), "administrator")
	case status == http.StatusForbidden && !r.app.Allows(consent.Reading):
		text, next := gapIn(consent.Compare(consent.Admin, r.app.Permissions, r.view.Settings), shared, consent.Admin)
		return failed("token with "+r.roles()+"; "+text, next, "administrator")
	case status == http.StatusForbidden:
		return failed("token with "+r.roles()+", yet Microsoft Graph refuses it (403)", "If the consent is younger than 15 minutes, wait: Microsoft spreads it. Else look for policies of the tenant that restrict applications.", "administrator")
	case !proves(status):
		return failed(fmt.Sprintf("token with %s; Microsoft Graph answered %d", r.roles(), status), "Run the check again in a minute. If it stays, look at Microsoft's service health.", "operator")
	}
	r.proofs = append(r.proofs, *r.app)
	return r.compared("token with "+r.roles()+", which Graph accepts", consent.Admin, r.app.Permissions)
}

// disconnected reports whether the admin consent was taken out of use here, whatever
// Microsoft still gives.
func (r *run) disconnected() bool {
	return slices.ContainsFunc(r.view.Grants, func(g consent.Grant) bool { return g.Kind == consent.Admin && g.Disconnected })
}

func consentStep(shared bool) string {
	if shared {
		return "An administrator of the tenant opens the admin consent on the console. Nothing has to be registered: the app registration belongs to whoever hosts the bridge."
	}
	return "See that the app registration lists the application permissions that the console names, then open the admin consent there."
}

// carriedByPeople reports whether nothing that is on needs the app's permission.
func (r *run) carriedByPeople() bool {
	works := func(g consent.Grant) bool { return g.Kind == consent.User && g.Works() }
	return !r.view.Settings.ProCallToTeams.On() && slices.ContainsFunc(r.view.Grants, works)
}

func (r *run) roles() string {
	if !r.app.Readable {
		return "roles that can't be read"
	}
	return count(len(r.app.Permissions), "role")
}

// compared adds to the evidence how the permissions differ from what is needed. A
// permission that is missing fails only what needs it: the steps below try that.
func (r *run) compared(detail string, kind consent.Kind, granted []string) found {
	gap := consent.Compare(kind, granted, r.view.Settings)
	text, next := gapIn(gap, r.shared(), kind)
	if text != "" {
		detail += "; " + text
	}
	if next != "" {
		return note(detail, next)
	}
	return ok(detail)
}

// people tries every user consent by itself.
func (r *run) people() {
	needs := []Name{Storage, KeyVault, Tenant, Credential}
	tried := false
	for _, grant := range r.view.Grants {
		if grant.Kind != consent.User || grant.SecretVersion == "" {
			continue
		}
		tried = true
		account := grant.Account
		r.stepOf(UserConsent, &account, needs, func(ctx context.Context) found { return r.person(ctx, grant) })
	}
	if !tried {
		r.step(UserConsent, needs, func(context.Context) found { return off("nobody has signed in; the admin consent needs nobody") })
	}
}

func (r *run) person(ctx context.Context, grant consent.Grant) found {
	proof, err := r.Person(ctx, r.view.Settings.Tenant, grant)
	if err != nil {
		return wrong(err, "Sign in again on the console.", "administrator")
	}
	status, err := r.AtGraph(ctx, proof)
	switch {
	case err != nil:
		return wrong(err, "See whether Microsoft Graph can be reached from the bridge.", "operator")
	case status == http.StatusForbidden:
		return failed("token with "+count(len(proof.Permissions), "scope")+", yet Microsoft Graph refuses it (403)", "Check that the account has a Teams licence, or sign in with another account.", "administrator")
	case !proves(status):
		return failed(fmt.Sprintf("Microsoft Graph answered %d", status), "Run the check again in a minute.", "operator")
	}
	r.proofs = append(r.proofs, proof)
	return r.compared("token with "+count(len(proof.Permissions), "scope")+", which Graph accepts", consent.User, proof.Permissions)
}

// proves reports whether Graph's status for nobody's presence proves the
// permission: it knows of no such person only after it has let the token in.
func proves(status int) bool {
	return status == http.StatusOK || status == http.StatusNotFound || status == http.StatusBadRequest
}

// reading is what reading a presence stands on: the consents only when none of them
// reads.
func (r *run) reading() []Name {
	needs := []Name{Storage, Tenant}
	if len(r.proofs) == 0 {
		needs = append(needs, Credential, AdminConsent, UserConsent)
	}
	return needs
}

func (r *run) read(ctx context.Context) found {
	if none, unset := r.unset(); unset {
		return none
	}
	reader, found := r.proof(consent.Reading)
	if !found {
		if !r.view.Settings.TeamsToProCall.On() {
			return off("Teams to ProCall is off, and no consent reads")
		}
		return failed("no consent lets the bridge read presences", "Give the admin consent or the user consent on the console.", "administrator")
	}
	id, whom := r.Nobody, "nobody's presence asked for"
	if r.view.Settings.Reads() {
		someone, err := r.Someone(ctx, r.view.Settings.Tenant)
		switch {
		case err != nil:
			return wrong(err, "Check the storage account.", "operator")
		case someone != "":
			id, whom = someone, "1 presence read"
		default:
			whom = "nobody takes part yet; nobody's presence asked for"
		}
	}
	began := r.Now()
	status, err := r.Presence(ctx, reader, id)
	took := max(1, r.Now().Sub(began).Milliseconds()) // a whole millisecond at least
	switch {
	case err != nil:
		return wrong(err, "See whether Microsoft Graph can be reached from the bridge.", "operator")
	case status == http.StatusOK || id == r.Nobody && proves(status):
		return ok(fmt.Sprintf("%s in %d ms, by the %s consent", whom, took, reader.Kind))
	case status == http.StatusTooManyRequests:
		return failed("Microsoft Graph asks the bridge to wait (429)", "Nothing, if it passes. Else see whether another app uses the same quota.", "operator")
	}
	return failed(fmt.Sprintf("Microsoft Graph answered %d", status), "Run the check again in a minute. If it stays, look at Microsoft's service health.", "operator")
}

func (r *run) directory(ctx context.Context) found {
	if none, unset := r.unset(); unset {
		return none
	}
	if len(r.proofs) == 0 {
		return off("no consent reads, so the directory is not read either")
	}
	reader, found := r.proof(consent.Directory)
	if !found {
		app, person := consent.Directory.Permission(consent.Admin), consent.Directory.Permission(consent.User)
		return failed("the consents lack "+app+" (application) and "+person+" (delegated): one of them is needed to know who takes part",
			"Let whoever manages the app registration add "+app+", then give the admin consent again.", "administrator")
	}
	if err := r.Accounts(ctx, reader); err != nil {
		return wrong(err, "Give the app registration User.Read.All (application) or User.ReadBasic.All (delegated), with consent.", "administrator")
	}
	detail := "changes of accounts can be followed, by the " + string(reader.Kind) + " consent"
	groups := r.view.Settings.EntraGroups()
	lister, found := r.proof(consent.Groups)
	switch {
	case len(groups) > 0 && !found:
		return failed("who is in the Entra groups of the rules can only be read with the admin consent, with "+consent.Groups.Permission(consent.Admin), "Give the admin consent, with that permission.", "administrator")
	case reader.Kind == consent.User:
		return note(detail+"; guests and disabled accounts can't be told apart", "Give the admin consent, with "+consent.Directory.Permission(consent.Admin)+": it needs no person.")
	case len(groups) == 0:
		return ok(detail)
	}
	name, err := r.Group(ctx, lister, groups[0])
	if err != nil {
		return wrong(err, "Give the app registration GroupMember.Read.All (application), with admin consent; correct the group in the rules if it was deleted.", "administrator")
	}
	return ok(fmt.Sprintf("%s; group “%s” and %d more named by rules", detail, name, len(groups)-1))
}

// proof returns the token that a sync would choose for a use.
func (r *run) proof(use consent.Use) (consent.Token, bool) {
	for _, proof := range r.proofs {
		if proof.Allows(use) {
			return proof.Token, true
		}
	}
	return consent.Token{}, false
}

// write proves the permission by the roles alone: nothing is written.
func (r *run) write(context.Context) found {
	s := r.view.Settings
	if none, unset := r.unset(); unset {
		return none
	}
	missing := r.app == nil || !r.app.Allows(consent.Writing)
	switch {
	case r.disconnected() && s.ProCallToTeams.On():
		return failed("ProCall to Teams is on, and an administrator disconnected the admin consent", "Use the admin consent again on the console, or switch the direction off.", "administrator")
	case r.disconnected():
		return off("ProCall to Teams is off, and the admin consent is disconnected")
	case s.Profile == settings.ReadOnlyProfile:
		return off("the profile is read-only")
	case missing && !s.ProCallToTeams.On():
		return off("ProCall to Teams is off, and " + consent.Writing.Permission(consent.Admin) + " is not granted")
	case missing:
		return failed("Entra's token for the app lacks "+consent.Writing.Permission(consent.Admin), consentStep(r.shared()), "administrator")
	case !r.app.Readable:
		return note("the app's token can't be read, so the role is not proven before the first call is written", "Watch the first call on the console.")
	case !s.ProCallToTeams.On():
		return off("ProCall to Teams is off; the token holds " + consent.Writing.Permission(consent.Admin))
	}
	return ok("the token holds " + consent.Writing.Permission(consent.Admin) + "; nothing was written")
}

// ErrNothing, followed by a reason, says that there is nothing to try.
var ErrNothing = errors.New("nothing")

// reason is what follows ErrNothing.
func reason(err error) string { return strings.TrimPrefix(err.Error(), ErrNothing.Error()+": ") }

func (r *run) push(ctx context.Context) found {
	if r.view.Settings.PushURL == "" {
		return off("pushes are off: there is no push address")
	}
	if r.view.Settings.Tenant == "" {
		return off("no tenant is set yet")
	}
	detail, err := r.Ping(ctx, r.view.Settings.Tenant)
	switch {
	case errors.Is(err, ErrNothing):
		return off(reason(err))
	case err != nil:
		return wrong(err, "Check the receiver and the push address. Nothing is lost meanwhile.", "operator")
	}
	return ok(detail)
}
