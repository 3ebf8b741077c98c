package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"procallteams/internal/secret"
)

const (
	// wrongCodes from one address lead to a pause of pauseTime.
	wrongCodes = 10
	pauseTime  = 5 * time.Minute
)

// ErrWrongCode reports that the posted text is not the set-up code.
var ErrWrongCode = errors.New("this is not the set-up code")

// PausedError reports that too many wrong codes came from one address.
type PausedError struct{ Until time.Time }

func (e *PausedError) Error() string {
	return "too many wrong codes; try again after " + e.Until.UTC().Format("15:04:05") + " UTC"
}

// Tries counts wrong codes per address.
type Tries struct {
	Count int
	Until time.Time // pause
	At    time.Time // of the last try
	ETag  string
}

// TryStore keeps [Tries] under a hash of the address.
type TryStore interface {
	// Tries returns the zero value when nothing is stored.
	Tries(ctx context.Context, address string) (Tries, error)
	// PutTries inserts (empty ETag) or replaces; [ErrRace] when somebody was faster.
	PutTries(ctx context.Context, address string, t Tries) error
}

// SetupCode checks the code of first use and break-glass. Its 130 bits cannot be
// guessed; the limits keep a flood from storage and Key Vault. They count per
// address, so that a stranger cannot lock the administrator out.
type SetupCode struct {
	Code    *Kept
	Tries   TryStore
	Limiter *rate.Limiter // of this process, whoever asks; see NewSetupLimiter
	Now     func() time.Time
}

// NewSetupLimiter returns the limit of one process: a try per second, 20 at once.
func NewSetupLimiter() *rate.Limiter { return rate.NewLimiter(1, 20) }

// Check compares what a person posted from address, with or without a port, with
// the code in force. It returns [ErrWrongCode] or a *[PausedError].
func (s SetupCode) Check(ctx context.Context, posted secret.Text, address string) error {
	now := s.Now().UTC()
	// Comparing with memory costs nothing, so a flood stops nobody who knows the code.
	if !s.Limiter.AllowN(now, 1) && !sameCode(posted, s.Code.held()) {
		return &PausedError{Until: now.Add(30 * time.Second)}
	}
	// App Service adds the port, which is another one for each connection.
	if bare, _, err := net.SplitHostPort(address); err == nil {
		address = bare
	}
	sum := sha256.Sum256([]byte(address))
	address = hex.EncodeToString(sum[:12])
	// Counted before it is compared: parallel tries can't slip past the limit.
	if err := s.count(ctx, address, now); err != nil {
		return err
	}
	code, err := s.Code.Ensure(ctx)
	if err != nil {
		return err
	}
	if !sameCode(posted, code) {
		return ErrWrongCode
	}
	return s.forget(ctx, address)
}

// sameCode compares in constant time; no code is like an empty one.
func sameCode(posted, code secret.Text) bool {
	if code.Empty() {
		return false
	}
	// People copy with blanks around, and a hash makes all lengths equal.
	left := sha256.Sum256([]byte(strings.ToUpper(strings.TrimSpace(posted.Reveal()))))
	right := sha256.Sum256([]byte(code.Reveal()))
	return secret.New(string(left[:])).Equal(secret.New(string(right[:])))
}

func (s SetupCode) count(ctx context.Context, address string, now time.Time) error {
	for range 5 {
		tries, err := s.Tries.Tries(ctx, address)
		if err != nil {
			return fmt.Errorf("read wrong codes: %w", err)
		}
		if now.Before(tries.Until) {
			return &PausedError{Until: tries.Until}
		}
		if now.Sub(tries.At) > pauseTime {
			tries.Count = 0
		}
		if tries.Count++; tries.Count >= wrongCodes {
			tries.Count, tries.Until = 0, now.Add(pauseTime)
		}
		tries.At = now
		err = s.Tries.PutTries(ctx, address, tries)
		if !errors.Is(err, ErrRace) {
			return err
		}
	}
	return &PausedError{Until: now.Add(10 * time.Second)}
}

// forget clears the count after the right code.
func (s SetupCode) forget(ctx context.Context, address string) error {
	tries, err := s.Tries.Tries(ctx, address)
	if err != nil {
		return fmt.Errorf("read wrong codes: %w", err)
	}
	err = s.Tries.PutTries(ctx, address, Tries{ETag: tries.ETag})
	if errors.Is(err, ErrRace) {
		return nil
	}
	return err
}
