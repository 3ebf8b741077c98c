package cloud_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/klauspost/compress/zstd"

	"procallteams/dev/azurite"
	"procallteams/dev/cloud"
)

// TestALeakIsFoundWhereverItLies plants a secret in every form in which the bridge
// stores something: a scan that finds nothing proves nothing otherwise.
func TestALeakIsFoundWhereverItLies(t *testing.T) {
	const secret = "planted~0123456789abcdef"
	server, err := azurite.Start(t.Context(), azurite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	encoder, err := zstd.NewWriter(nil)
	must(err)
	packed := encoder.EncodeAll([]byte(strings.Repeat("nothing here ", 50)+secret), nil)
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	_, err = writer.Write([]byte(secret))
	must(err)
	must(writer.Close())

	tables, err := aztables.NewServiceClientFromConnectionString(server.ConnectionString(), nil)
	must(err)
	_, err = tables.CreateTable(t.Context(), "bridge", nil)
	must(err)
	for key, value := range map[string]any{"plain": secret, "packed": aztables.EDMBinary(packed)} {
		row, err := json.Marshal(aztables.EDMEntity{Entity: aztables.Entity{PartitionKey: "p", RowKey: key}, Properties: map[string]any{"value": value}})
		must(err)
		_, err = tables.NewClient("bridge").AddEntity(t.Context(), row, nil)
		must(err)
	}
	blobs, err := azblob.NewClientFromConnectionString(server.ConnectionString(), nil)
	must(err)
	_, err = blobs.CreateContainer(t.Context(), "bridge", nil)
	must(err)
	_, err = blobs.UploadBuffer(t.Context(), "bridge", "zipped", zipped.Bytes(), nil)
	must(err)
	queues, err := azqueue.NewServiceClientFromConnectionString(server.ConnectionString(), nil)
	must(err)
	_, err = queues.CreateQueue(t.Context(), "wakeups", nil)
	must(err)
	_, err = queues.NewQueueClient("wakeups").EnqueueMessage(t.Context(), "cGxhbnRlZH4wMTIzNDU2Nzg5YWJjZGVm", nil) // base64 of the secret
	must(err)

	traces, err := (&cloud.Cloud{Azurite: server}).Stored(t.Context())
	must(err)
	found := strings.Join(cloud.Leaks(traces, []string{"another~0123456789", secret}), "\n")
	for _, place := range []string{"table bridge: plain holds", "table bridge: packed value holds", "blob bridge/zipped holds", "queue wakeups holds"} {
		if !strings.Contains(found, place) {
			t.Errorf("no leak is reported as %q:\n%s", place, found)
		}
	}
	if strings.Contains(found, secret) {
		t.Error("the report repeats the secret")
	}
}
