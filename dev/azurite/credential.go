package azurite

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Credential is a token credential for a server with OAuth: Azurite's basic level
// checks a token's lifetime, issuer and audience, and no signature.
type Credential struct {
	// Audience is the token's aud; empty means https://storage.azure.com.
	Audience string
}

// GetToken makes an unsigned token that is valid for an hour.
func (c Credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	audience := c.Audience
	if audience == "" {
		audience = "https://storage.azure.com"
	}
	now := time.Now()
	expires := now.Add(time.Hour)
	claims, err := json.Marshal(map[string]any{
		"aud": audience, "iss": "https://sts.windows.net/00000000-0000-4000-8000-000000000000/",
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": expires.Unix(), "ver": "1.0",
	})
	if err != nil {
		return azcore.AccessToken{}, fmt.Errorf("encode token: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	token := encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(claims) + "." + encode([]byte("unsigned"))
	return azcore.AccessToken{Token: token, ExpiresOn: expires}, nil
}
