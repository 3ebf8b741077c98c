package consent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"procallteams/internal/entra/aadsts"
	"procallteams/internal/settings"
)

const day = 24 * time.Hour

// announced are the days before its end on which a credential is spoken of, the
// nearest first.
var announced = []int{1, 7, 14, 30}

// End is how near the end of the app registration's credential is.
type End struct {
	At time.Time
	// Days is the announcement that is in force: 30, 14, 7 or 1; 0 once it has ended,
	// and -1 while the end is far, or not known.
	Days int
}

// EndOf judges a credential's end; the zero time is one that is unknown, or never.
func EndOf(ends, now time.Time) End {
	left := ends.Sub(now)
	switch {
	case ends.IsZero():
		return End{Days: -1}
	case left <= 0:
		return End{ends, 0}
	}
	for _, days := range announced {
		if left <= time.Duration(days)*day {
			return End{ends, days}
		}
	}
	return End{ends, -1}
}

// Near reports whether there is something to say about it.
func (e End) Near() bool { return e.Days >= 0 }

// Since is when the announcement in force began.
func (e End) Since() time.Time { return e.At.Add(-time.Duration(max(0, e.Days)) * day) }

// Within is the announcement in force in words: "14 days".
func (e End) Within() string {
	if e.Days == 1 {
		return "a day"
	}
	return counted(e.Days)
}

// DaysLeft says in words how far away an end is: "in 12 days".
func DaysLeft(ends, now time.Time) string {
	left := ends.Sub(now)
	switch days := int(left.Abs() / day); {
	case left <= 0 && days == 0:
		return "today"
	case left <= 0:
		return counted(days) + " ago"
	case days == 0:
		return "in less than a day"
	default:
		return "in " + counted(days)
	}
}

func counted(days int) string {
	if days == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", days)
}

// CredentialName is a kind of credential in words.
func CredentialName(kind settings.CredentialKind) string {
	switch kind {
	case settings.Federated:
		return "federated credential"
	case settings.CertificateInKeyVault:
		return "certificate"
	}
	return "client secret"
}

// CredentialStep says what is to be done about the end of a credential, and by whom
// where it is not the tenant's; it is empty when there is nothing to do.
func CredentialStep(c CredentialUse, now time.Time) string {
	step := ""
	switch {
	case c.Kind == settings.SecretInKeyVault && c.Ends.IsZero():
		step = "Enter the end date of the client secret on the console, so that the bridge can warn you before it ends. Entra shows it under App registrations, Certificates & secrets."
	case !EndOf(c.Ends, now).Near():
		return ""
	case c.Kind == settings.CertificateInKeyVault:
		step = "Renew the certificate in Key Vault and add the new one to the app registration. The old one may go on until then; nobody has to consent again."
	default:
		step = "Create a new client secret in the app registration and store its value on the console, with its end date. The old one goes on until then; nobody has to consent again."
	}
	if c.Shared {
		return aadsts.Theirs + step
	}
	return step
}

// Remind logs once that the credential of the app registration ends in 30, 14, 7 or
// 1 days, and that it has ended, so that an alert rule can fire. What was logged is
// in the admin grant's row: a restart repeats nothing, and neither does another
// process. It is upkeep's.
func (s *Service) Remind(ctx context.Context) error {
	app, err := s.app(ctx)
	if _, unset := errors.AsType[*UnsetError](err); unset {
		return nil
	}
	if err != nil {
		return err
	}
	rows, err := s.Grants.Grants(ctx, app.Tenant)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	for _, row := range rows {
		end := EndOf(row.CredentialEnds, s.now())
		if row.Kind != Admin || row.ClientID != app.ClientID || !end.Near() || row.Reminded.same(end) {
			continue
		}
		told := false
		_, err := s.change(ctx, app.Tenant, row, func(g *Grant) bool {
			if told || !g.Reminded.same(end) {
				told, g.Reminded = true, end
				return true
			}
			return false
		})
		if err != nil {
			return err
		}
		if told {
			s.remind(ctx, row.CredentialKind, end)
		}
	}
	return nil
}

func (e End) same(other End) bool { return e.Days == other.Days && e.At.Equal(other.At) }

func (s *Service) remind(ctx context.Context, kind settings.CredentialKind, end End) {
	at := end.At.UTC().Format(time.RFC3339)
	if end.Days == 0 {
		s.Log.ErrorContext(ctx, "credential has ended", "credential", string(kind), "announcedDays", end.Days, "ends", at)
		return
	}
	level := slog.LevelWarn
	if end.Days == 1 {
		level = slog.LevelError
	}
	s.Log.Log(ctx, level, "credential ends", "credential", string(kind), "announcedDays", end.Days, "ends", at)
}
