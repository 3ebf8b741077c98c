package outbound

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

const (
	// retryAfter is how long a password that the proxy refused is not tried again:
	// directories lock accounts after a few wrong ones.
	retryAfter = time.Minute
	// rereadAfter is how long an answer of Key Vault is believed when there was no
	// password to be had.
	rereadAfter = 5 * time.Second
)

// password is the proxy's password, read from Key Vault at its first use, and again
// when the proxy does not accept it any more.
type password struct {
	proxy settings.Proxy
	read  func(context.Context) (secret.Text, error)
	now   func() time.Time

	turn chan struct{} // held while reading, so that waiters share one answer
	// value is in force when known. err is why there is none, as of at; for a value
	// that the proxy refused it is the refusal, and at its time.
	value secret.Text
	known bool
	err   error
	at    time.Time
}

func newPassword(c Config) *password {
	p := &password{proxy: c.Proxy, read: c.Password, now: c.Now, turn: make(chan struct{}, 1)}
	if !c.Proxy.PasswordInVault() {
		p.value, p.known = c.Proxy.Password, true
	}
	return p
}

func (p *password) lock(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *password) unlock() { <-p.turn }

// current returns the password to try, empty where the proxy asks for none.
func (p *password) current(ctx context.Context) (secret.Text, error) {
	if err := p.lock(ctx); err != nil {
		return secret.Text{}, err
	}
	defer p.unlock()
	age := p.now().Sub(p.at)
	switch {
	case p.known && p.err == nil:
		return p.value, nil
	case p.known && age < retryAfter, !p.known && p.err != nil && age < rereadAfter:
		return secret.Text{}, p.err
	}
	p.renew(ctx)
	if !p.known {
		return secret.Text{}, p.err
	}
	p.err = nil // tried once more, even if it is the same
	return p.value, nil
}

// replaced is told that the proxy refused a password, and in which words, and reports
// whether there is another one now.
func (p *password) replaced(ctx context.Context, used secret.Text, refusal error) bool {
	if p.lock(ctx) != nil {
		return false
	}
	defer p.unlock()
	if p.known && !p.value.Equal(used) {
		return p.err == nil // somebody else has renewed it meanwhile
	}
	if p.err == nil {
		p.renew(ctx)
	}
	if p.known && p.value.Equal(used) {
		p.err, p.at = refusal, p.now()
	}
	return p.known && p.err == nil
}

// renew reads the password from Key Vault. Without an answer the one before stays.
func (p *password) renew(ctx context.Context) {
	if !p.proxy.PasswordInVault() {
		return
	}
	value, err := p.read(ctx)
	switch {
	case ctx.Err() != nil:
		// The caller went away: that says nothing about the vault.
		if !p.known {
			p.err, p.at = ctx.Err(), time.Time{}
		}
	case err == nil:
		// Command lines leave a line's end behind a value.
		p.value, p.known, p.err = secret.New(strings.TrimRight(value.Reveal(), "\r\n")), true, nil
	case !p.known:
		p.err, p.at = unreadPassword(p.proxy, err), p.now()
	}
}

func unreadPassword(p settings.Proxy, err error) *Error {
	e := &Error{Kind: ProxyPassword, err: err, Cause: fmt.Sprintf("%s wants a password for %q, which can't be read: %v", named(p), p.User, err)}
	e.Step = "see that the bridge's identity reaches Key Vault without the proxy"
	if errors.Is(err, secret.ErrNotFound) {
		e.Cause = fmt.Sprintf("%s wants a password for %q, and there is none", named(p), p.User)
		e.Step = "store it in Key Vault as the secret " + settings.ProxyPasswordName
	}
	return e
}
