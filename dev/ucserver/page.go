package ucserver

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

//go:embed page.html connect.html users.html style.css
var files embed.FS

var pages = template.Must(template.ParseFS(files, "page.html", "connect.html", "users.html"))

// pageRows is the most people of one page.
const pageRows = 200

// routes are the receiver, the pages and the switches for tests:
//
//	POST   /push
//	GET    /                    ?via=push|poll&q=name&refresh=off
//	GET    /connect             forms for the signing secret and the credential
//	GET    /users               UCServer's users, and what the bridge says of them
//	POST   /_control/secret     {"secret":"whsec_.."} or a form
//	POST   /_control/connect    {"bridge":"https://..","token":"ptb_.."} or a form
//	GET    /_control/state      everything; ?log=1 with the deliveries
//	POST   /_control/fault      a Fault as JSON; answers {"id":"f1"}
//	DELETE /_control/fault?id=  ends one, or all
//	POST   /_control/skew       {"milliseconds":360000}
//	POST   /_control/call       {"user":"..","on":true} or a form: a call begins, or ends
//	POST   /_control/telephony  {"do":"restart"}, silence or speak; or a form
//	POST   /_control/user       {"op":"put","user":{..}}, {"op":"remove","id":".."} or {"op":"resend"}; or a form
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /push", s.receive)
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		data := map[string]any{"Secret": len(s.verifiers) > 0, "Polling": s.poller != nil, "Bridge": s.bridgeURL}
		s.mu.Unlock()
		show(w, "connect.html", data)
	})
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "style.css") })
	mux.HandleFunc("POST /_control/secret", s.controlSecret)
	mux.HandleFunc("POST /_control/connect", s.controlConnect)
	mux.HandleFunc("GET /_control/state", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, s.State(r.URL.Query().Get("log") != ""))
	})
	mux.HandleFunc("POST /_control/fault", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if decode(w, r, &f) {
			answerJSON(w, map[string]string{"id": s.Inject(f)})
		}
	})
	mux.HandleFunc("DELETE /_control/fault", func(w http.ResponseWriter, r *http.Request) {
		s.Clear(r.URL.Query().Get("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_control/skew", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Milliseconds int }
		if decode(w, r, &in) {
			s.SetSkew(time.Duration(in.Milliseconds) * time.Millisecond)
			answerJSON(w, struct{}{})
		}
	})
	mux.HandleFunc("POST /_control/call", s.controlCall)
	mux.HandleFunc("POST /_control/telephony", s.controlTelephony)
	mux.HandleFunc("GET /users", s.serveUsers)
	mux.HandleFunc("POST /_control/user", s.controlUser)
	return mux
}

// Side is one of the two ways as the state shows it.
type Side struct {
	View
	Violations []string   `json:"violations"`
	Log        []Delivery `json:"log,omitempty"`
}

// State is everything that the server knows.
type State struct {
	Push   Side        `json:"push"`
	Pushes Pushes      `json:"pushes"`
	Poll   *Side       `json:"poll"` // null without a poller
	Polls  *PollStatus `json:"polls"`
	// Telephony is what was reported; null until connected.
	Telephony *ReportStatus `json:"telephony"`
	// OnPhone says who has an own call, and since when.
	OnPhone map[string]time.Time `json:"onPhone,omitempty"`
	// Users is what was told about UCServer's users.
	Users RosterStatus `json:"users"`
}

// State returns what both ways hold, on demand with every delivery.
func (s *Server) State(withLog bool) State {
	side := func(b *Inbox) Side {
		v := Side{View: b.View(), Violations: b.Violations()}
		if withLog {
			v.Log = b.Log()
		}
		return v
	}
	state := State{Push: side(s.inbox), Pushes: s.Pushes(), Users: s.users.Status()}
	if p := s.Poller(); p != nil {
		poll, polls := side(p.Inbox()), p.Status()
		state.Poll, state.Polls = &poll, &polls
	}
	if r := s.Reporter(); r != nil {
		status := r.Status()
		state.Telephony, state.OnPhone = &status, r.OnPhone()
	}
	return state
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(into); err != nil {
		http.Error(w, "read JSON: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

func (s *Server) controlSecret(w http.ResponseWriter, r *http.Request) {
	var in struct{ Secret string }
	if isForm(r) {
		in.Secret = strings.TrimSpace(r.FormValue("secret"))
	} else if !decode(w, r, &in) {
		return
	}
	finish(w, r, s.SetSecrets(in.Secret))
}

func (s *Server) controlConnect(w http.ResponseWriter, r *http.Request) {
	var in struct{ Bridge, Token string }
	if isForm(r) {
		in.Bridge, in.Token = strings.TrimSpace(r.FormValue("bridge")), strings.TrimSpace(r.FormValue("token"))
	} else if !decode(w, r, &in) {
		return
	}
	finish(w, r, s.Connect(in.Bridge, in.Token))
}

var errNotConnected = errors.New("UCServer is not connected to the bridge yet")

func (s *Server) controlCall(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User string
		On   bool
	}
	if isForm(r) {
		in.User, in.On = r.FormValue("user"), r.FormValue("on") == "true"
	} else if !decode(w, r, &in) {
		return
	}
	reporter := s.Reporter()
	switch {
	case reporter == nil:
		finish(w, r, errNotConnected)
		return
	case in.User == "":
		finish(w, r, errors.New("user is missing"))
		return
	}
	reporter.call(in.User, in.On)
	finish(w, r, nil)
}

func (s *Server) controlTelephony(w http.ResponseWriter, r *http.Request) {
	var in struct{ Do string }
	if isForm(r) {
		in.Do = r.FormValue("do")
	} else if !decode(w, r, &in) {
		return
	}
	reporter := s.Reporter()
	if reporter == nil {
		finish(w, r, errNotConnected)
		return
	}
	do := map[string]func(){"restart": reporter.Restart, "silence": reporter.Silence, "speak": reporter.Speak}[in.Do]
	if do == nil {
		finish(w, r, errors.New("do: must be restart, silence or speak"))
		return
	}
	do()
	finish(w, r, nil)
}

func (s *Server) controlUser(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Op, ID string
		User   Member
	}
	if isForm(r) {
		in.Op, in.ID = r.FormValue("op"), r.FormValue("id")
		in.User = Member{ID: "ui-" + r.FormValue("name"), Name: r.FormValue("name"), Mail: r.FormValue("mail")}
	} else if !decode(w, r, &in) {
		return
	}
	switch {
	case in.Op == "put" && in.User.ID != "" && in.User.Name != "":
		s.users.Put(in.User)
	case in.Op == "remove" && in.ID != "":
		s.users.Remove(in.ID)
	case in.Op == "resend":
		s.users.Resend()
	default:
		http.Error(w, "op must be put with a user, remove with an id, or resend", http.StatusBadRequest)
		return
	}
	if isForm(r) {
		http.Redirect(w, r, "/users", http.StatusSeeOther)
		return
	}
	answerJSON(w, struct{}{})
}

// serveUsers shows who UCServer's users are; those who do not take part come first.
func (s *Server) serveUsers(w http.ResponseWriter, _ *http.Request) {
	type row struct{ ID, Name, Said, Account, Advice string }
	var first, rest []row
	standings := s.users.Standings()
	for _, m := range s.users.Members() {
		said := standings[m.ID]
		line := row{ID: m.ID, Name: m.Name, Said: said.Result, Advice: said.Advice}
		if line.Said == "" {
			line.Said = "nothing yet"
		}
		if said.Reason != "" {
			line.Said += ": " + said.Reason
		}
		if said.Match != nil {
			line.Said += ", by " + said.Match.Rule
		}
		if said.Account != nil {
			line.Account = said.Account.UPN
		}
		if line.Advice != "" {
			first = append(first, line)
		} else {
			rest = append(rest, line)
		}
	}
	rows := append(first, rest...)
	show(w, "users.html", map[string]any{"Status": s.users.Status(), "Rows": rows[:min(len(rows), pageRows)]})
}

func finish(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case isForm(r):
		back := url.Values{}
		for _, name := range []string{"via", "q", "refresh"} {
			if value := r.PostFormValue(name); value != "" {
				back.Set(name, value)
			}
		}
		http.Redirect(w, r, "/?"+back.Encode(), http.StatusSeeOther)
	default:
		answerJSON(w, struct{}{})
	}
}

// row is one person as the page shows it.
type row struct {
	User, State, Class, Teams, Source, Age string
	Phone                                  string // since when on the phone; empty when not
}

func rowOf(p Person, now time.Time) row {
	r := row{User: p.User, State: "nothing from Teams", Class: "grey", Teams: p.Availability + " / " + p.Activity, Source: p.Source, Age: age(now.Sub(p.ArrivedAt))}
	if p.OutOfOffice {
		r.Teams += ", out of office"
	}
	if p.ProCall == nil {
		return r
	}
	if p.ProCall.State != nil {
		r.State = *p.ProCall.State
		if len(p.ProCall.Reasons) > 0 {
			r.State += " (" + strings.Join(p.ProCall.Reasons, ", ") + ")"
		}
	}
	if slices.Contains([]string{"red", "yellow", "green"}, p.ProCall.Icon) {
		r.Class = p.ProCall.Icon
	}
	return r
}

func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}

// servePage shows one way, the newest arrivals first.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	state, now := s.State(false), s.now()
	via, q := r.URL.Query().Get("via"), r.URL.Query().Get("q")
	if via == "" {
		via = "push"
		if state.Push.Heard.IsZero() && state.Poll != nil {
			via = "poll"
		}
	}
	view := state.Push.View
	if via == "poll" {
		view = View{}
		if state.Poll != nil {
			view = state.Poll.View
		}
	}
	people := slices.DeleteFunc(view.People, func(p Person) bool { return !strings.Contains(strings.ToLower(p.User), strings.ToLower(q)) })
	slices.SortStableFunc(people, func(a, b Person) int { return b.ArrivedAt.Compare(a.ArrivedAt) })
	rows := []row{}
	for _, p := range people[:min(len(people), pageRows)] {
		line := rowOf(p, now)
		if since, ok := state.OnPhone[p.User]; ok {
			line.Phone = age(now.Sub(since))
		}
		rows = append(rows, line)
	}
	lastRead := "never"
	if !view.AsOf.IsZero() {
		lastRead = age(now.Sub(view.AsOf)) + " (" + view.AsOf.UTC().Format("2006-01-02 15:04:05") + " UTC)"
	}
	show(w, "page.html", map[string]any{
		"State": state, "View": view, "Via": via, "Query": q, "Rows": rows, "Found": len(people), "Most": pageRows,
		"LastRead": lastRead, "Refresh": r.URL.Query().Get("refresh") != "off", "Unheard": view.Heard.IsZero(),
	})
}

func show(w http.ResponseWriter, name string, data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	_ = pages.ExecuteTemplate(w, name, data)
}
