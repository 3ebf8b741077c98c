package entra

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// menuData is the menu at /, for one account and one app of one tenant.
type menuData struct {
	Tenant   Tenant
	App      string // name
	Client   string
	Account  string // object id
	UPN      string
	Accounts []menuAccount
	Others   []Tenant // of which the app is none
	Foreign  string   // an account of another tenant
	On       []menuRow
	Groups   []menuGroup
	Consents []menuConsent
}

type menuAccount struct {
	ObjectID, Name, UPN    string
	Admin, Chosen, Deleted bool
}

type menuGroup struct {
	Title string
	Rows  []menuRow
}

// menuRow is one obstacle. Play and Undo are the words on its buttons, empty for
// none.
type menuRow struct {
	Name, Title, Means, Whose string
	On                        bool
	Play, Undo, Cure          string
	Command                   Command
}

// menuConsent is what one party consented to.
type menuConsent struct {
	Who, Grant, Revoke string // control actions
	User               string
	Permissions        []string
}

// serveMenu shows the obstacles of the account that ?user= names, or the first.
func (s *Simulator) serveMenu(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data := s.menu(r.FormValue("user"))
	s.mu.Unlock()
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	render(w, http.StatusOK, "menu.html", data)
}

func (s *Simulator) menu(oid string) menuData {
	targets := s.targets()
	i := max(0, slices.IndexFunc(targets, func(t target) bool { return t.user != nil && t.user.ObjectID == oid }))
	if len(targets) == 0 || targets[i].user == nil || targets[i].app == nil {
		return menuData{}
	}
	t := targets[i]
	data := menuData{Tenant: t.tenant.Tenant, App: t.app.Name, Client: t.app.ClientID, Account: t.user.ObjectID, UPN: t.user.UPN, Consents: t.consents()}
	for _, u := range t.tenant.users {
		data.Accounts = append(data.Accounts, menuAccount{u.ObjectID, u.Name, u.UPN, u.Admin, u == t.user, !u.removedAt.IsZero()})
	}
	for _, other := range s.tenants {
		if other != t.tenant {
			data.Others = append(data.Others, other.Tenant)
			if present := other.present(); len(present) > 0 {
				data.Foreign = present[0].UPN
			}
		}
	}
	for _, o := range s.standing() {
		data.On = append(data.On, o.row(true, o.whose, o.command))
	}
	for _, g := range obstacles() {
		rows := menuGroup{Title: g.title}
		for _, o := range g.obstacles {
			rows.Rows = append(rows.Rows, o.row(o.on != nil && o.on(s, t), "", t.command()))
		}
		data.Groups = append(data.Groups, rows)
	}
	return data
}

func (o obstacle) row(on bool, whose string, c Command) menuRow {
	row := menuRow{Name: o.name, Title: o.title, Means: o.means, Whose: whose, On: on, Command: c}
	switch {
	case o.name == "request" && on:
		row.Play, row.Undo = "Approve", "Deny"
	case o.name == "request":
	case on && o.undo != nil:
		row.Undo = "Undo"
	case on:
		row.Cure = o.cure
	case o.on == nil && o.undo != nil:
		row.Play, row.Undo = "Play", "Undo"
	default:
		row.Play = "Play"
	}
	return row
}

func (t target) consents() []menuConsent {
	a := t.app
	list := []menuConsent{
		{"The app itself", "grant-application", "revoke-application", "", slices.Sorted(maps.Keys(a.roles))},
		{"Everyone, delegated", "grant-delegated", "revoke-delegated", "", slices.Sorted(maps.Keys(a.everyone))},
	}
	for _, u := range t.tenant.users {
		if names := a.personal[u.ObjectID]; len(names) > 0 || u == t.user {
			list = append(list, menuConsent{u.UPN + ", delegated", "grant-delegated", "revoke-delegated", u.ObjectID, slices.Sorted(maps.Keys(names))})
		}
	}
	return list
}

// servePlay runs an obstacle or a control action of the menu.
func (s *Simulator) servePlay(w http.ResponseWriter, r *http.Request) {
	command := Command{Tenant: r.FormValue("tenant"), Client: r.FormValue("client"), User: r.FormValue("user"), On: r.FormValue("on") != ""}
	do := s.commands()[r.FormValue("action")]
	if o, found := obstacleNamed(r.FormValue("obstacle")); found {
		deed := o.play
		if r.FormValue("undo") != "" {
			deed = o.undo
		}
		if deed != nil {
			do = func(c Command) error { return deed(s, c) }
		}
	}
	if do == nil {
		http.Error(w, "no such action", http.StatusNotFound)
		return
	}
	if err := do(command); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, "/?user="+url.QueryEscape(r.FormValue("account"))+"#"+url.PathEscape(r.FormValue("at")), http.StatusSeeOther)
}
