package console

import (
	"context"
	"errors"
	"io"
	"net/http"

	"procallteams/internal/access"
	"procallteams/internal/settings"
	"procallteams/internal/trust"
)

// takeAuthority is the step that uploads the certificate of whoever signed UCServer's
// private one.
func (f *Function) takeAuthority(w http.ResponseWriter, r *http.Request) {
	form, err := formOf(r)
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(form.file, trust.MaxBytes+1))
	}
	if err != nil || len(content) > trust.MaxBytes {
		if err == nil {
			err = errors.New("the file is longer than a few certificates are")
		}
		f.home(w, r, http.StatusBadRequest, shown{Notice: notice{"bad", "Nothing was taken in: " + err.Error() + "."}})
		return
	}
	if len(content) == 0 {
		content = []byte("nothing") // empty would mean to remove what is in force
	}
	if err := f.setAuthority(r.Context(), string(content)); err != nil {
		f.refuse(w, r, err)
		return
	}
	f.changed(r.Context(), "push/authority")
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/api/console?done=authority", http.StatusSeeOther)
}

// setAuthority stores what pushes trust besides, empty for nothing, and lets them try
// at once.
func (f *Function) setAuthority(ctx context.Context, text string) error {
	_, _, err := f.Editor.Change(ctx, access.AdministratorFrom(ctx), -1, func(i *settings.Integration) { i.PushAuthority = text })
	if err != nil {
		return err
	}
	return f.resume(ctx)
}

// Authorities describes what pushes trust besides the system's authorities.
func (v view) Authorities() []string {
	all, err := trust.Parse([]byte(v.State.Settings.PushAuthority))
	if err != nil {
		return nil
	}
	lines := make([]string, len(all))
	for i, certificate := range all {
		lines[i] = trust.Label(certificate) + ", valid until " + certificate.NotAfter.UTC().Format("2006-01-02")
	}
	return lines
}
