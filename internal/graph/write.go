package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"

	"procallteams/internal/presence"
	"procallteams/internal/secret"
)

// SetPresence sets the application's own session of a user (Graph: presence:
// setPresence v1.0). sessionID is the application's client id. The request is sent
// once: whoever calls decides what an answer that was not seen means. Errors are a
// *ThrottledError, an *Error, or that no answer of Graph's was seen.
func (c *Client) SetPresence(ctx context.Context, token secret.Text, user presence.UserID, sessionID string, pair presence.Settable, lasts presence.Lifetime) error {
	return c.write(ctx, token, user, "setPresence", writeBody{
		SessionID: sessionID, Availability: string(pair.Availability()), Activity: string(pair.Activity()), Duration: lasts.String(),
	})
}

// ClearPresence ends the application's own session of a user (Graph: presence:
// clearPresence v1.0). Graph answers 404 when there is none, which is no error.
func (c *Client) ClearPresence(ctx context.Context, token secret.Text, user presence.UserID, sessionID string) error {
	err := c.write(ctx, token, user, "clearPresence", writeBody{SessionID: sessionID})
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// SetDoNotDisturb makes Do not disturb the user's preferred presence (Graph:
// presence: setUserPreferredPresence v1.0), which stands above all sessions. It ends by
// itself after lasts, in whole minutes.
func (c *Client) SetDoNotDisturb(ctx context.Context, token secret.Text, user presence.UserID, lasts time.Duration) error {
	return c.write(ctx, token, user, "setUserPreferredPresence", writeBody{
		Availability: string(presence.DoNotDisturb), Activity: string(presence.DoNotDisturb), Duration: fmt.Sprintf("PT%dM", max(1, int(lasts/time.Minute))),
	})
}

// ClearPreferred removes the user's preferred presence, whoever set it (Graph:
// presence: clearUserPreferredPresence v1.0).
func (c *Client) ClearPreferred(ctx context.Context, token secret.Text, user presence.UserID) error {
	err := c.write(ctx, token, user, "clearUserPreferredPresence", writeBody{})
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Status == http.StatusNotFound {
		return nil
	}
	return err
}

type writeBody struct {
	SessionID    string `json:"sessionId,omitempty"`
	Availability string `json:"availability,omitempty"`
	Activity     string `json:"activity,omitempty"`
	Duration     string `json:"expirationDuration,omitempty"`
}

// once makes the pipeline send a request a single time.
var once = policy.RetryOptions{MaxRetries: -1, TryTimeout: tryTimeout}

func (c *Client) write(ctx context.Context, token secret.Text, user presence.UserID, action string, body writeBody) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	request, err := c.request(policy.WithRetryOptions(ctx, once), http.MethodPost, c.endpoint+"/v1.0/users/"+string(user)+"/presence/"+action, token,
		streaming.NopCloser(bytes.NewReader(text)))
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	response, err := c.pipeline.Do(request)
	if err != nil {
		return fmt.Errorf("%s: no answer from Graph: %w", action, withoutAddress(err))
	}
	defer func() { _ = response.Body.Close() }()
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusNoContent) {
		return fmt.Errorf("%s: %w", action, c.refusal(response))
	}
	// The body is empty; reading it to its end lets the connection serve again.
	n, _ := io.Copy(io.Discard, io.LimitReader(response.Body, maxRefusal))
	if n > 0 && !isJSON(response) {
		return fmt.Errorf("%s: %w", action, errPage)
	}
	return nil
}

// maxRefusal bounds what is read of an answer that says nothing.
const maxRefusal = 64 << 10
