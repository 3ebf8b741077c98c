package presencepush_test

import (
	"testing"

	"procallteams/internal/feed/feedtest"
	"procallteams/internal/ucserver"
)

func TestAPingIsAnsweredAndMovesNothing(t *testing.T) {
	w := newWorld(t)
	if _, sent, err := w.function().Ping(t.Context(), w.tenant); err != nil || sent {
		t.Errorf("without a feed: sent %t, %v", sent, err)
	}
	w.append(feedtest.Busy(1))
	// A receiver that has nothing yet still gets the whole state afterwards.
	outcome, sent, err := w.function().Ping(t.Context(), w.tenant)
	if err != nil || !sent || outcome.Result != ucserver.Delivered {
		t.Errorf("before the first push: %+v, sent %t, %v", outcome, sent, err)
	}
	w.run()
	w.equal()
	w.append(feedtest.Free(1))
	before := w.state()
	outcome, sent, err = w.function().Ping(t.Context(), w.tenant)
	if err != nil || !sent || outcome.Result != ucserver.Delivered {
		t.Errorf("in between: %+v, sent %t, %v", outcome, sent, err)
	}
	if after := w.state(); after.Position != before.Position || after.Behind != before.Behind || !after.LastSuccess.Equal(before.LastSuccess) {
		t.Errorf("the ping moved the push from %+v to %+v", before, after)
	}
	w.run()
	w.equal()
}
