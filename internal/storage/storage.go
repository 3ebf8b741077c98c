// Package storage is the bridge's only door to Table, Blob and Queue Storage.
//
// One table ("bridge") holds every row; its partitions are tenants, and one
// partition "installation" holds what comes before a tenant is known (the
// pointer to it, administrators' sessions). Blobs hold snapshots and
// directories, queues hold wake-ups. Rows, their names and who writes them are
// listed in docs/architecture.md.
//
// What the service refuses but the local emulator lets pass is refused here
// before it is sent (one partition per transaction, entity size). Errors carry
// the service's code, never keys or addresses with signatures.
package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"procallteams/internal/settings"
	"procallteams/internal/telemetry"
	"procallteams/internal/telemetry/pipeline"
)

// Names of what the bridge keeps. The template provisions the same ones.
const (
	TableName         = "bridge"
	ContainerName     = "bridge"
	PresencePushQueue = "presence-push"
	PresenceSetQueue  = "presence-set"
)

// Storage holds the clients of one storage account. It is safe for concurrent
// use. Nothing is contacted before the first call, so it can be built while the
// account is unreachable.
type Storage struct {
	table  *aztables.Client
	blobs  *azblob.Client
	queues *azqueue.ServiceClient

	container string

	mu      sync.Mutex
	created map[string]bool // what this process has seen to exist
}

// Open builds the clients. credential is used when no connection string is
// given; transport may be nil.
func Open(s settings.Storage, credential azcore.TokenCredential, transport policy.Transporter) (*Storage, error) {
	return open(s, credential, transport, TableName, ContainerName)
}

func open(s settings.Storage, credential azcore.TokenCredential, transport policy.Transporter, table, container string) (*Storage, error) {
	options := func(system string) azcore.ClientOptions {
		return azcore.ClientOptions{Transport: transport, PerRetryPolicies: []policy.Policy{pipeline.Policy(system, route)}, Retry: policy.RetryOptions{
			MaxRetries: 3, TryTimeout: 10 * time.Second, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 2 * time.Second,
		}}
	}
	st := &Storage{container: container, created: map[string]bool{}}
	var tables *aztables.ServiceClient
	var err, err2, err3 error
	if text := s.ConnectionString.Reveal(); text != "" {
		tables, err = aztables.NewServiceClientFromConnectionString(text, &aztables.ClientOptions{ClientOptions: options("table")})
		st.blobs, err2 = azblob.NewClientFromConnectionString(text, &azblob.ClientOptions{ClientOptions: options("blob")})
		st.queues, err3 = azqueue.NewServiceClientFromConnectionString(text, &azqueue.ClientOptions{ClientOptions: options("queue")})
		if errors.Join(err, err2, err3) != nil {
			// The SDKs' texts may quote the connection string.
			return nil, errors.New("open storage: AzureWebJobsStorage is not a storage connection string")
		}
	} else {
		tables, err = aztables.NewServiceClient(s.TableEndpoint, credential, &aztables.ClientOptions{ClientOptions: options("table")})
		st.blobs, err2 = azblob.NewClient(s.BlobEndpoint, credential, &azblob.ClientOptions{ClientOptions: options("blob")})
		st.queues, err3 = azqueue.NewServiceClient(s.QueueEndpoint, credential, &azqueue.ClientOptions{ClientOptions: options("queue")})
		if err := errors.Join(err, err2, err3); err != nil {
			return nil, fmt.Errorf("open storage: %w", err)
		}
	}
	st.table = tables.NewClient(table)
	return st, nil
}

var words = telemetry.Words("$batch", "Tables", "messages", TableName, PresencePushQueue, PresenceSetQueue, poisonOf(PresencePushQueue), poisonOf(PresenceSetQueue))

// route names a request in logs, without keys of rows and names of blobs: they hold
// ids of people.
func route(r *http.Request) string {
	path, _, keyed := strings.Cut(r.URL.Path, "(")
	name := telemetry.Route(r.Method, path, words)
	if keyed {
		name += "()"
	}
	return name
}

// ensure creates a table, container or queue once per process, when a call
// found it missing: in Azure the template has made it, locally nobody has.
func (s *Storage) ensure(ctx context.Context, name string, create func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.created[name] {
		return nil
	}
	if err := create(ctx); err != nil && !hasCode(err, "TableAlreadyExists", "ContainerAlreadyExists", "QueueAlreadyExists") {
		return fmt.Errorf("create %s: %w", name, clean(err))
	}
	s.created[name] = true
	return nil
}

// hasCode reports whether err is the service's refusal with one of codes.
func hasCode(err error, codes ...string) bool {
	response, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return false
	}
	return slices.Contains(codes, response.ErrorCode)
}

// Error is a refusal by the storage service, reduced to what may be shown: the
// SDK's own text holds the whole request and answer.
type Error struct {
	Status int    // HTTP status
	Code   string // such as AuthorizationPermissionMismatch
}

func (e *Error) Error() string {
	switch {
	case e.Code == "AuthorizationPermissionMismatch" || e.Code == "AuthorizationFailure":
		return fmt.Sprintf("storage answered %d %s: a data role is missing for the bridge's identity, or not active yet (this can take some minutes)", e.Status, e.Code)
	case e.Code == "":
		return fmt.Sprintf("storage answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("storage answered %d %s", e.Status, e.Code)
}

// clean turns an SDK error into one that is fit for logs and pages: anybody may see
// it who calls while storage is away, and addresses hold keys of rows.
func clean(err error) error {
	if response, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return &Error{Status: response.StatusCode, Code: response.ErrorCode}
	}
	if address, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("storage does not answer: %w", address.Err)
	}
	return err
}
