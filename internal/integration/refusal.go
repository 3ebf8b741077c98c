package integration

import (
	"errors"
	"net/http"
	"strings"

	"procallteams/internal/access"
	"procallteams/internal/problem"
)

// Explain turns an error of [Editor] into a refusal. It reports false when no
// administrator can correct it on the page: that one belongs into the log too.
func Explain(err error) (problem.Details, bool) {
	d := problem.Details{Who: "administrator"}
	if fixed, ok := errors.AsType[*FixedError](err); ok {
		d.Type, d.Title, d.Status = "/problems/fixed-by-app-setting", "An app setting fixes this", http.StatusConflict
		d.Detail, d.NextStep = fixed.Error(), "Change the app setting of the function app, or leave the field as it is."
		return d, true
	}
	if tenant, ok := errors.AsType[*TenantError](err); ok {
		d.Type, d.Title, d.Status = "/problems/tenant", "This tenant can't be used", http.StatusUnprocessableEntity
		d.Detail, d.NextStep = tenant.Error(), "Enter the tenant id from the Entra admin center (Overview), or one of its domains."
		return d, true
	}
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		d.Type, d.Title, d.Status = "/problems/invalid", "These settings are not possible", http.StatusUnprocessableEntity
		d.Detail, d.NextStep = strings.ReplaceAll(invalid.Error(), "\n", "; "), "Correct the fields named here."
		return d, true
	}
	if errors.Is(err, access.ErrRace) {
		d.Type, d.Title, d.Status = "/problems/changed-meanwhile", "Somebody else changed the settings first", http.StatusPreconditionFailed
		d.NextStep = "Read them again and repeat the change."
		return d, true
	}
	return access.Unavailable(err), false
}
