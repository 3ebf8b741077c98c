package graph

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// limiter counts what each app spends in each tenant (Graph: service-specific
// throttling limits). Requests made while throttled count as well.
type limiter struct {
	mu      sync.Mutex
	windows map[string]*window
}

// window is a sliding sum over whole seconds.
type window struct {
	spent map[int64]int // by second since 1970
}

// spend adds cost at now and returns 0 while the sum of the last width seconds
// is at most limit, else the seconds until it will be, if nothing more comes.
func (l *limiter) spend(key string, now time.Time, width, cost, limit int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.windows == nil {
		l.windows = map[string]*window{}
	}
	w := l.windows[key]
	if w == nil {
		w = &window{spent: map[int64]int{}}
		l.windows[key] = w
	}
	second, sum := now.Unix(), 0
	for s, n := range w.spent {
		if s <= second-int64(width) {
			delete(w.spent, s)
			continue
		}
		sum += n
	}
	w.spent[second] += cost
	if sum += cost; sum <= limit {
		return 0
	}
	for s := second - int64(width) + 1; s <= second; s++ {
		if sum -= w.spent[s]; sum < limit {
			return int(s + int64(width) - second)
		}
	}
	return width
}

// admit applies the limit of the service behind the path: presence 10,000 per
// 30 s, identity in resource units per 10 s by the size of the directory.
func (s *Simulator) admit(w *recorder, r *http.Request, c Caller) bool {
	settings := s.Settings()
	key := c.AppID + "/" + c.TenantID
	if strings.HasPrefix(r.URL.Path, "/v1.0/communications/") || strings.Contains(r.URL.Path, "/presence") {
		limit := settings.PresenceLimit
		if limit == 0 {
			limit = 10_000
		}
		if limit < 0 {
			return true
		}
		if wait := s.limiter.spend("presence/"+key, s.now(), 30, 1, limit); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wait))
			refuse(w, r, http.StatusTooManyRequests, "TooManyRequests", "Please retry again later.")
			return false
		}
		return true
	}
	limit, cost := settings.IdentityLimit, identityCost(r)
	w.Header().Set("x-ms-resource-unit", strconv.Itoa(cost))
	if limit < 0 {
		return true
	}
	if limit == 0 {
		limit = s.identityLimit()
	}
	if wait := s.limiter.spend("identity/"+key, s.now(), 10, cost, limit); wait > 0 {
		h := w.Header()
		h.Set("Retry-After", strconv.Itoa(wait))
		h.Set("x-ms-throttle-scope", "Tenant_Application/ReadWrite/"+c.AppID+"/"+c.TenantID)
		h.Set("x-ms-throttle-information", "ResourceUnitLimitExceeded")
		refuse(w, r, http.StatusTooManyRequests, "TooManyRequests", "Please retry again later.")
		return false
	}
	return true
}

func (s *Simulator) identityLimit() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.live < 50:
		return 3500
	case s.live <= 500:
		return 5000
	}
	return 8000
}

// identityCost is 2 for a list of users, 5 for the transitive members of a group
// and 1 for the rest; $select and a $top below 20 save one each, and nothing is
// free.
func identityCost(r *http.Request) int {
	cost := 1
	switch {
	case r.URL.Path == "/v1.0/users":
		cost = 2
	case strings.Contains(r.URL.Path, "/transitiveMembers"):
		cost = 5
	}
	q := r.URL.Query()
	if q.Get("$select") != "" {
		cost--
	}
	if top, err := strconv.Atoi(q.Get("$top")); err == nil && top < 20 {
		cost--
	}
	return max(cost, 1)
}
