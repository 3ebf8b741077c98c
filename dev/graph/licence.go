package graph

import "net/http"

// SetLicence gives a user, found by id or UPN, a Teams licence or takes it away.
// Without one there is no presence: the user is answered like an unknown id.
func (s *Simulator) SetLicence(idOrUPN string, held bool) error {
	return s.edit(idOrUPN, func(u *User) error { u.Unlicensed = !held; return nil })
}

// present reports whether a user has a presence here. INFER for both: guests have
// theirs in their home tenant, and without a licence there is none.
func (u *user) present() bool { return u.UserType != "Guest" && !u.Unlicensed }

// mayAsk refuses presences to a person without a Teams licence. INFER: the answer
// is not published; [Settings.UnlicensedStatus] changes it.
func (s *Simulator) mayAsk(w http.ResponseWriter, r *http.Request, c Caller) bool {
	if c.appOnly() {
		return true
	}
	s.mu.RLock()
	u, status := s.lookup(c, c.ObjectID), s.settings.UnlicensedStatus
	s.mu.RUnlock()
	if u == nil || !u.Unlicensed {
		return true
	}
	if status == http.StatusNotFound {
		refuse(w, r, status, "NotFound", "")
		return false
	}
	refuse(w, r, http.StatusForbidden, "Forbidden", "")
	return false
}

func (s *Simulator) controlLicence(w http.ResponseWriter, r *http.Request) {
	if !isForm(r) {
		control(w, r, func(in struct {
			User string
			On   bool
		}) (any, error) {
			return struct{}{}, s.SetLicence(in.User, in.On)
		})
		return
	}
	if err := s.SetLicence(r.FormValue("user"), r.FormValue("on") != ""); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	back(w, r)
}
