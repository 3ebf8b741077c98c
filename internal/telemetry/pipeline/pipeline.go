// Package pipeline measures the requests of Azure SDK clients: a policy that has
// every try counted and traced by package telemetry.
package pipeline

import (
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"procallteams/internal/telemetry"
)

// Policy returns a policy for ClientOptions.PerRetryPolicies, below the retries.
// route names a request without anything that names a person or a row.
func Policy(system string, route func(*http.Request) string) policy.Policy {
	return measured{system, route}
}

type measured struct {
	system string
	route  func(*http.Request) string
}

func (m measured) Do(request *policy.Request) (*http.Response, error) {
	raw := request.Raw()
	_, end := telemetry.Request(raw.Context(), m.system, m.route(raw))
	response, err := request.Next()
	status := 0
	if response != nil {
		status = response.StatusCode
	}
	end(status, err)
	return response, err
}
