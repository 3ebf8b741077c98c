package graph

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// object is a directory object as answers show it.
type object struct {
	id, kind string // kind is the end of @odata.type
	values   map[string]any
}

func (g *group) object() object {
	return object{g.id, "group", map[string]any{
		"id": g.id, "displayName": g.name, "description": nil, "mail": nil, "mailEnabled": false, "securityEnabled": true, "groupTypes": []string{},
	}}
}

func deviceObject(id, name string) object {
	return object{id, "device", map[string]any{"id": id, "displayName": name, "accountEnabled": true}}
}

// userObject is a user; without the right to read users everything but the id is
// null (Graph: limited information).
func userObject(u User, may func(property) bool) object {
	values := map[string]any{}
	for name, p := range properties {
		if values[name] = nil; name == "id" || may(p) {
			values[name] = p.read(u)
		}
	}
	return object{u.ID, "user", values}
}

// selectable are the properties that $select may name for each kind.
var selectable = map[string][]string{
	"user":   slices.Sorted(maps.Keys(properties)),
	"group":  slices.Sorted(maps.Keys((&group{}).object().values)),
	"device": slices.Sorted(maps.Keys(deviceObject("", "").values)),
}

// known reports whether one of the kinds has the property.
func known(name string, kinds ...string) bool {
	return slices.ContainsFunc(kinds, func(kind string) bool { return slices.Contains(selectable[kind], name) })
}

// listing is the query of a list of objects.
type listing struct {
	names []string // nil: what is usual
	top   int
	after string // the last id of the page before
	count bool
}

// readListing reads the options of a list of objects of the given kinds, and
// answers itself when it reports false.
func readListing(w http.ResponseWriter, r *http.Request, q url.Values, kinds ...string) (listing, bool) {
	l := listing{top: 100, count: advanced(r, q)}
	for name := range q {
		if !slices.Contains([]string{"$select", "$top", "$count", "$skiptoken", "$filter"}, name) {
			refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "'"+name+"' is not supported here.")
			return l, false
		}
	}
	names, ok := readSelect(w, r, q, kinds...)
	if !ok {
		return l, false
	}
	l.names = names
	if q.Has("$top") {
		top, err := strconv.Atoi(q.Get("$top"))
		if err != nil || top < 1 || top > 999 {
			refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery",
				"Invalid page size specified: '"+q.Get("$top")+"'. Must be between 1 and 999 inclusive.")
			return l, false
		}
		l.top = top
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.Get("$skiptoken"))
	if l.after = string(raw); err != nil || l.after != "" && !isGUID(raw) {
		refuse(w, r, http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value is not valid.")
		return l, false
	}
	return l, true
}

func readSelect(w http.ResponseWriter, r *http.Request, q url.Values, kinds ...string) ([]string, bool) {
	if !q.Has("$select") {
		return nil, true
	}
	var names []string
	for name := range strings.SplitSeq(q.Get("$select"), ",") {
		if name = strings.TrimSpace(name); !known(name, kinds...) {
			refuse(w, r, http.StatusBadRequest, "BadRequest", "Parsing OData Select and Expand failed: Could not find a property named '"+name+"'.")
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// advanced reports whether the query is an advanced one (Graph: advanced query
// capabilities on directory objects).
func advanced(r *http.Request, q url.Values) bool {
	return q.Get("$count") == "true" && strings.EqualFold(r.Header.Get("ConsistencyLevel"), "eventual")
}

// answerList answers one page of objects that are in order of ids. typed adds
// @odata.type, which a list of one kind does not have.
func answerList(w http.ResponseWriter, r *http.Request, q url.Values, l listing, context string, all []object, typed bool) {
	rest := all
	if l.after != "" {
		start, found := slices.BinarySearchFunc(all, l.after, func(o object, id string) int { return strings.Compare(o.id, id) })
		if found {
			start++
		}
		rest = all[start:]
	}
	page := rest[:min(l.top, len(rest))]
	out := []byte(`{"@odata.context":` + quote("https://graph.microsoft.com/v1.0/$metadata#"+context+contextList(q)) + `,`)
	if l.count && l.after == "" {
		out = append(out, `"@odata.count":`+strconv.Itoa(len(all))+`,`...)
	}
	if len(page) < len(rest) {
		next := maps.Clone(q)
		next.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(page[len(page)-1].id)))
		out = append(out, `"@odata.nextLink":`+quote(base(r)+r.URL.Path+"?"+next.Encode())+`,`...)
	}
	out = append(out, `"value":[`...)
	for i, o := range page {
		if i > 0 {
			out = append(out, ',')
		}
		out = o.append(out, l.names, typed)
	}
	answer(w, http.StatusOK, "application/json; odata.metadata=minimal; charset=utf-8", append(out, "]}"...))
}

func (o object) append(out []byte, names []string, typed bool) []byte {
	if names == nil {
		if names = selectable[o.kind]; o.kind == "user" {
			names = usual
		}
	}
	out = append(out, '{')
	if typed {
		out = append(out, `"@odata.type":"#microsoft.graph.`+o.kind+`",`...)
	}
	for _, name := range names {
		if value, has := o.values[name]; has {
			text, _ := json.Marshal(value) // texts, booleans and lists of text
			out = append(append(append(out, strconv.Quote(name)+":"...), text...), ',')
		}
	}
	if out[len(out)-1] == ',' {
		out = out[:len(out)-1]
	}
	return append(out, '}')
}
