package cloud

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/klauspost/compress/zstd"
)

// Trace is something that the bridge left somewhere.
type Trace struct {
	Where string // such as "table bridge: now-feed"
	Text  string
}

// maxTrace bounds what one packed value may unfold to.
const maxTrace = 64 << 20

// Stored reads everything that lies in tables, blobs and queues, packed values
// also unpacked. The names of blobs and queues are part of it.
func (c *Cloud) Stored(ctx context.Context) ([]Trace, error) {
	var traces []Trace
	for _, read := range []func(context.Context, string) ([]Trace, error){tableTraces, blobTraces, queueTraces} {
		more, err := read(ctx, c.Azurite.ConnectionString())
		if err != nil {
			return nil, fmt.Errorf("read what is stored: %w", err)
		}
		traces = append(traces, more...)
	}
	return traces, nil
}

func tableTraces(ctx context.Context, connection string) ([]Trace, error) {
	service, err := aztables.NewServiceClientFromConnectionString(connection, nil)
	if err != nil {
		return nil, err
	}
	var traces []Trace
	for tables := service.NewListTablesPager(nil); tables.More(); {
		page, err := tables.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, table := range page.Tables {
			client := service.NewClient(*table.Name)
			for rows := client.NewListEntitiesPager(nil); rows.More(); {
				page, err := rows.NextPage(ctx)
				if err != nil {
					return nil, err
				}
				for _, row := range page.Entities {
					traces = append(traces, rowTraces(*table.Name, row)...)
				}
			}
		}
	}
	return traces, nil
}

func rowTraces(table string, row []byte) []Trace {
	var values map[string]any
	_ = json.Unmarshal(row, &values) // the service's own JSON
	where := fmt.Sprintf("table %s: %v", table, values["RowKey"])
	traces := []Trace{{where, string(row)}}
	for name, value := range values {
		text, isText := value.(string)
		if !isText || values[name+"@odata.type"] != "Edm.Binary" {
			continue
		}
		if packed, err := base64.StdEncoding.DecodeString(text); err == nil {
			traces = append(traces, Trace{where + " " + name, unfold(packed)})
		}
	}
	return traces
}

func blobTraces(ctx context.Context, connection string) ([]Trace, error) {
	service, err := azblob.NewClientFromConnectionString(connection, nil)
	if err != nil {
		return nil, err
	}
	var traces []Trace
	for containers := service.NewListContainersPager(nil); containers.More(); {
		page, err := containers.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, container := range page.ContainerItems {
			for blobs := service.NewListBlobsFlatPager(*container.Name, nil); blobs.More(); {
				page, err := blobs.NextPage(ctx)
				if err != nil {
					return nil, err
				}
				for _, blob := range page.Segment.BlobItems {
					answer, err := service.DownloadStream(ctx, *container.Name, *blob.Name, nil)
					if err != nil {
						return nil, err
					}
					data, err := io.ReadAll(io.LimitReader(answer.Body, maxTrace))
					answer.Body.Close()
					if err != nil {
						return nil, err
					}
					traces = append(traces, Trace{"blob " + *container.Name + "/" + *blob.Name, *blob.Name + "\n" + unfold(data)})
				}
			}
		}
	}
	return traces, nil
}

func queueTraces(ctx context.Context, connection string) ([]Trace, error) {
	service, err := azqueue.NewServiceClientFromConnectionString(connection, nil)
	if err != nil {
		return nil, err
	}
	var traces []Trace
	for queues := service.NewListQueuesPager(nil); queues.More(); {
		page, err := queues.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, queue := range page.Queues {
			traces = append(traces, Trace{"queue", *queue.Name})
			most := int32(32)
			answer, err := service.NewQueueClient(*queue.Name).PeekMessages(ctx, &azqueue.PeekMessagesOptions{NumberOfMessages: &most})
			if err != nil {
				return nil, err
			}
			for _, message := range answer.Messages {
				text := *message.MessageText
				if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
					text += "\n" + string(plain)
				}
				traces = append(traces, Trace{"queue " + *queue.Name, text})
			}
		}
	}
	return traces, nil
}

// unfold returns data as it is, followed by what it unpacks to.
func unfold(data []byte) string {
	text := string(data)
	var reader io.Reader
	switch {
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		if unpacked, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
			reader = unpacked
		}
	case bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		if unpacked, err := zstd.NewReader(bytes.NewReader(data)); err == nil {
			defer unpacked.Close()
			reader = unpacked
		}
	}
	if reader == nil {
		return text
	}
	unpacked, _ := io.ReadAll(io.LimitReader(reader, maxTrace))
	return text + "\n" + string(unpacked)
}

// Leaks returns every place where one of the secrets stands, without the secret.
// Short ones, which any text may hold by chance, are not looked for.
func Leaks(traces []Trace, secrets []string) []string {
	var found []string
	for _, trace := range traces {
		for i, secret := range secrets {
			if len(secret) >= 12 && strings.Contains(trace.Text, secret) {
				found = append(found, fmt.Sprintf("%s holds secret %d of %d characters", trace.Where, i, len(secret)))
			}
		}
	}
	return found
}
