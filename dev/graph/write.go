package graph

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pair is an availability with an activity.
type pair struct{ availability, activity string }

// sessionPairs are all that setPresence takes, preferredPairs all that
// setUserPreferredPresence takes (Graph: presence: setPresence v1.0).
var (
	sessionPairs = []pair{
		{"Available", "Available"}, {"Busy", "InACall"}, {"Busy", "InAConferenceCall"}, {"Away", "Away"}, {"DoNotDisturb", "Presenting"},
	}
	preferredPairs = []pair{
		{"Available", "Available"}, {"Busy", "Busy"}, {"DoNotDisturb", "DoNotDisturb"}, {"BeRightBack", "BeRightBack"}, {"Away", "Away"}, {"Offline", "OffWork"},
	}
)

const (
	shortestSession = 5 * time.Minute
	longestSession  = 4 * time.Hour
	day             = 24 * time.Hour
)

// outOfRange is the text of a duration beyond 5 to 240 minutes.
const outOfRange = "The provided [ExpirationDuration] is out of range."

// writeRequest is the body of all four writes.
type writeRequest struct {
	SessionID    string  `json:"sessionId"`
	Availability string  `json:"availability"`
	Activity     string  `json:"activity"`
	Duration     *string `json:"expirationDuration"`
}

// setPresence answers POST .../presence/setPresence. The body is checked before
// the permission, as seen in the field.
func (s *Simulator) setPresence(w http.ResponseWriter, r *http.Request, c Caller) {
	in, ok := s.readWrite(w, r)
	if !ok || !sessionGiven(w, r, in) {
		return
	}
	chosen, ok := findPair(sessionPairs, in)
	if !ok {
		refuse(w, r, http.StatusBadRequest, "InvalidArgument", "The provided availability and activity are not a supported combination.")
		return
	}
	lasts := shortestSession
	if in.Duration != nil {
		if lasts, ok = parseDuration(*in.Duration); !ok || lasts < shortestSession || lasts > longestSession {
			refuse(w, r, http.StatusBadRequest, "InvalidArgument", outOfRange)
			return
		}
	}
	s.write(w, r, c, func(u *user, now time.Time) bool {
		s.put(u, session{key: strings.ToLower(in.SessionID), availability: chosen.availability, activity: chosen.activity, written: now, expires: now.Add(lasts)})
		return true
	})
}

// clearPresence answers POST .../presence/clearPresence: 404 when that session
// does not exist.
func (s *Simulator) clearPresence(w http.ResponseWriter, r *http.Request, c Caller) {
	in, ok := s.readWrite(w, r)
	if !ok || !sessionGiven(w, r, in) {
		return
	}
	s.write(w, r, c, func(u *user, now time.Time) bool {
		u.effective(now) // drops what is over
		return u.drop(strings.ToLower(in.SessionID))
	})
}

// setPreferred answers POST .../presence/setUserPreferredPresence.
func (s *Simulator) setPreferred(w http.ResponseWriter, r *http.Request, c Caller) {
	in, ok := s.readWrite(w, r)
	if !ok {
		return
	}
	chosen, ok := findPair(preferredPairs, in)
	if !ok {
		refuse(w, r, http.StatusBadRequest, "InvalidArgument", "The provided availability and activity are not a supported combination.")
		return
	}
	lasts := 7 * day
	if chosen.availability == "Busy" || chosen.availability == "DoNotDisturb" {
		lasts = day
	}
	if in.Duration != nil {
		// Its bounds are unknown; nothing but the form is refused.
		if lasts, ok = parseDuration(*in.Duration); !ok || lasts <= 0 {
			refuse(w, r, http.StatusBadRequest, "InvalidArgument", outOfRange)
			return
		}
	}
	s.write(w, r, c, func(u *user, now time.Time) bool {
		u.preferred = &session{availability: chosen.availability, activity: chosen.activity, expires: now.Add(lasts)}
		return true
	})
}

// clearPreferred answers POST .../presence/clearUserPreferredPresence; INFER:
// 200 also when there was none.
func (s *Simulator) clearPreferred(w http.ResponseWriter, r *http.Request, c Caller) {
	if _, ok := s.readWrite(w, r); !ok {
		return
	}
	s.write(w, r, c, func(u *user, _ time.Time) bool {
		u.preferred = nil
		return true
	})
}

func (s *Simulator) readWrite(w http.ResponseWriter, r *http.Request) (writeRequest, bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if rec, ok := w.(*recorder); ok {
		rec.request.Body = string(body)
	}
	var in writeRequest
	if err != nil || !isJSON(r) || json.Unmarshal(body, &in) != nil {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
		return writeRequest{}, false
	}
	return in, true
}

func sessionGiven(w http.ResponseWriter, r *http.Request, in writeRequest) bool {
	switch {
	case in.SessionID == "":
		refuse(w, r, http.StatusBadRequest, "InvalidArgument", "[SessionId]: The SessionId field is required.")
		return false
	case !isGUID(in.SessionID):
		refuse(w, r, http.StatusBadRequest, "InvalidArgument", "[SessionId]: The SessionId field is not valid.")
		return false
	}
	return true
}

// write checks rights and user, runs f and answers 200, or 404 when f finds
// nothing to do.
func (s *Simulator) write(w http.ResponseWriter, r *http.Request, c Caller, f func(u *user, now time.Time) bool) {
	id := r.PathValue("id")
	if id == "" { // the /me spelling
		if id = c.ObjectID; id == "" {
			refuse(w, r, http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.")
			return
		}
	}
	if !c.may([]string{"Presence.ReadWrite"}, []string{"Presence.ReadWrite.All"}) {
		refuse(w, r, http.StatusForbidden, "Forbidden", "")
		return
	}
	if !isGUID(id) {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "")
		return
	}
	if !c.appOnly() && !strings.EqualFold(id, c.ObjectID) {
		if s.Settings().ForeignWriteStatus == http.StatusForbidden {
			refuse(w, r, http.StatusForbidden, "Forbidden", "")
			return
		}
		refuse(w, r, http.StatusUnauthorized, "Unauthorized", "Cannot set the presence of another user")
		return
	}
	found := false
	if s.knows(c) {
		_ = s.change(id, false, func(u *user, now time.Time) {
			if found = f(u, now); found {
				s.refresh(u, now)
			}
		})
	}
	if !found {
		refuse(w, r, http.StatusNotFound, "NotFound", "")
		return
	}
	answerEmpty(w)
}

// findPair finds the pair, ignoring case as OData enums do.
func findPair(pairs []pair, in writeRequest) (pair, bool) {
	i := slices.IndexFunc(pairs, func(p pair) bool {
		return strings.EqualFold(p.availability, in.Availability) && strings.EqualFold(p.activity, in.Activity)
	})
	if i < 0 {
		return pair{}, false
	}
	return pairs[i], true
}

// parseDuration reads an ISO 8601 duration of days, hours, minutes and seconds.
func parseDuration(text string) (time.Duration, bool) {
	rest, ok := strings.CutPrefix(text, "P")
	if !ok || rest == "" {
		return 0, false
	}
	date, clock, timed := strings.Cut(rest, "T")
	if timed && clock == "" {
		return 0, false
	}
	var sum time.Duration
	for _, part := range []struct {
		text  string
		units string
	}{{date, "D"}, {clock, "HMS"}} {
		rest, units := part.text, part.units
		for rest != "" {
			i := strings.IndexAny(rest, "DHMS")
			if i < 1 {
				return 0, false
			}
			u := strings.IndexByte(units, rest[i])
			number, err := strconv.ParseFloat(rest[:i], 64)
			if u < 0 || err != nil || number < 0 || (rest[i] != 'S' && strings.Contains(rest[:i], ".")) {
				return 0, false
			}
			unit := map[byte]time.Duration{'D': day, 'H': time.Hour, 'M': time.Minute, 'S': time.Second}[rest[i]]
			sum += time.Duration(number * float64(unit))
			units, rest = units[u+1:], rest[i+1:]
		}
	}
	return sum, true
}
