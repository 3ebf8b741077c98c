package storage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"procallteams/internal/feed"
	"procallteams/internal/session"
)

// poisonOf is the queue to which the host moves messages that failed five times.
func poisonOf(queue string) string { return queue + "-poison" }

// Poisoned returns about how many messages lie in the poison queues: two storage
// operations.
func (s *Storage) Poisoned(ctx context.Context) (messages int, err error) {
	for _, queue := range []string{poisonOf(PresencePushQueue), poisonOf(PresenceSetQueue)} {
		properties, err := s.queues.NewQueueClient(queue).GetProperties(ctx, nil)
		switch {
		case hasCode(err, "QueueNotFound"): // made with the first such message, or by the template
		case err != nil:
			return 0, fmt.Errorf("look at queue %s: %w", queue, clean(err))
		case properties.ApproximateMessagesCount != nil:
			messages += int(*properties.ApproximateMessagesCount)
		}
	}
	return messages, nil
}

// WakePusher sends the tenant's [feed.WakeUp].
func (s *Storage) WakePusher(ctx context.Context, tenant string) error {
	message, err := json.Marshal(feed.WakeUp{Tenant: tenant, At: time.Now().UTC()})
	if err != nil {
		return fmt.Errorf("encode wake-up: %w", err)
	}
	return s.Send(ctx, PresencePushQueue, message, 0)
}

// WakeWriter sends the tenant's [session.WakeUp], to be delivered after a delay.
func (s *Storage) WakeWriter(ctx context.Context, tenant string, delay time.Duration) error {
	message, err := json.Marshal(session.WakeUp{Tenant: tenant, At: time.Now().Add(delay).UTC()})
	if err != nil {
		return fmt.Errorf("encode wake-up: %w", err)
	}
	return s.Send(ctx, PresenceSetQueue, message, delay)
}

// Send puts one message on a queue. The host expects base64 (host.json
// extensions.queues.messageEncoding), and the SDK does not encode. The message is
// invisible for the delay, in whole seconds.
func (s *Storage) Send(ctx context.Context, queue string, message []byte, delay time.Duration) error {
	client := s.queues.NewQueueClient(queue)
	call := func() error {
		invisible := int32((delay + time.Second - 1) / time.Second)
		_, err := client.EnqueueMessage(ctx, base64.StdEncoding.EncodeToString(message), &azqueue.EnqueueMessageOptions{VisibilityTimeout: &invisible})
		return err
	}
	err := call()
	if hasCode(err, "QueueNotFound") {
		if err := s.ensure(ctx, "queue "+queue, func(ctx context.Context) error {
			_, err := client.Create(ctx, nil)
			return err
		}); err != nil {
			return err
		}
		err = call()
	}
	if err != nil {
		return fmt.Errorf("send to queue %s: %w", queue, clean(err))
	}
	return nil
}
