package graph

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// deltaLife is how long state tokens of directory objects are valid (Graph:
	// delta query overview).
	deltaLife = 7 * 24 * time.Hour
	// deltaPage is the usual number of entries of a page. INFER: $top is not
	// supported and the documentation names no number.
	deltaPage = 200
	// maxFiltered is the most objects that $filter may name.
	maxFiltered = 50
)

// deltaState is what a state token holds; to clients it is opaque. Everything is
// in it, so nothing of a round is kept here.
type deltaState struct {
	Kind       string   `json:"k"` // skip: within a round; delta: between two
	Generation int      `json:"g"`
	Issued     int64    `json:"t"`
	Select     string   `json:"s,omitempty"`
	Filter     []string `json:"i,omitempty"`
	// From is the revision after which changes belong to the round, zero for
	// everybody; To is the revision at its start, after which the next one begins.
	// What changes while pages are read may be in both, and is lost in neither.
	From uint64 `json:"f"`
	To   uint64 `json:"r"`
	// Users and Departures are the places in the two lists to go on from, Page
	// counts the round's pages, Last is the last entry of the page before.
	Users      int    `json:"u,omitempty"`
	Departures int    `json:"d,omitempty"`
	Page       int    `json:"p,omitempty"`
	Last       string `json:"l,omitempty"`
}

const (
	skipState  = "skip"
	deltaKind  = "delta"
	latest     = "latest"
	noSuchSync = "The sync state generation is not found. The delta token is expired and data must be synchronized again."
)

func (d deltaState) token() string {
	raw, _ := json.Marshal(d) // numbers and texts always marshal
	return base64.RawURLEncoding.EncodeToString(raw)
}

// usersDelta answers GET /users/delta: one page of a round of changes.
//
// It is unkind on purpose where the documentation allows it: the second page of
// a round is empty, every later page begins with the last entry of the one
// before, and Settings.DeltaReplays tells old changes again. Removed users are in
// the first round as well.
func (s *Simulator) usersDelta(w http.ResponseWriter, r *http.Request, c Caller) {
	basicOnly, ok := s.directoryRight(w, r, c)
	if !ok {
		return
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "Invalid query.")
		return
	}
	round, ok := s.deltaRound(w, r, q)
	if !ok {
		return
	}
	selection := url.Values{}
	if round.Select != "" {
		selection.Set("$select", round.Select)
	}
	names, ok := chosen(w, r, selection, basicOnly)
	if !ok {
		return
	}
	minimal := strings.EqualFold(r.Header.Get("Prefer"), "return=minimal")
	if minimal {
		w.Header().Set("Preference-Applied", "return=minimal")
	}
	s.mu.RLock()
	page := deltaPager{s: s, round: round, names: names, minimal: minimal, known: s.knows(c)}
	page.fill()
	s.mu.RUnlock()

	out := []byte(`{"@odata.context":` + quote("https://graph.microsoft.com/v1.0/$metadata#users"+contextList(selection)) + `,`)
	link, kind := `"@odata.deltaLink":`, "$deltatoken"
	if page.next.Kind == skipState {
		link, kind = `"@odata.nextLink":`, "$skiptoken"
	}
	out = append(append(out, link...), quote(base(r)+r.URL.Path+"?"+kind+"="+page.next.token())...)
	out = append(append(append(out, `,"value":[`...), page.items...), "]}"...)
	answer(w, http.StatusOK, "application/json; odata.metadata=minimal; charset=utf-8", out)
}

// base is the origin that the caller used.
func base(r *http.Request) string {
	if r.TLS == nil {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}

// deltaRound reads the query: a first one, or one with a token, in which all
// options are baked. It answers itself when it reports false.
func (s *Simulator) deltaRound(w http.ResponseWriter, r *http.Request, q url.Values) (deltaState, bool) {
	var skip, delta string
	for name, values := range q {
		switch strings.ToLower(name) {
		case "$skiptoken":
			skip = values[0]
		case "$deltatoken":
			delta = values[0]
		case "$select", "$filter":
		default:
			refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "'"+name+"' is not supported for delta queries.")
			return deltaState{}, false
		}
	}
	if skip == "" && (delta == "" || delta == latest) {
		return s.firstRound(w, r, q, delta == latest)
	}
	// INFER: options beside a token are refused; they may be ignored as well.
	if q.Has("$select") || q.Has("$filter") || skip != "" && delta != "" {
		refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "Query options can not be combined with a state token.")
		return deltaState{}, false
	}
	kind, token := skipState, skip
	if delta != "" {
		kind, token = deltaKind, delta
	}
	return s.nextRound(w, r, kind, token)
}

func (s *Simulator) firstRound(w http.ResponseWriter, r *http.Request, q url.Values, latest bool) (deltaState, bool) {
	ids, ok := filteredIDs(q.Get("$filter"))
	if !ok {
		refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause.")
		return deltaState{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	round := deltaState{Kind: skipState, Generation: s.track.generation, Select: q.Get("$select"), Filter: ids, To: s.track.revision}
	if latest {
		round.From = s.track.revision
		round.Users, round.Departures = len(s.users), len(s.track.departures)
	}
	return round, true
}

func (s *Simulator) nextRound(w http.ResponseWriter, r *http.Request, kind, token string) (deltaState, bool) {
	var round deltaState
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(raw, &round) != nil || round.Kind != kind || round.Users < 0 || round.Departures < 0 {
		refuse(w, r, http.StatusBadRequest, "Request_BadRequest", "Badly formed token.")
		return deltaState{}, false
	}
	if s.now().Sub(time.Unix(round.Issued, 0)) > deltaLife {
		refuse(w, r, http.StatusBadRequest, "syncStateNotFound", noSuchSync)
		return deltaState{}, false
	}
	s.mu.RLock()
	generation, revision := s.track.generation, s.track.revision
	s.mu.RUnlock()
	if round.Generation != generation {
		location := base(r) + r.URL.Path + "?$deltatoken="
		if round.Select != "" {
			location += "&$select=" + url.QueryEscape(round.Select)
		}
		w.Header().Set("Location", location)
		// INFER: the code of a 410 is not documented; this is the general one.
		refuse(w, r, http.StatusGone, "resyncRequired", "Resync required.")
		return deltaState{}, false
	}
	if kind == deltaKind {
		round = deltaState{Kind: skipState, Generation: generation, Select: round.Select, Filter: round.Filter, From: round.To, To: revision}
	}
	return round, true
}

// filteredIDs reads "id eq '...' or id eq '...'", all that $filter may hold here.
func filteredIDs(expression string) ([]string, bool) {
	if expression == "" {
		return nil, true
	}
	var ids []string
	for part := range strings.SplitSeq(expression, " or ") {
		id, ok := strings.CutPrefix(strings.TrimSpace(part), "id eq '")
		id, closed := strings.CutSuffix(id, "'")
		if !ok || !closed || !isGUID(id) {
			return nil, false
		}
		ids = append(ids, strings.ToLower(id))
	}
	return ids, len(ids) <= maxFiltered
}

// deltaPager makes one page. It needs the read lock.
type deltaPager struct {
	s       *Simulator
	round   deltaState
	names   []string
	minimal bool
	known   bool // the caller's tenant is the simulated one

	items []byte
	count int
	next  deltaState
}

// fill writes the page's entries, and the state that its link holds.
func (p *deltaPager) fill() {
	p.next = p.round
	p.next.Issued, p.next.Page = p.s.now().Unix(), p.round.Page+1
	if p.round.Page == 1 {
		return // an empty page
	}
	if u := p.s.byID[p.round.Last]; u != nil && p.round.Last != "" {
		p.user(u) // told twice
	}
	if !p.known || !p.rest() {
		p.next = deltaState{Kind: deltaKind, Generation: p.round.Generation, Issued: p.next.Issued, Select: p.round.Select, Filter: p.round.Filter, To: p.round.To}
	}
}

// rest goes through what is left of the round and reports whether the page was
// full before the end.
func (p *deltaPager) rest() bool {
	most := p.s.settings.DeltaPage
	if most == 0 {
		most = deltaPage
	}
	for ; p.next.Users < len(p.s.users); p.next.Users++ {
		u := p.s.users[p.next.Users]
		if u == nil || !p.wanted(u.ID) || !p.changed(u) {
			continue
		}
		if p.count >= most {
			return true
		}
		p.user(u)
		p.next.Last = u.ID
	}
	for ; p.next.Departures < len(p.s.track.departures); p.next.Departures++ {
		d := p.s.track.departures[p.next.Departures]
		if !p.wanted(d.ID) || d.revision <= p.since() {
			continue
		}
		if p.count >= most {
			return true
		}
		p.item(`{"id":"` + d.ID + `","@removed":{"reason":"` + d.reason() + `"}}`)
	}
	return false
}

func (p *deltaPager) wanted(id string) bool {
	return len(p.round.Filter) == 0 || slices.Contains(p.round.Filter, id)
}

// since is the revision after which changes are told: earlier ones again when
// replays are wanted.
func (p *deltaPager) since() uint64 {
	return p.round.From - min(p.round.From, uint64(max(p.s.settings.DeltaReplays, 0)))
}

// changed reports whether u is new, or one of the selected properties is.
func (p *deltaPager) changed(u *user) bool {
	since := p.since()
	return u.created > since || slices.ContainsFunc(p.names, func(name string) bool { return u.edited(name) > since })
}

func (p *deltaPager) item(text string) {
	if p.count++; p.count > 1 {
		p.items = append(p.items, ',')
	}
	p.items = append(p.items, text...)
}

// user writes an entry: what is selected and was ever set, or, minimal, what was
// changed since the last round; and the id in any case.
func (p *deltaPager) user(u *user) {
	out := []byte{'{'}
	for _, name := range p.names {
		edited := u.edited(name)
		value := properties[name].read(u.User)
		if name == "id" || unset(value) && edited == 0 || p.minimal && u.created <= p.since() && edited <= p.since() {
			continue
		}
		text, _ := json.Marshal(value) // texts, booleans and lists of text
		out = append(append(append(append(out, strconv.Quote(name)...), ':'), text...), ',')
	}
	p.item(string(out) + `"id":"` + u.ID + `"}`)
}

func unset(value any) bool {
	list, isList := value.([]string)
	return value == nil || isList && len(list) == 0
}
