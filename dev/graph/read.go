package graph

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
)

// maxIDs is the most ids of one getPresencesByUserId.
const maxIDs = 650

const maxBody = 4 << 20

var (
	readDelegated   = []string{"Presence.Read.All"}
	readApplication = []string{"Presence.Read.All", "Presence.ReadWrite.All"}
)

// scratch is the memory of one presence answer.
type scratch struct {
	body, out bytes.Buffer
	ids       [][]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// presencesByUserID answers POST /communications/getPresencesByUserId: one item
// per id, in an order that has nothing to do with the request's.
func (s *Simulator) presencesByUserID(w http.ResponseWriter, r *http.Request, c Caller) {
	m := scratches.Get().(*scratch)
	defer scratches.Put(m)
	m.body.Reset()
	m.out.Reset()
	if _, err := m.body.ReadFrom(io.LimitReader(r.Body, maxBody)); err != nil {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "The request body could not be read.")
		return
	}
	if !c.may(readDelegated, readApplication) {
		refuse(w, r, http.StatusForbidden, "Forbidden", "")
		return
	}
	if !s.mayAsk(w, r, c) {
		return
	}
	if !isJSON(r) {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "Content-Type must be application/json.")
		return
	}
	ids, ok := readIDs(m.body.Bytes(), m.ids[:0])
	m.ids = ids[:0]
	if rec, isRec := w.(*recorder); isRec {
		rec.request.IDs = len(ids)
	}
	if !ok || len(ids) == 0 || len(ids) > maxIDs {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "")
		return
	}

	m.out.WriteString(`{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#Collection(microsoft.graph.presence)","value":[`)
	if !s.writeItems(m, ids, c, w) {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "")
		return
	}
	m.out.WriteString(`]}`)
	answer(w, http.StatusOK, "application/json; odata.metadata=minimal; charset=utf-8", m.out.Bytes())
}

// writeItems appends the items and reports false when the policy refuses an
// unknown id.
func (s *Simulator) writeItems(m *scratch, ids [][]byte, c Caller, w http.ResponseWriter) bool {
	var items []*activeFault
	if rec, ok := w.(*recorder); ok {
		items = rec.items
	}
	n := len(ids)
	stride := 1
	for _, p := range []int{7, 11, 13, 17, 19, 23} {
		if n%p != 0 {
			stride = p
			break
		}
	}
	at := int(s.answers.Add(1)) % n

	s.mu.RLock()
	defer s.mu.RUnlock()
	first := true
	for range n {
		at = (at + stride) % n
		item, ok := s.itemOf(ids[at], c)
		if !ok {
			return false
		}
		if len(items) > 0 {
			item = s.faults.disturb(items, ids[at], item)
		}
		if item == nil {
			continue
		}
		if !first {
			m.out.WriteByte(',')
		}
		first = false
		m.out.Write(item)
	}
	for _, extra := range s.faults.extras(items) {
		if !first {
			m.out.WriteByte(',')
		}
		first = false
		m.out.Write(extra)
	}
	return true
}

// itemOf returns the item of one id, nil when it is left out, and false when the
// whole call is refused because of it. Users without a presence are answered like
// unknown ids.
func (s *Simulator) itemOf(id []byte, c Caller) ([]byte, bool) {
	u := s.byID[string(id)] // no copy is made for a map index
	if u == nil || !s.knows(c) {
		u = s.lookup(c, string(id))
	}
	if u != nil && u.present() {
		return u.item, true
	}
	switch s.settings.UnknownIDs {
	case UnknownOmitted:
		return nil, true
	case UnknownRefused:
		return nil, false
	}
	availability, activity := spell(s.settings.Profile, "PresenceUnknown", "PresenceUnknown")
	return []byte(`{"id":"` + strings.ToLower(string(id)) + `","availability":"` + availability + `","activity":"` + activity +
		`","outOfOfficeSettings":{"message":null,"isOutOfOffice":false}}`), true
}

// presenceOfUser answers GET /users/{id}/presence and /communications/presences/{id}.
func (s *Simulator) presenceOfUser(w http.ResponseWriter, r *http.Request, c Caller) {
	id := r.PathValue("id")
	own := !c.appOnly() && strings.EqualFold(id, c.ObjectID) && c.may([]string{"Presence.Read"}, nil)
	if !own && !c.may(readDelegated, readApplication) {
		refuse(w, r, http.StatusForbidden, "Forbidden", "")
		return
	}
	if s.mayAsk(w, r, c) {
		s.writePresence(w, r, c, id)
	}
}

// presenceOfMe answers GET /me/presence.
func (s *Simulator) presenceOfMe(w http.ResponseWriter, r *http.Request, c Caller) {
	if c.appOnly() {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.")
		return
	}
	if !c.may([]string{"Presence.Read", "Presence.Read.All"}, nil) {
		refuse(w, r, http.StatusForbidden, "Forbidden", "")
		return
	}
	if s.mayAsk(w, r, c) {
		s.writePresence(w, r, c, c.ObjectID)
	}
}

func (s *Simulator) writePresence(w http.ResponseWriter, r *http.Request, c Caller, id string) {
	// A UPN does not work here, and $select is an error (seen in the field).
	if !isGUID(id) || r.URL.Query().Has("$select") {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "")
		return
	}
	s.mu.RLock()
	u := s.lookup(c, id)
	var item []byte
	if u != nil && u.present() {
		item = u.item
	}
	s.mu.RUnlock()
	if item == nil {
		refuse(w, r, http.StatusNotFound, "NotFound", "")
		return
	}
	head := []byte(`{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#users('` + strings.ToLower(id) + `')/presence/$entity",`)
	answer(w, http.StatusOK, "application/json; odata.metadata=minimal; charset=utf-8", append(head, item[1:]...))
}

func isJSON(r *http.Request) bool {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// readIDs returns the ids of {"ids":[...]}, as parts of body where it can, and
// false when body has another shape or an id is no GUID.
func readIDs(body []byte, ids [][]byte) ([][]byte, bool) {
	if fast, ok := scanIDs(body, ids); ok {
		return fast, true
	}
	var request struct {
		IDs []string `json:"ids"`
	}
	if json.Unmarshal(body, &request) != nil {
		return ids[:0], false
	}
	ids = ids[:0]
	for _, id := range request.IDs {
		ids = append(ids, []byte(id))
		if !isGUID(id) {
			return ids, false
		}
	}
	return ids, true
}

// scanIDs reads the compact form that clients send: no blanks but at the ends.
func scanIDs(body []byte, ids [][]byte) ([][]byte, bool) {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(body), []byte(`{"ids":["`))
	if !ok {
		return ids, false
	}
	const id = 36
	for {
		if len(rest) < id+2 || rest[id] != '"' || !isGUID(rest[:id]) {
			return ids, false
		}
		ids = append(ids, rest[:id])
		switch next := rest[id+1:]; {
		case len(next) > 1 && next[0] == ',' && next[1] == '"':
			rest = next[2:]
		case string(next) == "]}":
			return ids, true
		default:
			return ids, false
		}
	}
}
