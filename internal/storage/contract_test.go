package storage

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
)

// The five promises of the service that the feed and its delivery stand on. The
// pinned Azurite proves the first three. It does not prove the last two, so our
// own guards refuse these before they are sent.

func TestATransactionWithAnOldVersionChangesNothing(t *testing.T) {
	s := fresh(t)
	etag, err := s.Insert(t.Context(), Row{Partition: "p", Key: "head", Values: map[string]any{"n": int64(1)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replace(t.Context(), Row{Partition: "p", Key: "head", ETag: etag, Values: map[string]any{"n": int64(2)}}); err != nil {
		t.Fatal(err)
	}
	err = s.Transact(t.Context(), []Write{
		{Kind: InsertRow, Row: Row{Partition: "p", Key: "entry", Values: map[string]any{"n": int64(3)}}},
		{Kind: ReplaceRow, Row: Row{Partition: "p", Key: "head", ETag: etag, Values: map[string]any{"n": int64(3)}}},
	})
	if !errors.Is(err, ErrChanged) {
		t.Errorf("Transact() = %v; want ErrChanged", err)
	}
	row, err := s.Get(t.Context(), "p", "head")
	if err != nil || row.Number("n") != 2 {
		t.Errorf("head = %v, %v; want 2", row.Values, err)
	}
	if _, err := s.Get(t.Context(), "p", "entry"); !errors.Is(err, ErrNotFound) {
		t.Errorf("entry: %v; want ErrNotFound", err)
	}
}

func TestATransactionThatInsertsAnExistingRowChangesNothing(t *testing.T) {
	s := fresh(t)
	if _, err := s.Insert(t.Context(), Row{Partition: "p", Key: "b", Values: map[string]any{"n": int64(1)}}); err != nil {
		t.Fatal(err)
	}
	err := s.Transact(t.Context(), []Write{
		{Kind: InsertRow, Row: Row{Partition: "p", Key: "a"}},
		{Kind: InsertRow, Row: Row{Partition: "p", Key: "b"}},
	})
	if !errors.Is(err, ErrExists) {
		t.Errorf("Transact() = %v; want ErrExists", err)
	}
	if _, err := s.Get(t.Context(), "p", "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("row a: %v; want ErrNotFound", err)
	}
}

func TestAMessageIsHiddenAndComesBackWithAnotherReceipt(t *testing.T) {
	s := fresh(t)
	queue := strings.ToLower(t.Name())[:40]
	if err := s.Send(t.Context(), queue, []byte(`{"tenant":"t"}`), 0); err != nil {
		t.Fatal(err)
	}
	client := s.queues.NewQueueClient(queue)
	first := receive(t, client)
	if text, err := base64.StdEncoding.DecodeString(*first.MessageText); err != nil || string(text) != `{"tenant":"t"}` {
		t.Errorf("message = %q, %v", text, err)
	}
	hidden, err := client.DequeueMessages(t.Context(), nil)
	if err != nil || len(hidden.Messages) != 0 {
		t.Errorf("%d messages while it is hidden, %v", len(hidden.Messages), err)
	}
	second := receive(t, client)
	if *second.DequeueCount != 2 || *second.PopReceipt == *first.PopReceipt {
		t.Errorf("dequeue count %d, receipt changed: %t", *second.DequeueCount, *second.PopReceipt != *first.PopReceipt)
	}
	if _, err := client.DeleteMessage(t.Context(), *first.MessageID, *first.PopReceipt, nil); err == nil {
		t.Error("the old receipt deletes the message")
	}
	if _, err := client.DeleteMessage(t.Context(), *second.MessageID, *second.PopReceipt, nil); err != nil {
		t.Errorf("the new receipt: %v", err)
	}
}

// receive waits for a message and hides it for a second.
func receive(t *testing.T, client *azqueue.QueueClient) *azqueue.DequeuedMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		got, err := client.DequeueMessage(ctx, &azqueue.DequeueMessageOptions{VisibilityTimeout: to.Ptr[int32](1)})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) == 1 {
			return got.Messages[0]
		}
	}
}

func TestATransactionOverTwoPartitionsIsRefusedByUs(t *testing.T) {
	s := fresh(t)
	rows := []Row{{Partition: "p", Key: "a"}, {Partition: "q", Key: "a"}}
	err := s.Transact(t.Context(), []Write{{Row: rows[0]}, {Row: rows[1]}})
	if err == nil || !strings.Contains(err.Error(), "two partitions") {
		t.Errorf("Transact() = %v", err)
	}
	// What the emulator says, for the record: it lets this pass.
	var actions []aztables.TransactionAction
	for _, row := range rows {
		body, err := row.encode()
		if err != nil {
			t.Fatal(err)
		}
		actions = append(actions, aztables.TransactionAction{ActionType: aztables.TransactionTypeAdd, Entity: body})
	}
	if _, err := s.table.CreateTable(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.table.SubmitTransaction(t.Context(), actions, nil); err != nil {
		t.Logf("Azurite refuses two partitions now: %v", clean(err))
	}
}

func TestARowBeyondTheLimitIsRefusedByUs(t *testing.T) {
	s := fresh(t)
	row := Row{Partition: "p", Key: "a", Values: map[string]any{}}
	for _, large := range []any{make([]byte, maxValue+1), strings.Repeat("x", maxValue/2+1)} {
		row.Values["data"] = large
		if _, err := s.Insert(t.Context(), row); err == nil || !strings.Contains(err.Error(), "value data has") {
			t.Errorf("a large value: %v", err)
		}
	}
	row.Values["data"] = strings.Repeat("ü", maxValue/2)
	for n := range 11 {
		row.Values["data"+strconv.Itoa(n)] = make([]byte, maxValue)
	}
	if _, err := s.Insert(t.Context(), row); err == nil || !strings.Contains(err.Error(), "bytes, more than") {
		t.Errorf("a row of 768 KiB: %v", err)
	}
	row.Values["data"] = make([]byte, 50<<10)
	delete(row.Values, "data10")
	if _, err := s.Insert(t.Context(), row); err != nil {
		t.Errorf("the largest row: %v", err)
	}
	var writes []Write
	for n := range 4 {
		writes = append(writes, Write{Kind: InsertRow, Row: Row{Partition: "p", Key: string(rune('b' + n)), Values: row.Values}})
	}
	if err := s.Transact(t.Context(), writes); err == nil || !strings.Contains(err.Error(), "bytes, more than") {
		t.Errorf("a transaction of 2.8 MiB: %v", err)
	}
	if err := s.Transact(t.Context(), writes[:3]); err != nil {
		t.Errorf("a transaction of 2.1 MiB: %v", err)
	}
}
