package cloud

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// SetupCodeName is the secret in Key Vault that holds the set-up code.
const SetupCodeName = "setup-code"

// SetupCode reads the set-up code where an administrator finds it: in Key Vault.
// The bridge makes it when the console is opened for the first time.
func (c *Cloud) SetupCode(ctx context.Context) (string, error) {
	if _, err := NewBrowser(nil).Open(ctx, c.URL+"/api/console"); err != nil {
		return "", err
	}
	code := ""
	err := until(ctx, func() error {
		// Processes that start at once each make one, and all but one take theirs back.
		codes := map[string]bool{}
		for _, v := range c.Vault.Versions(SetupCodeName) {
			if v.Enabled {
				codes[v.Value], code = true, v.Value
			}
		}
		if len(codes) != 1 {
			return fmt.Errorf("read the set-up code: Key Vault holds %d enabled values of %s; want one", len(codes), SetupCodeName)
		}
		return nil
	})
	return code, err
}

// until repeats f until it succeeds, at most for a minute, and returns its last
// error.
func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

// Consent clicks through one consent as the account with this index and returns
// the page at which the bridge ends it.
func (c *Cloud) Consent(ctx context.Context, b *Browser, grant string, account int) (*Page, error) {
	page, err := b.Open(ctx, c.URL+"/api/consent/"+grant)
	if err != nil {
		return nil, err
	}
	for _, id := range []string{fmt.Sprintf("user-%d", account), "accept"} {
		if page.URL.Hostname() == "localhost" {
			break // a session at Entra, or an earlier consent, made the step needless
		}
		if !page.Has(id) {
			continue
		}
		if page, err = b.Click(ctx, page, id, nil); err != nil {
			return nil, fmt.Errorf("give %s consent: %w", grant, err)
		}
	}
	if page.URL.Hostname() != "localhost" || page.Status != http.StatusOK {
		return page, fmt.Errorf("give %s consent: ended at %s%s with status %d", grant, page.URL.Host, page.URL.Path, page.Status)
	}
	return page, nil
}
