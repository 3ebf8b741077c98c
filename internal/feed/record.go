package feed

import (
	"time"
	"unique"

	"github.com/google/uuid"

	"procallteams/internal/presence"
)

// record is a presence change in few bytes.
type record struct {
	entra          uuid.UUID
	text           string                          // user, ucid and sequence behind one another
	outcome        unique.Handle[presence.Outcome] // few differ
	append         uint64
	observed       int64 // Unix milliseconds
	index          uint32
	ucid, sequence uint16 // where they begin in text
}

func recordOf(id uuid.UUID, c *Change) record {
	text := make([]byte, 0, 256)
	text = append(append(append(text, c.User...), c.UCID...), c.Sequence...)
	return record{
		entra: id, text: string(text), // memory of its own: the change may be part of something large
		outcome: unique.Make(c.Outcome), append: c.ID.Append, index: c.ID.Index, observed: c.ObservedAt.UnixMilli(),
		ucid: uint16(len(c.User)), sequence: uint16(len(c.User) + len(c.UCID)),
	}
}

// left says that the person was removed, and nothing but the id is in the record.
func (r *record) left() bool { return r.outcome == unique.Handle[presence.Outcome]{} }

// change returns the change of the record, which is about entra.
func (r *record) change(entra presence.UserID) Change {
	return Change{
		ID: ID{r.append, r.index}, Kind: Presence,
		Entra: entra, User: r.text[:r.ucid], UCID: r.text[r.ucid:r.sequence], Sequence: r.text[r.sequence:],
		Outcome: r.outcome.Value(), ObservedAt: time.UnixMilli(r.observed).UTC(),
	}
}
