package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
)

// noRetries makes the SDK send a request once.
var noRetries = policy.RetryOptions{MaxRetries: -1}

// PutBlob writes a blob in one atomic request: readers see the old one or the
// new one. name begins with the tenant id.
func (s *Storage) PutBlob(ctx context.Context, name string, data []byte) error {
	client := s.blobs.ServiceClient().NewContainerClient(s.container).NewBlockBlobClient(name)
	call := func() error {
		_, err := client.Upload(ctx, streaming.NopCloser(bytes.NewReader(data)), &blockblob.UploadOptions{})
		return err
	}
	err := call()
	if hasCode(err, "ContainerNotFound") {
		if err := s.ensure(ctx, "container", func(ctx context.Context) error {
			_, err := s.blobs.CreateContainer(ctx, s.container, nil)
			return err
		}); err != nil {
			return err
		}
		err = call()
	}
	if err != nil {
		return fmt.Errorf("write blob: %w", clean(err))
	}
	return nil
}

// GetBlob reads a whole blob; [ErrNotFound] when there is none.
func (s *Storage) GetBlob(ctx context.Context, name string) ([]byte, error) {
	response, err := s.blobs.DownloadStream(ctx, s.container, name, nil)
	if hasCode(err, "BlobNotFound", "ContainerNotFound") {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", clean(err))
	}
	body := response.NewRetryReader(ctx, nil)
	data, err := io.ReadAll(body)
	if closed := body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", clean(err))
	}
	return data, nil
}

// DeleteBlob removes a blob; a missing one is fine.
func (s *Storage) DeleteBlob(ctx context.Context, name string) error {
	_, err := s.blobs.DeleteBlob(ctx, s.container, name, nil)
	if err == nil || hasCode(err, "BlobNotFound", "ContainerNotFound") {
		return nil
	}
	return fmt.Errorf("delete blob: %w", clean(err))
}

// storedBlob is a blob's name and when it was written.
type storedBlob struct {
	name string
	at   time.Time
}

// blobsIn lists the blobs whose names begin with prefix: one storage operation per
// 5,000.
func (s *Storage) blobsIn(ctx context.Context, prefix string) iter.Seq2[storedBlob, error] {
	return func(yield func(storedBlob, error) bool) {
		pager := s.blobs.NewListBlobsFlatPager(s.container, &azblob.ListBlobsFlatOptions{Prefix: &prefix})
		for pager.More() {
			page, err := pager.NextPage(ctx)
			if hasCode(err, "ContainerNotFound") {
				return
			}
			if err != nil {
				yield(storedBlob{}, fmt.Errorf("list blobs: %w", clean(err)))
				return
			}
			for _, item := range page.Segment.BlobItems {
				if item.Name == nil || item.Properties == nil || item.Properties.LastModified == nil {
					continue
				}
				if !yield(storedBlob{*item.Name, *item.Properties.LastModified}, nil) {
					return
				}
			}
		}
	}
}
