package graph

import (
	"encoding/json"
	"net/http"
)

// directoryControls are the switches for groups and for changes of records.
func (s *Simulator) directoryControls(mux *http.ServeMux) {
	type named struct {
		User string
		Set  json.RawMessage
	}
	post := func(name string, f func(named) error) {
		mux.HandleFunc("POST /_control/"+name, func(w http.ResponseWriter, r *http.Request) {
			control(w, r, func(in named) (any, error) { return struct{}{}, f(in) })
		})
	}
	post("restore", func(in named) error { return s.restore(in.User) })
	post("purge", func(in named) error { return s.purge(in.User) })
	post("edit", func(in named) error { return s.editJSON(in.User, in.Set) })
	post("resync", func(named) error { s.ResetDelta(); return nil })
	mux.HandleFunc("GET /_control/groups", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, s.Groups()) })
	mux.HandleFunc("POST /_control/groups", func(w http.ResponseWriter, r *http.Request) {
		control(w, r, func(in Group) (any, error) { return s.addGroup(in) })
	})
	mux.HandleFunc("POST /_control/members", func(w http.ResponseWriter, r *http.Request) {
		control(w, r, func(in struct {
			Group       string
			Add, Remove []string
		}) (any, error) {
			return struct{}{}, s.changeMembers(in.Group, in.Add, in.Remove)
		})
	})
	mux.HandleFunc("DELETE /_control/groups", func(w http.ResponseWriter, r *http.Request) {
		if err := s.removeGroup(r.URL.Query().Get("id")); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// editJSON changes what fields names, in the spelling of User.
func (s *Simulator) editJSON(idOrUPN string, fields json.RawMessage) error {
	return s.edit(idOrUPN, func(u *User) error { return json.Unmarshal(fields, u) })
}
