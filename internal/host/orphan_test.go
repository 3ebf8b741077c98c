package host

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheProcessNoticesThatItsParentIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parent atomic.Int64
		parent.Store(4711)
		ended := make(chan error, 1)
		go func() { ended <- orphaned(t.Context(), func() int { return int(parent.Load()) }, time.Second) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("ended while the parent lives: %v", err)
		default:
		}
		parent.Store(1) // adopted by init
		time.Sleep(time.Second)
		if err := <-ended; err == nil {
			t.Error("ended without an error: the exit code would be 0")
		}
	})
}
