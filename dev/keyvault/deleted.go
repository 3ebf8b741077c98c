package keyvault

import (
	"net/http"
	"time"
)

// deletedItem is a secret in soft delete, without its value.
func (s *Simulator) deletedItem(r *http.Request, found *secret, full bool) map[string]any {
	b := item(r, found.name, found.latest(), full)
	b["recoveryId"] = "https://" + r.Host + "/deletedsecrets/" + found.name
	b["deletedDate"] = found.deletedAt.Unix()
	b["scheduledPurgeDate"] = found.deletedAt.Add(s.cfg.PurgeAfter).Unix()
	return b
}

// expire purges what nobody recovered in time.
func (s *Simulator) expire() {
	for k, found := range s.deleted {
		if s.cfg.Now().Sub(found.deletedAt) >= s.cfg.PurgeAfter {
			delete(s.deleted, k)
		}
	}
}

// deleteSecret hides all versions; the name stays taken.
func (s *Simulator) deleteSecret(w http.ResponseWriter, r *http.Request) *failure {
	found, _, f := s.find(r)
	if f != nil {
		return f
	}
	s.moveToDeleted(found)
	writeJSON(w, http.StatusOK, s.deletedItem(r, found, true))
	return nil
}

func (s *Simulator) findDeleted(r *http.Request) (*secret, *failure) {
	name := r.PathValue("name")
	if found := s.deleted[key(name)]; found != nil {
		return found, nil
	}
	return nil, fail(http.StatusNotFound, "SecretNotFound", "Deleted Secret not found: %s", name)
}

func (s *Simulator) getDeleted(w http.ResponseWriter, r *http.Request) *failure {
	found, f := s.findDeleted(r)
	if f != nil {
		return f
	}
	writeJSON(w, http.StatusOK, s.deletedItem(r, found, true))
	return nil
}

func (s *Simulator) listDeleted(w http.ResponseWriter, r *http.Request) *failure {
	items := []map[string]any{}
	for _, name := range sortedNames(s.deleted) {
		items = append(items, s.deletedItem(r, s.deleted[key(name)], false))
	}
	return page(w, r, items)
}

// recoverSecret brings all versions back. Writing is refused a little longer, as
// often as [Simulator.SetRecoveryDelay] says.
func (s *Simulator) recoverSecret(w http.ResponseWriter, r *http.Request) *failure {
	found, f := s.findDeleted(r)
	if f != nil {
		return f
	}
	delete(s.deleted, key(found.name))
	found.deletedAt = time.Time{}
	s.live[key(found.name)] = found
	s.recovering[key(found.name)] = s.delay
	writeJSON(w, http.StatusOK, item(r, found.name, found.latest(), true))
	return nil
}

func (s *Simulator) purgeSecret(w http.ResponseWriter, r *http.Request) *failure {
	found, f := s.findDeleted(r)
	if f != nil {
		return f
	}
	delete(s.deleted, key(found.name))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
