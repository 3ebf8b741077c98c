package host

import (
	"context"
	"errors"
	"time"
)

// Outlive returns a context that ends so much after ctx's deadline, but at once
// when ctx is cancelled: for a request under way that is let finish. ctx must have a
// deadline.
func Outlive(ctx context.Context, more time.Duration) (context.Context, context.CancelFunc) {
	end, _ := ctx.Deadline()
	longer, cancel := context.WithDeadline(context.WithoutCancel(ctx), end.Add(more))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return longer, func() { stop(); cancel() }
}
