package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"procallteams/internal/directory"
	"procallteams/internal/host"
	"procallteams/internal/settings"
	"procallteams/internal/storage"
)

// strays finds the entries of rules that concern nobody, and keeps the last answer:
// everybody on both sides is read for it, and most pages ask the same.
type strays struct {
	mu    sync.Mutex
	asked []string // of what: the lists of people, and the rules
	found [][]directory.Stray
}

// errNotYet says that nobody is known yet.
var errNotYet = errors.New("nobody is known yet")

// tell adds to the fields of the rules what of them concerns nobody. It reads nothing
// when the rules name nobody and no group.
func (f *Function) tell(ctx context.Context, tenant string, directions []rulesForm) {
	if !slices.ContainsFunc(directions, func(d rulesForm) bool { return d.Open }) || tenant == "" || f.Storage == nil {
		return
	}
	found, err := f.strays.of(ctx, f.Storage, tenant, directions)
	if errors.Is(err, storage.ErrNotFound) { // replaced this instant: the newest always works
		found, err = f.strays.of(ctx, f.Storage, tenant, directions)
	}
	for i := range directions {
		switch {
		case errors.Is(err, errNotYet):
			directions[i].Untold = "Whom these names mean is not known yet: the accounts are read from Entra once a consent is given and a direction is on."
		case err != nil:
			host.Log(ctx, f.Log).Warn("console: whom the rules name", "error", err.Error())
			directions[i].Untold = "Whom these names mean can't be told at the moment: the lists of people can't be read. Load the page again."
		default:
			directions[i].tell(found[i])
		}
	}
}

// of returns the strays of each direction.
func (s *strays) of(ctx context.Context, from *storage.Storage, tenant string, directions []rulesForm) ([][]directory.Stray, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := from.Now(ctx, tenant)
	if err != nil {
		return nil, err
	}
	of := []string{now.Directory.Blob, now.Accounts.Blob, now.Users.Blob}
	for _, d := range directions {
		of = append(of, string(settings.By(d.rules)))
	}
	if slices.Equal(of, s.asked) {
		return s.found, nil
	}
	everybody, err := rosterOf(ctx, from, now)
	if err != nil {
		return nil, err
	}
	var found [][]directory.Stray
	for _, d := range directions {
		found = append(found, everybody.Strays(d.rules))
	}
	s.asked, s.found = of, found
	return found, nil
}

func rosterOf(ctx context.Context, from *storage.Storage, now storage.Now) (everybody directory.Roster, err error) {
	if now.Directory.Blob == "" || now.Accounts.Blob == "" {
		return everybody, errNotYet
	}
	everybody.Directory, err = from.Directory(ctx, now.Directory)
	if errors.Is(err, directory.ErrForm) {
		err = errNotYet // another version's: the next sync makes one
	}
	if err == nil {
		everybody.Accounts, err = from.Accounts(ctx, now.Accounts)
	}
	if err == nil && now.Users.Blob != "" {
		everybody.Users, err = from.Users(ctx, now.Users)
	}
	return everybody, err
}

// tell adds what concerns nobody to the lists that it stands on.
func (r *rulesForm) tell(found []directory.Stray) {
	r.Idle = len(found)
	for _, stray := range found {
		for i := range r.Lists {
			if l := &r.Lists[i]; l.Name == r.Name+"."+stray.List {
				l.Strays = append(l.Strays, explained(stray))
			}
		}
	}
}

// explained says why an entry concerns nobody, and what to do.
func explained(s directory.Stray) string {
	text := fmt.Sprintf(whyStray[s.Why], "“"+s.Entry+"”")
	switch s.Why {
	case directory.GroupUnread, directory.UsersUnknown:
		text += " " + meanwhile[s.List]
	case directory.GroupDeleted:
		if s.Near.Name != "" {
			text = fmt.Sprintf("“%s” is no group but the account %s: write it among the people.", s.Entry, s.Near.Name)
		} else if s.List == fieldExcludedGroups {
			text += " Whom it excluded stays excluded."
		}
	case directory.NoPerson, directory.NoGroup:
		text += resembles(s)
	}
	return text
}

// whyStray are the reasons, about an entry in quotation marks.
var whyStray = map[directory.Why]string{
	directory.NoPerson:     "Nobody is called %s, nor has it as an id.",
	directory.PersonAlone:  "%s is known, but without a partner on the other side, so the entry does nothing; the page of the people says why.",
	directory.NoGroup:      "No user on UCServer's list is in a group %s. An Entra group is named by its object id.",
	directory.GroupDeleted: "Entra has no group %s any more.",
	directory.GroupAlone:   "Nobody in the group %s is matched, so the entry does nothing.",
	directory.GroupUnread:  "Who is in the Entra group %s is not known yet: it is read within minutes, with the admin consent.",
	directory.UsersUnknown: "Who is in the group %s is not known: UCServer's list of users never came.",
}

// meanwhile says what a group does whose members are not known.
var meanwhile = map[string]string{
	fieldGroups: "Until then it admits nobody.", fieldExcludedGroups: "Until then it excludes everybody.", fieldPilot: "Until then it admits nobody, and nobody else takes part.",
}

// resembles is what the entry may mean.
func resembles(s directory.Stray) string {
	switch named := s.Why == directory.NoPerson; {
	case s.Near.Name == "":
		return ""
	case named && s.Near.Group:
		return " There is a group “" + strings.TrimSpace(s.Near.Name) + "”: write it among the groups."
	case !named && !s.Near.Group:
		return " There is a person “" + s.Near.Name + "”: write it among the people."
	}
	return " Do you mean “" + s.Near.Name + "”?"
}

// Idle says that entries of the rules concern nobody; empty when all do.
func (v view) Idle() string {
	n := 0
	for _, direction := range v.Rules {
		n += direction.Idle
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "One entry below concerns nobody at the moment. It is kept: whom it means may come later."
	}
	return fmt.Sprintf("%d entries below concern nobody at the moment. They are kept: whom they mean may come later.", n)
}
