package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"procallteams/internal/feed"
)

// Feed keeps one tenant's feed: a row per part of each append, the head among
// the "now-" rows of the same partition, snapshots as blobs.
type Feed struct {
	storage *Storage
	tenant  string
}

var _ feed.Store = (*Feed)(nil)

// Feed returns the feed of a tenant. Nothing is contacted before the first call.
func (s *Storage) Feed(tenant string) *Feed { return &Feed{s, tenant} }

// Columns of an entry row. "data0", "data1" ... hold the packed changes of this
// part, as much as one value may carry in each.
const (
	columnParts    = "parts"    // of this append
	columnPrevious = "previous" // index of the newest change of the append before
	columnAt       = "at"
	columnData     = "data"
)

// entriesPerPage bounds what one answer may weigh: the service cuts at 4 MiB,
// the emulator would send 1,000 rows of 700 KiB.
const entriesPerPage = 100

func entryKey(epoch string, number uint64, part int) string {
	return fmt.Sprintf("%s%s-%020d-%03d", RowEntry, epoch, number, part)
}

func parseEntryKey(key string) (epoch string, number uint64, part int, err error) {
	fields := strings.Split(strings.TrimPrefix(key, RowEntry), "-")
	if len(fields) == 3 {
		number, err = strconv.ParseUint(fields[1], 10, 64)
		if err == nil {
			part, err = strconv.Atoi(fields[2])
		}
		if err == nil {
			return fields[0], number, part, nil
		}
	}
	return "", 0, 0, fmt.Errorf("read feed: row key %s is not an entry's", key)
}

// Head implements [feed.Reader]: one storage operation.
func (f *Feed) Head(ctx context.Context) (feed.Head, error) {
	row, err := f.storage.Get(ctx, f.tenant, RowFeed)
	if errors.Is(err, ErrNotFound) {
		return feed.Head{}, nil
	}
	if err != nil {
		return feed.Head{}, fmt.Errorf("read head of the feed: %w", err)
	}
	var head feed.Head
	if err := decodeJSON(row, &head); err != nil {
		return feed.Head{}, err
	}
	head.Version = row.ETag
	return head, nil
}

// version fills in the head's version where an append left it unknown. Another
// head in its place means that the race is lost.
func (f *Feed) version(ctx context.Context, head feed.Head) (feed.Head, error) {
	if head.Version != "" || head.Epoch == "" {
		return head, nil
	}
	stored, err := f.Head(ctx)
	if err != nil {
		return head, err
	}
	if stored.Position() != head.Position() || stored.Snapshot.Blob != head.Snapshot.Blob {
		return head, feed.ErrLostRace
	}
	return stored, nil
}

func lost(err error) bool {
	return errors.Is(err, ErrExists) || errors.Is(err, ErrChanged) || errors.Is(err, ErrNotFound)
}

// Append implements [feed.Writer]: the parts and the new head in one
// transaction. The head must be the version that was read, and the parts must
// not exist: two guards, since either alone decides the race.
func (f *Feed) Append(ctx context.Context, head feed.Head, packed feed.Packed) (feed.Head, error) {
	head, err := f.version(ctx, head)
	if err != nil {
		return feed.Head{}, err
	}
	row, err := jsonRow(f.tenant, RowFeed, head.Version, packed.Head)
	if err != nil {
		return feed.Head{}, err
	}
	kind := ReplaceRow
	if head.Version == "" {
		kind = InsertRow // the first append makes the feed
	}
	writes := []Write{{Kind: kind, Row: row}}
	for i, part := range packed.Parts {
		values := map[string]any{
			columnParts: int64(len(packed.Parts)), columnPrevious: int64(packed.Entry.Previous.Index), columnAt: packed.Entry.At,
		}
		n := 0
		for chunk := range slices.Chunk(part, maxValue) {
			values[columnData+strconv.Itoa(n)] = chunk
			n++
		}
		writes = append(writes, Write{Kind: InsertRow, Row: Row{
			Partition: f.tenant, Key: entryKey(packed.Entry.Epoch, packed.Entry.Append, i), Values: values,
		}})
	}
	if err := f.storage.Transact(ctx, writes); lost(err) {
		return feed.Head{}, feed.ErrLostRace
	} else if err != nil {
		return feed.Head{}, fmt.Errorf("append to the feed: %w", err)
	}
	return packed.Head, nil
}

// Entries implements [feed.Reader]: one storage operation per page.
func (f *Feed) Entries(ctx context.Context, head feed.Head, after, upTo uint64) iter.Seq2[feed.Entry, error] {
	return func(yield func(feed.Entry, error) bool) {
		next := after + 1
		var entry feed.Entry
		var parts [][]byte
		missing := func() { yield(feed.Entry{}, &feed.GoneError{Reason: feed.GoneAncient}) }
		from, to := entryKey(head.Epoch, next, 0), entryKey(head.Epoch, upTo+1, 0)
		for row, err := range f.rows(ctx, from, to, entriesPerPage, nil) {
			if err != nil {
				yield(feed.Entry{}, fmt.Errorf("read feed: %w", err))
				return
			}
			_, number, part, err := parseEntryKey(row.Key)
			if err != nil {
				yield(feed.Entry{}, err)
				return
			}
			if number != next || part != len(parts) {
				missing()
				return
			}
			if part == 0 {
				entry = feed.Entry{Epoch: head.Epoch, Append: number, At: row.Time(columnAt)}
				if number > 1 {
					entry.Previous = feed.ID{Append: number - 1, Index: uint32(row.Number(columnPrevious))}
				}
			}
			parts = append(parts, data(row))
			if len(parts) < int(row.Number(columnParts)) {
				continue
			}
			entry, err = feed.Unpack(entry, parts)
			if !yield(entry, err) || err != nil {
				return
			}
			next, parts = next+1, nil
		}
		if next <= upTo {
			missing()
		}
	}
}

// data joins the columns that hold a part.
func data(row Row) []byte {
	part := row.Binary(columnData + "0")
	for n := 1; ; n++ {
		more := row.Binary(columnData + strconv.Itoa(n))
		if len(more) == 0 {
			return part
		}
		part = append(part, more...)
	}
}

// rows is Range with a page size and a selection of columns.
func (f *Feed) rows(ctx context.Context, from, upTo string, page int32, columns []string) iter.Seq2[Row, error] {
	filter := fmt.Sprintf("PartitionKey eq '%s' and RowKey ge '%s' and RowKey lt '%s'", quote(f.tenant), quote(from), quote(upTo))
	options := &aztables.ListEntitiesOptions{Filter: &filter, Top: &page}
	if columns != nil {
		options.Select = new(strings.Join(columns, ","))
	}
	return f.storage.list(ctx, options)
}

// snapshotPrefix is where the tenant's snapshots lie.
func (f *Feed) snapshotPrefix() string { return f.tenant + "/snapshot/" }

// Snapshot implements [feed.Reader]: one storage operation.
func (f *Feed) Snapshot(ctx context.Context, head feed.Head) ([]byte, error) {
	data, err := f.storage.GetBlob(ctx, f.snapshotPrefix()+head.Snapshot.Blob)
	if errors.Is(err, ErrNotFound) {
		return nil, &feed.GoneError{Reason: feed.GoneAncient}
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return data, nil
}

// SetSnapshot implements [feed.Writer]: blob first, then the head, so that a
// crash in between leaves a blob that nothing points at, which Trim removes.
func (f *Feed) SetSnapshot(ctx context.Context, head feed.Head, ref feed.SnapshotRef, data []byte) (feed.Head, error) {
	head, err := f.version(ctx, head)
	if err != nil {
		return feed.Head{}, err
	}
	if err := f.storage.PutBlob(ctx, f.snapshotPrefix()+ref.Blob, data); err != nil {
		return feed.Head{}, err
	}
	next := head
	next.Snapshot, next.LogBytes, next.LogAppends = ref, 0, 0
	row, err := jsonRow(f.tenant, RowFeed, head.Version, next)
	if err != nil {
		return feed.Head{}, err
	}
	next.Version, err = f.storage.Replace(ctx, row)
	if lost(err) {
		return feed.Head{}, feed.ErrLostRace
	}
	if err != nil {
		return feed.Head{}, fmt.Errorf("point at snapshot: %w", err)
	}
	return next, nil
}

// trimRows is how many rows one Trim deletes at most: ten transactions.
const trimRows = 1000

// Trim deletes entries and snapshots from before now - retention: never the head
// entry, the snapshot pointed at or an entry after it. Its cost is bounded; what
// is left over waits for the next call. It returns what it deleted.
func (f *Feed) Trim(ctx context.Context, now time.Time, retention time.Duration) (entries, snapshots int, err error) {
	head, err := f.Head(ctx)
	if err != nil || head.Epoch == "" {
		return 0, 0, err
	}
	before := now.Add(-retention)
	var old []Row
	// Entries of the head's epoch come in order: the first one to keep ends it.
	// Those of other epochs, before and after it, are all old in the end.
	first := RowEntry + head.Epoch + "-"
	for _, span := range [][2]string{{RowEntry, first}, {first, entryKey(head.Epoch, min(head.Snapshot.Append+1, head.Last.Append), 0)}, {RowEntry + head.Epoch + ".", "entry."}} {
		for row, err := range f.rows(ctx, span[0], span[1], trimRows, []string{"PartitionKey", "RowKey", columnAt}) {
			if err != nil {
				return 0, 0, fmt.Errorf("find old entries: %w", err)
			}
			if !row.Time(columnAt).Before(before) || len(old) == trimRows {
				break
			}
			old = append(old, Row{Partition: f.tenant, Key: row.Key})
		}
	}
	for len(old) > 0 {
		var writes []Write
		for _, row := range old[:min(100, len(old))] {
			writes = append(writes, Write{Kind: DeleteRow, Row: row})
		}
		if err := f.storage.Transact(ctx, writes); err != nil && !errors.Is(err, ErrNotFound) {
			return entries, 0, fmt.Errorf("delete old entries: %w", err)
		}
		entries += len(writes)
		old = old[len(writes):]
	}
	snapshots, err = f.trimSnapshots(ctx, head.Snapshot.Blob, before)
	return entries, snapshots, err
}

func (f *Feed) trimSnapshots(ctx context.Context, keep string, before time.Time) (int, error) {
	pager := f.storage.blobs.ServiceClient().NewContainerClient(f.storage.container).
		NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: new(f.snapshotPrefix()), MaxResults: new(int32(100))})
	page, err := pager.NextPage(ctx)
	if hasCode(err, "ContainerNotFound") {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("find old snapshots: %w", clean(err))
	}
	deleted := 0
	for _, blob := range page.Segment.BlobItems {
		if *blob.Name == f.snapshotPrefix()+keep || !blob.Properties.LastModified.Before(before) {
			continue
		}
		if err := f.storage.DeleteBlob(ctx, *blob.Name); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}
