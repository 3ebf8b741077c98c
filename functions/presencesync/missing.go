package presencesync

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"procallteams/internal/presence"
)

// maxMissing bounds the stored list: a row's text has room for no more. Beyond
// it, a process that starts gives some people fifteen minutes anew.
const maxMissing = 600

// A record is a GUID and seconds since 1970.
const missingRecord = 16 + 4

// packMissing returns the people whom Graph does not answer for and since when.
func (r *run) packMissing() []byte {
	if len(r.missing) == 0 {
		return nil
	}
	packed := make([]byte, 0, min(len(r.missing), maxMissing)*missingRecord)
	for id, since := range r.missing {
		guid, err := uuid.Parse(string(id))
		if err != nil {
			continue
		}
		if len(packed) == maxMissing*missingRecord {
			break
		}
		packed = binary.BigEndian.AppendUint32(append(packed, guid[:]...), uint32(since.Unix()))
	}
	return packed
}

// recall reads the stored list when this process has none yet.
func (r *run) recall(packed []byte) {
	if r.missing != nil {
		return
	}
	r.missing = map[presence.UserID]time.Time{}
	for ; len(packed) >= missingRecord; packed = packed[missingRecord:] {
		id := uuid.UUID(packed[:16]).String()
		r.missing[presence.UserID(id)] = time.Unix(int64(binary.BigEndian.Uint32(packed[16:])), 0)
	}
}
