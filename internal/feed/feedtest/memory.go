// Package feedtest holds the conformance suite that every [feed.Store] passes,
// and an in-memory store for tests of what stands on a feed.
package feedtest

import (
	"context"
	"iter"
	"strconv"
	"sync"

	"procallteams/internal/feed"
)

// Memory is a feed.Store that forgets at the end of the process. The zero value
// is an empty feed.
type Memory struct {
	mu        sync.Mutex
	head      feed.Head
	version   int
	entries   map[uint64]feed.Packed
	snapshots map[string][]byte
}

// Head implements feed.Reader.
func (m *Memory) Head(context.Context) (feed.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, nil
}

// current reports whether head is the stored one; the caller holds the mutex.
func (m *Memory) current(head feed.Head) bool {
	return head.Position() == m.head.Position() && (head.Version == "" || head.Version == m.head.Version)
}

func (m *Memory) set(head feed.Head) {
	m.version++
	m.head = head
	m.head.Version = strconv.Itoa(m.version)
}

// Append implements feed.Writer.
func (m *Memory) Append(_ context.Context, head feed.Head, packed feed.Packed) (feed.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.current(head) {
		return feed.Head{}, feed.ErrLostRace
	}
	if m.entries == nil {
		m.entries = map[uint64]feed.Packed{}
	}
	m.entries[packed.Entry.Append] = packed
	m.set(packed.Head)
	return packed.Head, nil
}

// Entries implements feed.Reader.
func (m *Memory) Entries(_ context.Context, head feed.Head, after, upTo uint64) iter.Seq2[feed.Entry, error] {
	return func(yield func(feed.Entry, error) bool) {
		for number := after + 1; number <= upTo; number++ {
			m.mu.Lock()
			packed, ok := m.entries[number]
			m.mu.Unlock()
			if !ok || packed.Entry.Epoch != head.Epoch {
				yield(feed.Entry{}, &feed.GoneError{Reason: feed.GoneAncient})
				return
			}
			entry := packed.Entry
			entry.Changes = nil
			entry, err := feed.Unpack(entry, packed.Parts)
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// Snapshot implements feed.Reader.
func (m *Memory) Snapshot(_ context.Context, head feed.Head) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.snapshots[head.Snapshot.Blob]
	if !ok {
		return nil, &feed.GoneError{Reason: feed.GoneAncient}
	}
	return data, nil
}

// SetSnapshot implements feed.Writer.
func (m *Memory) SetSnapshot(_ context.Context, head feed.Head, ref feed.SnapshotRef, data []byte) (feed.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.current(head) {
		return feed.Head{}, feed.ErrLostRace
	}
	if m.snapshots == nil {
		m.snapshots = map[string][]byte{}
	}
	m.snapshots[ref.Blob] = data
	next := m.head
	next.Snapshot, next.LogBytes, next.LogAppends = ref, 0, 0
	m.set(next)
	return m.head, nil
}

// Forget deletes the entries up to an append, as retention does.
func (m *Memory) Forget(upTo uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for number := range m.entries {
		if number <= upTo {
			delete(m.entries, number)
		}
	}
}
