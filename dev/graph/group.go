package graph

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Permissions for groups and their members (Graph: list group transitive
// members). The first one suffices for members only.
var (
	memberRights = append([]string{"GroupMember.ReadBasic.All"}, groupRights...)
	groupRights  = []string{"GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
)

// Group is a security group.
type Group struct {
	ID          string `json:"id"` // object id; made from the seed when empty
	DisplayName string `json:"displayName"`
	// Members are object ids of users, groups and devices; groups may hold
	// themselves. Ids that are nobody's (any more) are passed over.
	Members []string `json:"members"`
}

type group struct {
	id, name string
	members  map[string]bool // by id in lower case
}

// AddGroup adds a group. It panics when the id is taken or an id is no GUID: a
// mistake of the test.
func (s *Simulator) AddGroup(g Group) Group {
	added, err := s.addGroup(g)
	if err != nil {
		panic("graph simulator: " + err.Error())
	}
	return added
}

func (s *Simulator) addGroup(g Group) (Group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.ID = strings.ToLower(g.ID); g.ID == "" {
		g.ID = s.newID()
	}
	if !isGUID(g.ID) || s.groups[g.ID] != nil {
		return Group{}, fmt.Errorf("add group %q: taken or malformed", g.ID)
	}
	added := &group{id: g.ID, name: g.DisplayName, members: map[string]bool{}}
	if err := added.change(g.Members, nil); err != nil {
		return Group{}, err
	}
	s.groups[g.ID] = added
	return g, nil
}

// AddDevice adds a device, which groups may have as a member, and returns its id.
func (s *Simulator) AddDevice(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.newID()
	s.devices[id] = name
	return id
}

// newID makes an id from the seed that no user has. It needs the write lock.
func (s *Simulator) newID() string {
	s.objects++
	return randomGUID(s.randomOf(1<<40 + s.objects))
}

// ChangeMembers adds and removes direct members of a group. It panics when there
// is no such group or an id is no GUID.
func (s *Simulator) ChangeMembers(groupID string, add, remove []string) {
	if err := s.changeMembers(groupID, add, remove); err != nil {
		panic("graph simulator: " + err.Error())
	}
}

func (s *Simulator) changeMembers(groupID string, add, remove []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[strings.ToLower(groupID)]
	if g == nil {
		return fmt.Errorf("change group %q: no such group", groupID)
	}
	return g.change(add, remove)
}

func (g *group) change(add, remove []string) error {
	for _, id := range add {
		if !isGUID(id) {
			return fmt.Errorf("change group %s: member %q is no GUID", g.id, id)
		}
		g.members[strings.ToLower(id)] = true
	}
	for _, id := range remove {
		delete(g.members, strings.ToLower(id))
	}
	return nil
}

// RemoveGroup deletes a group; groups that hold it lose its members with it. It
// panics when there is none.
func (s *Simulator) RemoveGroup(id string) {
	if err := s.removeGroup(id); err != nil {
		panic("graph simulator: " + err.Error())
	}
}

func (s *Simulator) removeGroup(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[strings.ToLower(id)] == nil {
		return fmt.Errorf("remove group %q: no such group", id)
	}
	delete(s.groups, strings.ToLower(id))
	return nil
}

// Groups lists the groups with their direct members, in order of ids.
func (s *Simulator) Groups() []Group {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []Group{}
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[id]
		list = append(list, Group{ID: id, DisplayName: g.name, Members: slices.Sorted(maps.Keys(g.members))})
	}
	return list
}

// listGroups answers GET /groups, all or those with a display name.
func (s *Simulator) listGroups(w http.ResponseWriter, r *http.Request, c Caller) {
	if !groupRight(w, r, c, groupRights) {
		return
	}
	q := r.URL.Query()
	l, ok := readListing(w, r, q, "group")
	if !ok {
		return
	}
	name, filtered := strings.CutPrefix(q.Get("$filter"), "displayName eq '")
	name, closed := strings.CutSuffix(name, "'")
	inner := strings.ReplaceAll(name, "''", "")
	if q.Has("$filter") && (!filtered || !closed || strings.Contains(inner, "'")) {
		refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified for a property of resource 'Group'.")
		return
	}
	name = strings.ReplaceAll(name, "''", "'")
	all := []object{}
	s.mu.RLock()
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		if g := s.groups[id]; s.knows(c) && (!filtered || strings.EqualFold(g.name, name)) {
			all = append(all, g.object())
		}
	}
	s.mu.RUnlock()
	answerList(w, r, q, l, "groups", all, false)
}

// getGroup answers GET /groups/{id}.
func (s *Simulator) getGroup(w http.ResponseWriter, r *http.Request, c Caller) {
	if !groupRight(w, r, c, groupRights) {
		return
	}
	q := r.URL.Query()
	names, ok := readSelect(w, r, q, "group")
	if !ok {
		return
	}
	s.mu.RLock()
	g := s.findGroup(w, r, c)
	s.mu.RUnlock()
	if g == nil {
		return
	}
	out := []byte(`{"@odata.context":` + quote("https://graph.microsoft.com/v1.0/$metadata#groups"+contextList(q)+"/$entity") + `,`)
	answer(w, http.StatusOK, "application/json; odata.metadata=minimal; charset=utf-8", append(out, g.object().append(nil, names, false)[1:]...))
}

// transitiveMembers answers GET /groups/{id}/transitiveMembers: everybody in the
// group and in the groups in it, once each, with those groups; also the group
// itself when it is in one of them (INFER). A cast to one kind is an advanced
// query.
func (s *Simulator) transitiveMembers(w http.ResponseWriter, r *http.Request, c Caller) {
	if !groupRight(w, r, c, memberRights) {
		return
	}
	q := r.URL.Query()
	kind, _ := strings.CutPrefix(r.PathValue("cast"), "microsoft.graph.")
	cast := r.PathValue("cast") != ""
	switch {
	case cast && selectable[kind] == nil:
		refuse(w, r, http.StatusBadRequest, "BadRequest", "Resource not found for the segment '"+r.PathValue("cast")+"'.")
		return
	case (cast || q.Has("$count")) && !advanced(r, q):
		refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "The request needs the header ConsistencyLevel: eventual and $count=true.")
		return
	case q.Has("$filter"):
		refuse(w, r, http.StatusBadRequest, "Request_UnsupportedQuery", "The specified filter to the reference property query is currently not supported.")
		return
	}
	kinds, context := []string{"user", "group", "device"}, "directoryObjects"
	if cast {
		kinds, context = []string{kind}, kind+"s"
	}
	l, ok := readListing(w, r, q, kinds...)
	if !ok {
		return
	}
	s.mu.RLock()
	var all []object
	g := s.findGroup(w, r, c)
	if g != nil {
		all = s.members(g, c)
	}
	s.mu.RUnlock()
	if g == nil {
		return
	}
	all = slices.DeleteFunc(all, func(o object) bool { return !slices.Contains(kinds, o.kind) })
	answerList(w, r, q, l, context, all, !cast)
}

// members walks through nested groups, and returns what it met in order of ids.
// It needs the read lock.
func (s *Simulator) members(g *group, c Caller) []object {
	var all []object
	may := func(p property) bool {
		return c.may(directoryRights, directoryRights) || p.basic && c.may(basicRight, nil)
	}
	met := map[string]bool{}
	for queue := []*group{g}; len(queue) > 0; queue = queue[1:] {
		for id := range queue[0].members {
			if met[id] {
				continue
			}
			met[id] = true
			if u := s.byID[id]; u != nil {
				all = append(all, userObject(u.User, may))
			} else if inner := s.groups[id]; inner != nil {
				all = append(all, inner.object())
				queue = append(queue, inner)
			} else if name, is := s.devices[id]; is {
				all = append(all, deviceObject(id, name))
			}
		}
	}
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(a.id, b.id) })
	return all
}

func groupRight(w http.ResponseWriter, r *http.Request, c Caller, rights []string) bool {
	if c.may(rights, rights) {
		return true
	}
	refuse(w, r, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
	return false
}

// findGroup returns the group of the path; it answers itself when there is none.
// It needs the read lock.
func (s *Simulator) findGroup(w http.ResponseWriter, r *http.Request, c Caller) *group {
	id := r.PathValue("id")
	if !isGUID(id) {
		refuse(w, r, http.StatusBadRequest, "Request_BadRequest", "Invalid object identifier '"+id+"'.")
		return nil
	}
	if g := s.groups[strings.ToLower(id)]; g != nil && s.knows(c) {
		return g
	}
	refuse(w, r, http.StatusNotFound, "Request_ResourceNotFound",
		"Resource '"+id+"' does not exist or one of its queried reference-property objects are not present.")
	return nil
}
