package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"procallteams/internal/access"
)

// Sentinels for control flow on rows.
var (
	// ErrNotFound reports that the row does not exist.
	ErrNotFound = errors.New("row not found")
	// ErrExists reports that an insert found the row already there.
	ErrExists = errors.New("row exists already")
	// ErrChanged reports that the row is not the version that was read (ETag).
	ErrChanged = access.ErrRace
)

// maxEntity is the most that one row may carry, in bytes of values. The service
// refuses 1 MiB; the emulator counts the base64 text instead on some paths and
// checks nothing on others, so the limit is our own.
const maxEntity = 700 << 10

// maxValue is the most that one value may carry: the service's limit for text
// (as UTF-16) and binary.
const maxValue = 64 << 10

// maxTransaction is the most that one transaction may carry, in bytes of values:
// binary travels as base64, and the service takes 4 MiB in all.
const maxTransaction = 2560 << 10

// Row is one entity. Values hold string, bool, int64, float64, time.Time or
// []byte; a nil value is left out. ETag is the version that was read.
type Row struct {
	Partition, Key string
	ETag           string
	Values         map[string]any
}

// Text, Number, Flag, Time and Binary return a value of that type, or its zero.
func (r Row) Text(name string) string    { v, _ := r.Values[name].(string); return v }
func (r Row) Number(name string) int64   { v, _ := r.Values[name].(int64); return v }
func (r Row) Flag(name string) bool      { v, _ := r.Values[name].(bool); return v }
func (r Row) Time(name string) time.Time { v, _ := r.Values[name].(time.Time); return v }
func (r Row) Binary(name string) []byte  { v, _ := r.Values[name].([]byte); return v }

func (r Row) size() int {
	n := 0
	for name, value := range r.Values {
		n += 2 * len(name)
		switch v := value.(type) {
		case string:
			n += 2 * len(v) // UTF-16 in the service
		case []byte:
			n += len(v)
		default:
			n += 8
		}
	}
	return n
}

// EncodeKey makes any text usable in a key, reversibly: Table Storage forbids
// slash, backslash, number sign, question mark and control characters. The
// result holds no percent sign of its own, so "=" is the escape. It refuses
// nothing; callers keep keys under 512 characters.
func EncodeKey(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(text), "%", "="), "+", "=20")
}

// DecodeKey is the inverse of [EncodeKey].
func DecodeKey(key string) (string, error) {
	text, err := url.QueryUnescape(strings.ReplaceAll(key, "=", "%"))
	if err != nil {
		return "", fmt.Errorf("decode key: %w", err)
	}
	return text, nil
}

func (r Row) encode() ([]byte, error) {
	if size := r.size(); size > maxEntity {
		return nil, fmt.Errorf("row %s has %d bytes, more than %d", r.Key, size, maxEntity)
	}
	if len(r.Key) > 512 || len(r.Partition) > 512 || strings.ContainsAny(r.Key+r.Partition, "/\\#?") {
		return nil, errors.New("row key is too long or holds a forbidden character")
	}
	entity := aztables.EDMEntity{
		Entity:     aztables.Entity{PartitionKey: r.Partition, RowKey: r.Key},
		Properties: make(map[string]any, len(r.Values)),
	}
	for name, value := range r.Values {
		switch v := value.(type) {
		case nil:
		case int64:
			entity.Properties[name] = aztables.EDMInt64(v)
		case time.Time:
			entity.Properties[name] = aztables.EDMDateTime(v.UTC())
		case []byte:
			if len(v) > maxValue {
				return nil, fmt.Errorf("row %s: value %s has %d bytes, more than %d", r.Key, name, len(v), maxValue)
			}
			entity.Properties[name] = aztables.EDMBinary(v)
		case string:
			if len(v) > maxValue/2 && 2*len(utf16.Encode([]rune(v))) > maxValue {
				return nil, fmt.Errorf("row %s: value %s has %d characters, more than %d", r.Key, name, len(v), maxValue/2)
			}
			entity.Properties[name] = v
		case bool, float64:
			entity.Properties[name] = v
		default:
			return nil, fmt.Errorf("row value %s: type %T has no column type", name, value)
		}
	}
	return json.Marshal(entity)
}

func decodeRow(body []byte) (Row, error) {
	var entity aztables.EDMEntity
	if err := json.Unmarshal(body, &entity); err != nil {
		return Row{}, fmt.Errorf("decode row: %w", err)
	}
	row := Row{Partition: entity.PartitionKey, Key: entity.RowKey, ETag: entity.ETag, Values: make(map[string]any, len(entity.Properties))}
	for name, value := range entity.Properties {
		switch v := value.(type) {
		case aztables.EDMInt64:
			row.Values[name] = int64(v)
		case int32:
			row.Values[name] = int64(v)
		case aztables.EDMDateTime:
			row.Values[name] = time.Time(v).UTC()
		case aztables.EDMBinary:
			row.Values[name] = []byte(v)
		default:
			row.Values[name] = v
		}
	}
	return row, nil
}

// rowError maps the service's codes to the sentinels.
func rowError(err error) error {
	switch {
	case err == nil:
		return nil
	case hasCode(err, "EntityNotFound", "ResourceNotFound", "TableNotFound"):
		return ErrNotFound
	case hasCode(err, "EntityAlreadyExists"):
		return ErrExists
	case hasCode(err, "UpdateConditionNotSatisfied", "ConditionNotMet"):
		return ErrChanged
	}
	return clean(err)
}

// withTable runs call, and once more after creating a missing table.
func (s *Storage) withTable(ctx context.Context, call func() error) error {
	err := call()
	if !hasCode(err, "TableNotFound", "ResourceNotFound") || s.exists("table") {
		return rowError(err)
	}
	err = s.ensure(ctx, "table", func(ctx context.Context) error {
		_, err := s.table.CreateTable(ctx, nil)
		return err
	})
	if err != nil {
		return err
	}
	return rowError(call())
}

func (s *Storage) exists(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.created[name]
}

// Get reads one row; [ErrNotFound] when there is none.
func (s *Storage) Get(ctx context.Context, partition, key string) (Row, error) {
	var row Row
	err := s.withTable(ctx, func() error {
		response, err := s.table.GetEntity(ctx, partition, key, nil)
		if err == nil {
			row, err = decodeRow(response.Value)
			row.ETag = string(response.ETag)
		}
		return err
	})
	return row, err
}

// Insert adds a row that must not exist ([ErrExists]) and returns its ETag.
func (s *Storage) Insert(ctx context.Context, row Row) (string, error) {
	body, err := row.encode()
	if err != nil {
		return "", err
	}
	var etag string
	err = s.withTable(ctx, func() error {
		response, err := s.table.AddEntity(ctx, body, nil)
		etag = string(response.ETag)
		return err
	})
	return etag, err
}

// Replace overwrites a row of which row.ETag was read ([ErrChanged] when it is
// another version now) and returns the new ETag.
func (s *Storage) Replace(ctx context.Context, row Row) (string, error) {
	return s.update(ctx, row, aztables.UpdateModeReplace)
}

// Merge writes only the given values, leaving others. With an ETag it demands
// that version; without one it merges into whatever is there ([ErrNotFound]
// when nothing is).
func (s *Storage) Merge(ctx context.Context, row Row) (string, error) {
	return s.update(ctx, row, aztables.UpdateModeMerge)
}

func (s *Storage) update(ctx context.Context, row Row, mode aztables.UpdateMode) (string, error) {
	if mode == aztables.UpdateModeReplace && row.ETag == "" {
		return "", errors.New("replace row: no ETag")
	}
	body, err := row.encode()
	if err != nil {
		return "", err
	}
	match := azcore.ETagAny
	if row.ETag != "" {
		match = azcore.ETag(row.ETag)
	}
	var etag string
	err = s.withTable(ctx, func() error {
		response, err := s.table.UpdateEntity(ctx, body, &aztables.UpdateEntityOptions{IfMatch: &match, UpdateMode: mode})
		etag = string(response.ETag)
		return err
	})
	return etag, err
}

// Upsert inserts the row or merges into it, whatever its version: for values
// that have one writer, such as a heartbeat.
func (s *Storage) Upsert(ctx context.Context, row Row) error {
	body, err := row.encode()
	if err != nil {
		return err
	}
	return s.withTable(ctx, func() error {
		_, err := s.table.UpsertEntity(ctx, body, &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeMerge})
		return err
	})
}

// Delete removes a row; a missing one is fine. An empty etag removes any version.
func (s *Storage) Delete(ctx context.Context, partition, key, etag string) error {
	match := azcore.ETagAny
	if etag != "" {
		match = azcore.ETag(etag)
	}
	err := s.withTable(ctx, func() error {
		_, err := s.table.DeleteEntity(ctx, partition, key, &aztables.DeleteEntityOptions{IfMatch: &match})
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Range yields the rows of partition with from <= key < to, in key order. A page
// (1,000 rows) is one storage operation.
func (s *Storage) Range(ctx context.Context, partition, from, to string) iter.Seq2[Row, error] {
	filter := rangeFilter(partition, from, to)
	return s.list(ctx, &aztables.ListEntitiesOptions{Filter: &filter})
}

func rangeFilter(partition, from, to string) string {
	return fmt.Sprintf("PartitionKey eq '%s' and RowKey ge '%s' and RowKey lt '%s'", quote(partition), quote(from), quote(to))
}

func (s *Storage) list(ctx context.Context, options *aztables.ListEntitiesOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		pager := s.table.NewListEntitiesPager(options)
		for pager.More() {
			var page aztables.ListEntitiesResponse
			err := s.withTable(ctx, func() (err error) {
				page, err = pager.NextPage(ctx)
				return err
			})
			if errors.Is(err, ErrNotFound) {
				return // no table yet: no rows
			}
			if err != nil {
				yield(Row{}, err)
				return
			}
			for _, body := range page.Entities {
				row, err := decodeRow(body)
				if !yield(row, err) || err != nil {
					return
				}
			}
		}
	}
}

func quote(text string) string { return strings.ReplaceAll(text, "'", "''") }

// Write is one step of a transaction.
type Write struct {
	Kind WriteKind
	Row  Row
}

// WriteKind is what a [Write] does with its row.
type WriteKind int

const (
	// InsertRow demands that the row does not exist.
	InsertRow WriteKind = iota
	// MergeRow demands Row.ETag where it is set.
	MergeRow
	// ReplaceRow demands Row.ETag.
	ReplaceRow
	// DeleteRow removes the row, of version Row.ETag where it is set.
	DeleteRow
	// UpsertRow inserts the row or merges into it, whatever its version.
	UpsertRow
)

// Transact applies all writes or none: at most 100 rows of one partition. It
// returns [ErrExists], [ErrChanged] or [ErrNotFound] when a step's condition
// does not hold.
func (s *Storage) Transact(ctx context.Context, writes []Write) error {
	if len(writes) == 0 || len(writes) > 100 {
		return fmt.Errorf("transaction has %d rows; 1 to 100 are possible", len(writes))
	}
	total := 0
	actions := make([]aztables.TransactionAction, len(writes))
	for i, write := range writes {
		if write.Row.Partition != writes[0].Row.Partition {
			return errors.New("transaction spans two partitions")
		}
		total += write.Row.size()
		body, err := write.Row.encode()
		if err != nil {
			return err
		}
		match := azcore.ETagAny
		if write.Row.ETag != "" {
			match = azcore.ETag(write.Row.ETag)
		} else if write.Kind == ReplaceRow {
			return errors.New("replace row: no ETag")
		}
		action := aztables.TransactionAction{Entity: body, IfMatch: &match}
		switch write.Kind {
		case InsertRow:
			action.ActionType, action.IfMatch = aztables.TransactionTypeAdd, nil
		case MergeRow:
			action.ActionType = aztables.TransactionTypeUpdateMerge
		case ReplaceRow:
			action.ActionType = aztables.TransactionTypeUpdateReplace
		case DeleteRow:
			action.ActionType = aztables.TransactionTypeDelete
		case UpsertRow:
			action.ActionType, action.IfMatch = aztables.TransactionTypeInsertMerge, nil
		}
		actions[i] = action
	}
	if total > maxTransaction {
		return fmt.Errorf("transaction has %d bytes, more than %d", total, maxTransaction)
	}
	// A retry after an answer that was lost would meet its own rows (409) and be
	// taken for a lost race, so the caller decides what to do with a failure.
	once := policy.WithRetryOptions(ctx, noRetries)
	return s.withTable(ctx, func() error {
		_, err := s.table.SubmitTransaction(once, actions, nil)
		return stepError(err)
	})
}
