package graph

import (
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pages embed.FS

var page = template.Must(template.ParseFS(pages, "page.html"))

// pageRows is the most users of one page.
const pageRows = 50

// controlRoutes are the switches for tests and for a person who plays Teams:
//
//	POST   /_control/fault     a Fault as JSON; answers {"id":"f1"}
//	GET    /_control/fault     the active ones
//	DELETE /_control/fault?id= ends one, or all
//	POST   /_control/set       {"user","availability","activity"} or a form of the same names
//	POST   /_control/move      {"rate":150}, changes a second; 0 stops
//	POST   /_control/licence   {"user","on"} or a form of the same names
//	POST   /_control/users     {"count":20} generates; a User as JSON adds that one
//	POST   /_control/remove, /_control/disable, /_control/enable  {"user"}
//	POST   /_control/restore, /_control/purge  {"user":id} of a removed user
//	POST   /_control/edit      {"user","set":{fields of User}}
//	POST   /_control/resync    ends all state tokens of delta queries
//	POST   /_control/groups    {"displayName","members":[ids]} adds one; GET lists
//	POST   /_control/members   {"group","add":[ids],"remove":[ids]}
//	DELETE /_control/groups?id=  removes one
//	POST   /_control/settings  Settings as JSON, replaces them; GET reads them
//	GET    /_control/users     everybody with what they show now
//	GET    /_control/history?after=0   transitions after that many
//	GET    /_control/requests?after=0  requests after that many
func (s *Simulator) controlRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("POST /_control/fault", func(w http.ResponseWriter, r *http.Request) {
		control(w, r, func(f Fault) (any, error) { return map[string]string{"id": s.Inject(f)}, nil })
	})
	mux.HandleFunc("GET /_control/fault", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, s.faults.active()) })
	mux.HandleFunc("DELETE /_control/fault", func(w http.ResponseWriter, r *http.Request) {
		s.Clear(r.URL.Query().Get("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_control/set", s.controlSet)
	mux.HandleFunc("POST /_control/move", s.controlMove)
	mux.HandleFunc("POST /_control/licence", s.controlLicence)
	mux.HandleFunc("POST /_control/users", func(w http.ResponseWriter, r *http.Request) {
		control(w, r, func(in struct {
			Count int
			User
		}) (any, error) {
			if in.Count > 0 {
				return s.AddUsers(in.Count), nil
			}
			return s.addOne(in.User)
		})
	})
	for name, act := range map[string]func(string){"remove": s.Remove, "disable": s.Disable, "enable": s.Enable} {
		mux.HandleFunc("POST /_control/"+name, func(w http.ResponseWriter, r *http.Request) {
			control(w, r, func(in struct{ User string }) (any, error) {
				// The check first: act panics for a user who is not there.
				if err := s.change(in.User, false, func(*user, time.Time) {}); err != nil {
					return nil, err
				}
				act(in.User)
				return struct{}{}, nil
			})
		})
	}
	s.directoryControls(mux)
	mux.HandleFunc("POST /_control/settings", func(w http.ResponseWriter, r *http.Request) {
		control(w, r, func(in Settings) (any, error) { s.Configure(in); return in, nil })
	})
	mux.HandleFunc("GET /_control/settings", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, s.Settings()) })
	mux.HandleFunc("GET /_control/users", func(w http.ResponseWriter, r *http.Request) { answerJSON(w, http.StatusOK, s.rows("", 0)) })
	mux.HandleFunc("GET /_control/history", func(w http.ResponseWriter, r *http.Request) { answerJSON(w, http.StatusOK, after(r, s.History())) })
	mux.HandleFunc("GET /_control/requests", func(w http.ResponseWriter, r *http.Request) { answerJSON(w, http.StatusOK, after(r, s.Requests())) })
	return mux
}

func after[T any](r *http.Request, list []T) []T {
	n, _ := strconv.Atoi(r.URL.Query().Get("after"))
	return list[min(max(n, 0), len(list)):]
}

// control decodes the request, runs f, and answers its result as JSON.
func control[In any](w http.ResponseWriter, r *http.Request, f func(In) (any, error)) {
	var in In
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		http.Error(w, "read JSON: "+err.Error(), http.StatusBadRequest)
		return
	}
	out, err := f(in)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	answerJSON(w, http.StatusOK, out)
}

func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

func (s *Simulator) controlSet(w http.ResponseWriter, r *http.Request) {
	if !isForm(r) {
		control(w, r, func(in struct{ User, Availability, Activity string }) (any, error) {
			return struct{}{}, s.Set(in.User, in.Availability, in.Activity)
		})
		return
	}
	if err := s.Set(r.FormValue("user"), r.FormValue("availability"), r.FormValue("activity")); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	back(w, r)
}

func (s *Simulator) controlMove(w http.ResponseWriter, r *http.Request) {
	if !isForm(r) {
		control(w, r, func(in struct{ Rate float64 }) (any, error) { s.walk.start(s, in.Rate); return in, nil })
		return
	}
	rate, err := strconv.ParseFloat(r.FormValue("rate"), 64)
	if err != nil {
		http.Error(w, "rate: not a number", http.StatusBadRequest)
		return
	}
	s.walk.start(s, rate)
	back(w, r)
}

func back(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/?q="+template.URLQueryEscaper(r.FormValue("q")), http.StatusSeeOther)
}

// Row is one user as the control API and the page show it.
type Row struct {
	ID                string `json:"id"`
	UserPrincipalName string `json:"userPrincipalName"`
	DisplayName       string `json:"displayName"`
	UserType          string `json:"userType"`
	AccountEnabled    bool   `json:"accountEnabled"`
	Licensed          bool   `json:"licensed"`
	Availability      string `json:"availability"`
	Activity          string `json:"activity"`
	OutOfOffice       bool   `json:"outOfOffice"`
	Sequence          string `json:"sequence"`
}

// Class is the colour of the page's dot.
func (r Row) Class() string {
	switch r.Availability {
	case "Available":
		return "green"
	case "Busy", "DoNotDisturb":
		return "red"
	case "Away", "BeRightBack":
		return "yellow"
	}
	return "grey"
}

// rows returns users whose name, UPN or id holds q, at most limit (0: all).
func (s *Simulator) rows(q string, limit int) []Row {
	s.settle(s.now())
	q = strings.ToLower(q)
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []Row{}
	for _, u := range s.users {
		if u == nil || q != "" && !strings.Contains(strings.ToLower(u.DisplayName+" "+u.UserPrincipalName+" "+u.ID), q) {
			continue
		}
		if limit > 0 && len(list) == limit {
			break
		}
		list = append(list, Row{u.ID, u.UserPrincipalName, u.DisplayName, u.UserType, !u.Disabled, !u.Unlicensed, u.availability, u.activity, u.outOfOffice, u.sequence})
	}
	return list
}

// buttons are the states that the page offers.
var buttons = []struct{ Label, Availability, Activity string }{
	{"Available", "Available", "Available"},
	{"In a call", "Busy", "InACall"},
	{"In a meeting", "Busy", "InAMeeting"},
	{"Do not disturb", "DoNotDisturb", "DoNotDisturb"},
	{"Presenting", "DoNotDisturb", "Presenting"},
	{"Away", "Away", "Away"},
	{"Sign out", "Offline", "Offline"},
}

func (s *Simulator) servePage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	s.mu.RLock()
	total := s.live
	s.mu.RUnlock()
	_ = page.Execute(w, map[string]any{"Rows": s.rows(q, pageRows), "Total": total, "Most": pageRows, "Query": q, "Buttons": buttons, "Rate": s.walk.current()})
}
