package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// confirmTime is how long the sign-in of another account waits for an administrator
// to say what it is for.
const confirmTime = 15 * time.Minute

// unanswered is why a sign-in is forgotten that waited for too long.
var unanswered = why{
	reason: "nobody confirmed within 15 minutes that this account is to be used",
	step:   "Sign in with it again, and choose on the page that follows.",
}

// forgetUnanswered takes a sign-in out of use for which nobody answered; one that
// somebody answered for meanwhile stays.
func (s *Service) forgetUnanswered(ctx context.Context, tenant string, grant Grant) error {
	return s.retireIf(ctx, tenant, grant, unanswered, grant.stillWaits)
}

// stillWaits reports whether its row, as it is by now, waits for the same answer as g.
func (g Grant) stillWaits(now Grant) bool {
	return now.State == Unconfirmed && now.Since.Equal(g.Since)
}

// expired reports whether an unconfirmed sign-in has waited for too long.
func (g Grant) expired(now time.Time) bool { return now.Sub(g.Since) >= confirmTime }

// ErrNotWaiting reports that an account waits for no confirmation (any more).
var ErrNotWaiting = errors.New("this account waits for no confirmation")

// holdsSignIn reports whether g is a person's sign-in that is in use, or would be if
// it were not refused.
func (g Grant) holdsSignIn(clientID string) bool {
	return g.Kind == User && g.ClientID == clientID && g.SecretVersion != "" && g.State != Unconfirmed
}

// others returns the sign-ins of other accounts.
func others(grants []Grant, clientID, account string) []Grant {
	var found []Grant
	for _, g := range ordered(grants) {
		if g.holdsSignIn(clientID) && g.Account.ObjectID != account {
			found = append(found, g)
		}
	}
	return found
}

// signedIn puts g into the state that a sign-in leads to: in use, when the account was
// in use before, or is wanted: the only one, or connected as another person; else it
// waits for an administrator.
func (g *Grant) signedIn(clientID string, wanted bool, now time.Time) {
	if wanted || g.holdsSignIn(clientID) {
		g.enter(Granted, now, why{})
		return
	}
	g.enter(Unconfirmed, now, why{
		reason: "another account signed in, and no administrator has said yet whether it is to be used",
		step:   "Sign in with it again, and choose on the page that follows.",
	})
	g.Since = now // a second sign-in gives fifteen minutes more
}

// Confirm takes the sign-in of another account into use: as well as the accounts
// before, or instead of one of them, which is disconnected. It returns [ErrNotWaiting]
// when nobody asked, or fifteen minutes are over.
func (s *Service) Confirm(ctx context.Context, who, account, instead string) error {
	app, err := s.app(ctx)
	if err != nil {
		return err
	}
	grant, found, err := s.find(ctx, app.Tenant, User, account)
	if err != nil {
		return err
	}
	if !found || grant.ClientID != app.ClientID || grant.State != Unconfirmed || grant.expired(s.now()) || instead == account {
		return ErrNotWaiting
	}
	if err := s.Audit(ctx, app.Tenant, who, "user consent confirmed", account); err != nil {
		return fmt.Errorf("record that a consent is confirmed: %w", err)
	}
	confirmed, err := s.change(ctx, app.Tenant, grant, func(g *Grant) bool {
		if g.State != Unconfirmed {
			return false
		}
		g.enter(Granted, s.now(), why{})
		return true
	})
	if err != nil {
		return err
	}
	if !confirmed.Works() {
		return ErrNotWaiting
	}
	// A crash here leaves both accounts in use, and the page that can disconnect one.
	works := s.tryAtGraph(ctx, app.Tenant, confirmed).Works()
	if instead == "" || !works {
		return nil // who does not work replaces nobody
	}
	return s.Disconnect(ctx, who, User, instead)
}

// confirmed takes an administrator's answer from the page that asked.
func (s *Service) confirmed(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	app, flow, ok := s.tripOf(w, r, User, "confirm the consent")
	if !ok {
		return
	}
	if r.ParseForm() != nil || flow.Outcome != Asked {
		s.show(w, http.StatusBadRequest, unknownTrip)
		return
	}
	var err error
	who := s.Administrator(ctx)
	switch answer := r.PostForm.Get("answer"); answer {
	case "add":
		err = s.Confirm(ctx, who, flow.Account.ObjectID, "")
	case "instead":
		err = s.Confirm(ctx, who, flow.Account.ObjectID, r.PostForm.Get("account"))
	case "forget":
		err = s.unwanted(ctx, who, app, flow.Account.ObjectID)
	default:
		s.show(w, http.StatusBadRequest, unknownTrip)
		return
	}
	// An answer that comes too late, or twice, ends on the page that shows what is so.
	if err != nil && !errors.Is(err, ErrNotWaiting) && !errors.Is(err, ErrNoGrant) {
		s.fail(w, r, "confirm the consent", err)
		return
	}
	s.away(w, User, flow.ID)
}

// unwanted forgets a sign-in that waits, and leaves one alone that is in use.
func (s *Service) unwanted(ctx context.Context, who string, app App, account string) error {
	grant, found, err := s.find(ctx, app.Tenant, User, account)
	if err != nil {
		return err
	}
	if !found || grant.State != Unconfirmed {
		return ErrNotWaiting
	}
	return s.disconnect(ctx, who, app.Tenant, grant, grant.stillWaits)
}
