// Package health is the HTTP function that alert rules ask: 200 while the bridge
// does what it was told to, else 503 with stable codes.
package health

import (
	"context"
	"net/http"
	"time"

	"procallteams/internal/access"
	judging "procallteams/internal/health"
	"procallteams/internal/problem"
	"procallteams/internal/reply"
	"procallteams/internal/report"
)

// Function is the code of function.json beside this file. It is served behind
// access.Gate.Either(access.Monitor, ...).
type Function struct {
	Read    func(context.Context) (report.State, error)
	Version string
	Now     func() time.Time
}

// answer is api/openapi.yaml, Health.
type answer struct {
	Status   string            `json:"status"`
	Version  string            `json:"version,omitempty"`
	Findings []judging.Finding `json:"findings"`
}

// ServeCaller answers GET. Everything is computed now, from what is stored, so
// that it is true when every timer of the app stands still.
func (f Function) ServeCaller(w http.ResponseWriter, r *http.Request, _ access.Caller) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		problem.MethodNotAllowed(w, "GET, HEAD")
		return
	}
	// Shorter than the usual time-outs of monitors.
	ctx, cancel := context.WithTimeout(r.Context(), 15*time.Second)
	defer cancel()
	state, err := f.Read(ctx)
	if err != nil {
		f.write(w, []judging.Finding{{
			Code: judging.StorageUnreachable, Fault: true, Title: "The bridge can't reach its storage", Detail: err.Error(),
			NextStep: "Check the storage account and the roles of the bridge's identity.", Who: "operator",
		}})
		return
	}
	f.write(w, judging.Assess(f.Now(), state.Input))
}

// Faulty answers while the app settings have faults: nothing else can be read
// then, not even who asks, so it names settings and no values.
func (f Function) Faulty(faults error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.write(w, []judging.Finding{{
			Code: judging.SettingsFault, Fault: true, Title: "The bridge can't start with these settings", Detail: faults.Error(),
			NextStep: "Correct the app settings named here; the bridge restarts by itself.", Who: "operator",
		}})
	})
}

func (f Function) write(w http.ResponseWriter, found []judging.Finding) {
	a := answer{Status: "ok", Version: f.Version, Findings: found}
	status := http.StatusOK
	if judging.Failing(found) {
		a.Status, status = "failing", http.StatusServiceUnavailable
	}
	if a.Findings == nil {
		a.Findings = []judging.Finding{}
	}
	reply.JSON(w, status, a)
}
