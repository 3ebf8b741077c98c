package graph

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Permissions for other people's user records (Graph: list users).
var (
	directoryRights = []string{"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	basicRight      = []string{"User.ReadBasic.All"}
)

// property reads one property of a user as it stands in JSON.
type property struct {
	read  func(User) any
	basic bool // given by User.ReadBasic.All
	usual bool // given without $select
}

func text(read func(User) string) func(User) any {
	return func(u User) any {
		if v := read(u); v != "" {
			return v
		}
		return nil
	}
}

func nothing(User) any { return nil }

var properties = map[string]property{
	"id":                           {func(u User) any { return u.ID }, true, true},
	"businessPhones":               {func(User) any { return []string{} }, false, true},
	"displayName":                  {text(func(u User) string { return u.DisplayName }), true, true},
	"givenName":                    {text(func(u User) string { return u.GivenName }), true, true},
	"jobTitle":                     {nothing, false, true},
	"mail":                         {text(func(u User) string { return u.Mail }), true, true},
	"mobilePhone":                  {nothing, false, true},
	"officeLocation":               {nothing, false, true},
	"preferredLanguage":            {nothing, false, true},
	"surname":                      {text(func(u User) string { return u.Surname }), true, true},
	"userPrincipalName":            {func(u User) any { return u.UserPrincipalName }, true, true},
	"accountEnabled":               {func(u User) any { return !u.Disabled }, false, false},
	"userType":                     {func(u User) any { return u.UserType }, false, false},
	"proxyAddresses":               {func(u User) any { return append([]string{}, u.ProxyAddresses...) }, false, false},
	"onPremisesUserPrincipalName":  {text(func(u User) string { return u.OnPremisesUserPrincipalName }), false, false},
	"onPremisesSamAccountName":     {text(func(u User) string { return u.OnPremisesSamAccountName }), false, false},
	"onPremisesDomainName":         {text(func(u User) string { return u.OnPremisesDomainName }), false, false},
	"onPremisesImmutableId":        {text(func(u User) string { return u.OnPremisesImmutableID }), false, false},
	"onPremisesSecurityIdentifier": {text(func(u User) string { return u.OnPremisesSecurityIdentifier }), false, false},
}

// singleOnly are properties that Graph gives for one user only.
var singleOnly = []string{"aboutMe", "birthday", "hireDate", "interests", "mySite", "pastProjects", "preferredName", "responsibilities", "schools", "skills", "mailboxSettings"}

// usual are the properties of an answer without $select, in order.
var usual = func() []string {
	var names []string
	for name, p := range properties {
		if p.usual {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}()

// listUsers answers GET /users, in pages that follow the order of creation.
func (s *Simulator) listUsers(w http.ResponseWriter, r *http.Request, c Caller) {
	basicOnly, ok := s.directoryRight(w, r, c)
	if !ok {
		return
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "BadRequest", "Invalid query.")
		return
	}
	names, ok := chosen(w, r, q, basicOnly)
	if !ok {
		return
	}
	for _, unsupported := range []string{"$skip", "$search", "$orderby", "$expand"} {
		if q.Has(unsupported) {
			refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "'"+unsupported+"' is not supported here.")
			return
		}
	}
	top := 100
	if q.Has("$top") {
		if top, err = strconv.Atoi(q.Get("$top")); err != nil || top < 1 || top > 999 {
			refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery",
				"Invalid page size specified: '"+q.Get("$top")+"'. Must be between 1 and 999 inclusive.")
			return
		}
	}
	matches, ok := filter(w, r, q.Get("$filter"), basicOnly)
	if !ok {
		return
	}
	from, ok := skipped(q.Get("$skiptoken"))
	if !ok {
		refuse(w, r, http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value is not valid.")
		return
	}

	s.mu.RLock()
	var page []User
	next, count := -1, 0
	for _, u := range s.users {
		if u == nil || !s.knows(c) || !matches(u.User) {
			continue
		}
		count++
		switch {
		case u.position < from || next >= 0:
		case len(page) == top:
			next = u.position
		default:
			page = append(page, u.User)
		}
	}
	s.mu.RUnlock()

	out := []byte(`{"@odata.context":` + quote("https://graph.microsoft.com/v1.0/$metadata#users"+contextList(q)) + `,`)
	if q.Get("$count") == "true" && strings.EqualFold(r.Header.Get("ConsistencyLevel"), "eventual") && from == 0 {
		out = append(out, `"@odata.count":`+strconv.Itoa(count)+`,`...)
	}
	if next >= 0 {
		out = append(out, `"@odata.nextLink":`+quote(nextLink(r, q, next))+`,`...)
	}
	out = append(out, `"value":[`...)
	for i, u := range page {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendUser(append(out, '{'), u, names)
	}
	answer(w, http.StatusOK, "application/json; odata.metadata=minimal; charset=utf-8", append(out, "]}"...))
}

// getUser answers GET /users/{id or UPN}.
func (s *Simulator) getUser(w http.ResponseWriter, r *http.Request, c Caller) {
	basicOnly, ok := s.directoryRight(w, r, c)
	if !ok {
		return
	}
	s.oneUser(w, r, c, r.PathValue("id"), basicOnly)
}

// getMe answers GET /me with what User.Read gives: the whole own record.
func (s *Simulator) getMe(w http.ResponseWriter, r *http.Request, c Caller) {
	switch {
	case c.appOnly():
		refuse(w, r, http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.")
	case !c.may(append([]string{"User.Read"}, directoryRights...), nil):
		refuse(w, r, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
	default:
		s.oneUser(w, r, c, c.ObjectID, false)
	}
}

func (s *Simulator) oneUser(w http.ResponseWriter, r *http.Request, c Caller, id string, basicOnly bool) {
	q := r.URL.Query()
	names, ok := chosen(w, r, q, basicOnly)
	if !ok {
		return
	}
	s.mu.RLock()
	u := s.lookup(c, id)
	if u == nil && s.knows(c) {
		u = s.byUPN[strings.ToLower(id)]
	}
	var found User
	if u != nil {
		found = u.User
	}
	s.mu.RUnlock()
	if u == nil {
		refuse(w, r, http.StatusNotFound, "Request_ResourceNotFound",
			"Resource '"+id+"' does not exist or one of its queried reference-property objects are not present.")
		return
	}
	out := []byte(`{"@odata.context":` + quote("https://graph.microsoft.com/v1.0/$metadata#users"+contextList(q)+"/$entity") + `,`)
	answer(w, http.StatusOK, "application/json; odata.metadata=minimal; charset=utf-8", appendUser(out, found, names))
}

// directoryRight reports whether the caller may read users, and whether only
// the basic properties. An application with User.ReadBasic.All alone is refused
// (seen in the field), and so is a guest.
func (s *Simulator) directoryRight(w http.ResponseWriter, r *http.Request, c Caller) (basicOnly, ok bool) {
	s.mu.RLock()
	self := s.lookup(c, c.ObjectID)
	guest := self != nil && self.UserType == "Guest"
	s.mu.RUnlock()
	switch {
	case guest:
	case c.may(directoryRights, directoryRights):
		return false, true
	case c.may(basicRight, nil):
		return true, true
	}
	refuse(w, r, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
	return false, false
}

// chosen returns the properties to answer. Without the right to one it is left
// out: INFER, null or 403 is possible as well.
func chosen(w http.ResponseWriter, r *http.Request, q url.Values, basicOnly bool) ([]string, bool) {
	names := usual
	if q.Has("$select") {
		names = nil
		for name := range strings.SplitSeq(q.Get("$select"), ",") {
			name = strings.TrimSpace(name)
			if _, known := properties[name]; known {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
				continue
			}
			if slices.Contains(singleOnly, name) {
				refuse(w, r, http.StatusNotImplemented, "NotImplemented", "This operation target is not yet supported.")
				return nil, false
			}
			refuse(w, r, http.StatusBadRequest, "BadRequest", "Parsing OData Select and Expand failed: Could not find a property named '"+name+"' on type 'microsoft.graph.user'.")
			return nil, false
		}
	}
	if !basicOnly {
		return names, true
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !properties[name].basic }), true
}

// filter reads "property eq value" clauses joined by "and": what this simulator
// knows of $filter.
func filter(w http.ResponseWriter, r *http.Request, expression string, basicOnly bool) (func(User) bool, bool) {
	type clause struct {
		p     property
		value any
	}
	var clauses []clause
	if expression != "" {
		for part := range strings.SplitSeq(expression, " and ") {
			words := strings.SplitN(strings.TrimSpace(part), " ", 3)
			if len(words) != 3 || words[1] != "eq" || !properties[words[0]].comparable() {
				refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified for property '"+words[0]+"' of resource 'User'.")
				return nil, false
			}
			p := properties[words[0]]
			if basicOnly && !p.basic {
				refuse(w, r, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
				return nil, false
			}
			var value any
			switch v := words[2]; {
			case v == "true" || v == "false":
				value = v == "true"
			case len(v) >= 2 && v[0] == '\'' && v[len(v)-1] == '\'':
				value = strings.ReplaceAll(v[1:len(v)-1], "''", "'")
			default:
				refuse(w, r, http.StatusBadRequest, "BadRequest", "Invalid filter clause")
				return nil, false
			}
			clauses = append(clauses, clause{p, value})
		}
	}
	return func(u User) bool {
		for _, c := range clauses {
			held := c.p.read(u)
			heldText, isText := held.(string)
			wanted, wantText := c.value.(string)
			if isText != wantText || isText && !strings.EqualFold(heldText, wanted) || !isText && held != c.value {
				return false
			}
		}
		return true
	}, true
}

func (p property) comparable() bool {
	if p.read == nil {
		return false
	}
	_, isList := p.read(User{}).([]string)
	return !isList
}

func appendUser(out []byte, u User, names []string) []byte {
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), `":`...)
		value, _ := json.Marshal(properties[name].read(u)) // texts, booleans and lists of text
		out = append(out, value...)
	}
	return append(out, '}')
}

func contextList(q url.Values) string {
	if list := q.Get("$select"); list != "" {
		return "(" + list + ")"
	}
	return ""
}

// nextLink is an absolute URL that holds the whole query and an opaque token.
func nextLink(r *http.Request, q url.Values, position int) string {
	next := url.Values{}
	for name, values := range q {
		if name != "$skiptoken" {
			next[name] = values
		}
	}
	next.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte("RFNwdAIAAQ:"+strconv.Itoa(position))))
	return base(r) + r.URL.Path + "?" + next.Encode()
}

func skipped(token string) (int, bool) {
	if token == "" {
		return 0, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0, false
	}
	position, err := strconv.Atoi(strings.TrimPrefix(string(raw), "RFNwdAIAAQ:"))
	return position, err == nil && position >= 0
}
