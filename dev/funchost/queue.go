package funchost

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/queueerror"

	"procallteams/dev/azurite"
)

// queueListener receives the messages of one function on one instance.
type queueListener struct {
	instance *instance
	function *function
	queue    *azqueue.QueueClient
	poison   *azqueue.QueueClient // nil for a queue that is one itself
	settings queueSettings
	lease    time.Duration
}

// developmentStorage is what the short connection string means.
var developmentStorage = azurite.Endpoints{Blob: "http://127.0.0.1:10000", Queue: "http://127.0.0.1:10001", Table: "http://127.0.0.1:10002"}

func newQueueListener(i *instance, f *function) (*queueListener, error) {
	connection := f.connection
	if strings.EqualFold(strings.TrimSuffix(strings.TrimSpace(connection), ";"), "UseDevelopmentStorage=true") {
		connection = developmentStorage.ConnectionString()
	}
	options := &azqueue.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: i.host.storage}, Retry: policy.RetryOptions{
		MaxRetries: 3, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 2 * time.Second, TryTimeout: 10 * time.Second,
	}}}
	l := &queueListener{instance: i, function: f, settings: i.host.app.queues, lease: i.host.options.QueueLease}
	var err error
	if l.queue, err = azqueue.NewQueueClientFromConnectionString(connection, f.queue, options); err != nil {
		return nil, errors.New("the connection is not a storage connection string")
	}
	const suffix = "-poison"
	if !strings.HasSuffix(f.queue, suffix) && len(f.queue)+len(suffix) <= 63 {
		if l.poison, err = azqueue.NewQueueClientFromConnectionString(connection, f.queue+suffix, options); err != nil {
			return nil, errors.New("the connection is not a storage connection string")
		}
	}
	return l, nil
}

// listenQueue polls until ctx ends: batches while there are messages, and less
// and less often, up to maxPollingInterval, while there are none.
func (i *instance) listenQueue(ctx context.Context, f *function) {
	l, err := newQueueListener(i, f)
	if err != nil {
		i.host.logf("fail", "The listener for function 'Functions.%s' was unable to start: %v", f.name, err)
		return
	}
	var handling sync.WaitGroup
	defer handling.Wait()
	room := make(chan struct{}, l.settings.batch+l.settings.threshold)
	finished := make(chan struct{}, 1)
	delay, last := l.settings.minimumSleep, time.Now()
	for ctx.Err() == nil {
		if i.host.options.Cold > 0 && len(room) == 0 && time.Since(last) >= i.host.options.Quiet {
			if !l.sleep(ctx) {
				return
			}
			last = time.Now()
		}
		// A new batch is fetched when at most newBatchThreshold are being handled.
		if len(room) > l.settings.threshold {
			select {
			case <-ctx.Done():
				return
			case <-finished:
			}
			continue
		}
		i.host.queues.RLock() // until the batch is handled
		var messages []*azqueue.DequeuedMessage
		if !i.host.heldQueues {
			if messages, err = l.receive(ctx); err != nil && ctx.Err() == nil {
				i.host.logf("warn", "%s: %v", i.name(), err)
			}
		}
		if len(messages) == 0 {
			i.host.queues.RUnlock()
			if !pause(ctx, delay) {
				return
			}
			delay = min(time.Duration(float64(delay)*(1.6+0.8*rand.Float64())), l.settings.maxPolling)
			continue
		}
		delay, last = l.settings.minimumSleep, time.Now()
		var batch sync.WaitGroup
		for _, m := range messages {
			room <- struct{}{}
			batch.Go(func() {
				l.handle(context.WithoutCancel(ctx), m)
				<-room
				select {
				case finished <- struct{}{}:
				default:
				}
			})
		}
		handling.Go(func() {
			batch.Wait()
			i.host.queues.RUnlock()
		})
	}
}

// sleep is a function that was scaled to zero: it wakes up Cold after a message is
// there, and reports false when ctx ended before.
func (l *queueListener) sleep(ctx context.Context) bool {
	for {
		response, err := l.queue.PeekMessage(ctx, nil)
		if err == nil && len(response.Messages) > 0 {
			return pause(ctx, l.instance.host.options.Cold)
		}
		if !pause(ctx, 100*time.Millisecond) {
			return false
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func seconds(d time.Duration) *int32 {
	n := int32((d + time.Second - 1) / time.Second)
	return &n
}

// receive takes a batch. A queue that does not exist is empty.
func (l *queueListener) receive(ctx context.Context) ([]*azqueue.DequeuedMessage, error) {
	// The end of listening does not cut a call that is under way: a batch that
	// nobody sees would stay hidden for a whole lease. Storage that does not answer
	// must not hold up the end either.
	call, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(2*time.Second, cancel) })()
	number := int32(l.settings.batch)
	response, err := l.queue.DequeueMessages(call, &azqueue.DequeueMessagesOptions{NumberOfMessages: &number, VisibilityTimeout: seconds(l.lease)})
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("receive from queue %s: %s", l.function.queue, brief(err))
	}
	return response.Messages, nil
}

// handle sees one message to its end: deleted after success, visible again after
// visibilityTimeout, or moved to the poison queue.
func (l *queueListener) handle(ctx context.Context, m *azqueue.DequeuedMessage) {
	host := l.instance.host
	receipt := *m.PopReceipt
	body := []byte(*m.MessageText)
	if !l.settings.plain {
		decoded, err := base64.StdEncoding.DecodeString(*m.MessageText)
		if err != nil {
			host.logf("warn", "Message decoding has failed! Check MessageEncoding settings. MessageId=%s", *m.MessageID)
			l.say(l.toPoison(ctx, m, receipt))
			return
		}
		body = decoded
	}
	var err error
	switch {
	case *m.DequeueCount > l.settings.maxDequeue:
		err = errors.New("it was received too often")
	case !l.function.binary && !utf8.Valid(body):
		err = errors.New("the text is not UTF-8 (DecoderFallbackException)")
		host.logf("fail", "%s: Executed 'Functions.%s' (Failed): %v", l.instance.name(), l.function.name, err)
	default:
		keep := l.renew(ctx, m, receipt)
		err = l.instance.invoke(ctx, l.function, queueEnvelope(l.function, host.options.Now(), m, body))
		receipt = keep()
	}
	if l.instance.hasVanished() {
		return // nobody is left to settle it: it stays hidden until the lease is over
	}
	switch {
	case err == nil:
		_, err := l.queue.DeleteMessage(ctx, *m.MessageID, receipt, nil)
		l.say(err)
	case *m.DequeueCount >= l.settings.maxDequeue:
		host.logf("warn", "Message has reached MaxDequeueCount of %d. Moving message to queue '%s-poison'.", l.settings.maxDequeue, l.function.queue)
		l.say(l.toPoison(ctx, m, receipt))
	default:
		_, err := l.queue.UpdateMessage(ctx, *m.MessageID, receipt, *m.MessageText, &azqueue.UpdateMessageOptions{VisibilityTimeout: seconds(l.settings.visibility)})
		l.say(err)
	}
}

func (l *queueListener) say(err error) {
	if err != nil {
		l.instance.host.logf("warn", "%s: settle message of queue %s: %s", l.instance.name(), l.function.queue, brief(err))
	}
}

// renew prolongs the lease at half time until the returned function is called,
// which returns the receipt that is valid then.
func (l *queueListener) renew(ctx context.Context, m *azqueue.DequeuedMessage, receipt string) func() string {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, l.lease/2) {
			// Not cancelled midway: the receipt would be lost.
			response, err := l.queue.UpdateMessage(context.WithoutCancel(ctx), *m.MessageID, receipt, *m.MessageText, &azqueue.UpdateMessageOptions{VisibilityTimeout: seconds(l.lease)})
			if err != nil {
				l.say(err)
				return
			}
			receipt = *response.PopReceipt
		}
	}()
	return func() string {
		stop()
		<-done
		return receipt
	}
}

// toPoison copies the text, as it is on the wire, to a new message in the poison
// queue and then deletes the original. A queue without a poison queue keeps its
// message hidden for the rest of the lease.
func (l *queueListener) toPoison(ctx context.Context, m *azqueue.DequeuedMessage, receipt string) error {
	if l.poison == nil {
		return nil
	}
	_, err := l.poison.EnqueueMessage(ctx, *m.MessageText, nil)
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		if _, err := l.poison.Create(ctx, nil); err != nil && !queueerror.HasCode(err, queueerror.QueueAlreadyExists) {
			return err
		}
		_, err = l.poison.EnqueueMessage(ctx, *m.MessageText, nil)
	}
	if err != nil {
		return err
	}
	// A crash here leaves the message in both queues, never in none.
	_, err = l.queue.DeleteMessage(ctx, *m.MessageID, receipt, nil)
	return err
}

// brief is a storage error without the request and answer that the SDK prints.
func brief(err error) string {
	if response, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return fmt.Sprintf("%d %s", response.StatusCode, response.ErrorCode)
	}
	return err.Error()
}
