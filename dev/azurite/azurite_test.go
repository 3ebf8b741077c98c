package azurite_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"procallteams/dev/azurite"
	"procallteams/dev/pki"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// name is fresh and fits tables, queues and containers.
func name() string { return "t" + strings.ToLower(rand.Text()[:12]) }

func TestStopLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s, err := azurite.Start(t.Context(), azurite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	s.Stop() // once more does nothing
	if err := syscall.Kill(s.PID(), 0); err == nil {
		t.Errorf("process %d still exists", s.PID())
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("%s is left in the temporary folder", left[0].Name())
	}
}

func TestATakenPortIsAnErrorThatSaysSo(t *testing.T) {
	s := azurite.ForTest(t)
	port := 0
	if _, text, ok := strings.Cut(strings.TrimPrefix(s.Endpoints().Blob, "http://"), ":"); ok {
		if err := json.Unmarshal([]byte(text), &port); err != nil {
			t.Fatal(err)
		}
	}
	second, err := azurite.Start(t.Context(), azurite.Options{BlobPort: port})
	if err == nil {
		second.Stop()
		t.Fatal("two servers share a port")
	}
	if !strings.Contains(err.Error(), "EADDRINUSE") {
		t.Errorf("Start said %q; want the reason, EADDRINUSE", err)
	}
}

func TestAnIdleConnectionIsClosedByItsClientFirst(t *testing.T) {
	e := azurite.ForTest(t).Endpoints()
	for _, service := range []string{e.BlobURL(), e.QueueURL(), e.TableURL()} {
		answer, err := http.Get(service)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		var seconds int
		if _, err := fmt.Sscanf(answer.Header.Get("Keep-Alive"), "timeout=%d", &seconds); err != nil || seconds < 100 {
			t.Errorf("%s: Keep-Alive: %s; Go's clients keep a connection for 90 s", service, answer.Header.Get("Keep-Alive"))
		}
	}
}

func TestATokenOpensAllThreeServicesOverTLS(t *testing.T) {
	authority, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	s, err := azurite.Start(t.Context(), azurite.Options{TLS: authority, OAuth: true, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	transport := &http.Transport{TLSClientConfig: authority.ClientTLS()}
	t.Cleanup(transport.CloseIdleConnections)
	options := azcore.ClientOptions{Transport: &http.Client{Transport: transport}}

	tables, err := aztables.NewServiceClient(s.TableURL(), azurite.Credential{}, &aztables.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tables.CreateTable(t.Context(), name(), nil); err != nil {
		t.Errorf("create a table: %v", err)
	}
	queues, err := azqueue.NewServiceClient(s.QueueURL(), azurite.Credential{}, &azqueue.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queues.CreateQueue(t.Context(), name(), nil); err != nil {
		t.Errorf("create a queue: %v", err)
	}
	blobs, err := azblob.NewClient(s.BlobURL(), azurite.Credential{}, &azblob.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blobs.CreateContainer(t.Context(), name(), nil); err != nil {
		t.Errorf("create a container: %v", err)
	}
	wrong, err := azblob.NewClient(s.BlobURL(), azurite.Credential{Audience: "https://graph.microsoft.com"}, &azblob.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.CreateContainer(t.Context(), name(), nil); err == nil {
		t.Error("a token for another audience was accepted")
	}
}

func wire(t *testing.T) *azurite.Wire {
	t.Helper()
	w, err := azurite.NewWire(azurite.ForTest(t).Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func expect(t *testing.T, w *azurite.Wire, want map[string]int) {
	t.Helper()
	got := w.Counts()
	for kind, n := range want {
		if got[kind] != n {
			t.Errorf("%d requests %s; want %d (all: %v)", got[kind], kind, n, got)
		}
	}
	for kind := range got {
		if want[kind] == 0 {
			t.Errorf("unexpected requests %s: %d", kind, got[kind])
		}
	}
}

func TestTheWireCountsTableOperationsAndThePartsOfATransaction(t *testing.T) {
	w := wire(t)
	service, err := aztables.NewServiceClientFromConnectionString(w.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	table := service.NewClient(name())
	if _, err := table.CreateTable(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	row := func(key string) []byte {
		text, err := json.Marshal(map[string]any{"PartitionKey": "p", "RowKey": key, "n": 1})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := table.AddEntity(t.Context(), row("a'ü"), nil); err != nil {
		t.Fatal(err)
	}
	var rows []string
	w.OnResponse(func(kind string, r *http.Request, _ int) {
		if kind == "table.transaction" {
			rows = azurite.Rows(r)
		}
	})
	if _, err := table.SubmitTransaction(t.Context(), []aztables.TransactionAction{
		{ActionType: aztables.TransactionTypeAdd, Entity: row("b")},
		{ActionType: aztables.TransactionTypeAdd, Entity: row("c")},
		{ActionType: aztables.TransactionTypeInsertMerge, Entity: row("d")},
		{ActionType: aztables.TransactionTypeInsertReplace, Entity: row("e")},
	}, nil); err != nil {
		t.Fatal(err)
	}
	w.OnResponse(nil)
	if strings.Join(rows, " ") != "b c d e" {
		t.Errorf("the transaction changed the rows %q", rows)
	}
	if _, err := table.GetEntity(t.Context(), "p", "b", nil); err != nil {
		t.Fatal(err)
	}
	pager := table.NewListEntitiesPager(nil)
	for pager.More() {
		if _, err := pager.NextPage(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.DeleteEntity(t.Context(), "p", "b", nil); err != nil {
		t.Fatal(err)
	}
	expect(t, w, map[string]int{
		"table.create-table": 1, "table.insert": 1, "table.get": 1, "table.query": 1, "table.delete": 1, "table.transaction": 1,
		"table.transaction.insert": 2, "table.transaction.merge": 1, "table.transaction.replace": 1,
	})
	if got := w.Operations(); got != 6 {
		t.Errorf("Operations() = %d; want 6", got)
	}
	w.Reset()
	expect(t, w, nil)
}

func TestTheWireCountsQueueAndBlobOperations(t *testing.T) {
	w := wire(t)
	queue, err := azqueue.NewQueueClientFromConnectionString(w.ConnectionString(), name(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.EnqueueMessage(t.Context(), "aGk=", nil); err != nil {
		t.Fatal(err)
	}
	got, err := queue.DequeueMessages(t.Context(), nil)
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("dequeue: %d messages, %v", len(got.Messages), err)
	}
	if _, err := queue.DeleteMessage(t.Context(), *got.Messages[0].MessageID, *got.Messages[0].PopReceipt, nil); err != nil {
		t.Fatal(err)
	}
	blobs, err := azblob.NewClientFromConnectionString(w.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	container := name()
	if _, err := blobs.CreateContainer(t.Context(), container, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := blobs.UploadBuffer(t.Context(), container, "a/b c", []byte("text"), nil); err != nil {
		t.Fatal(err)
	}
	download, err := blobs.DownloadStream(t.Context(), container, "a/b c", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := download.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := blobs.DeleteBlob(t.Context(), container, "a/b c", nil); err != nil {
		t.Fatal(err)
	}
	expect(t, w, map[string]int{
		"queue.create-queue": 1, "queue.enqueue": 1, "queue.dequeue": 1, "queue.delete": 1,
		"blob.create-container": 1, "blob.put": 1, "blob.get": 1, "blob.delete": 1,
	})
}

func TestTheWireTellsOfAnAnswerBeforeItsClientKnows(t *testing.T) {
	w := wire(t)
	service, err := aztables.NewServiceClientFromConnectionString(w.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	table := service.NewClient(name())
	if _, err := table.CreateTable(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	returned := false
	told := make(chan int, 1)
	w.OnResponse(func(kind string, _ *http.Request, status int) {
		if kind != "table.transaction" {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if returned {
			t.Error("the client knew first")
		}
		told <- status
	})
	if _, err := table.SubmitTransaction(t.Context(), []aztables.TransactionAction{
		{ActionType: aztables.TransactionTypeAdd, Entity: []byte(`{"PartitionKey":"p","RowKey":"a"}`)},
	}, nil); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	returned = true
	mu.Unlock()
	select {
	case status := <-told:
		if status != http.StatusAccepted {
			t.Errorf("status %d; want 202", status)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told")
	}
}
