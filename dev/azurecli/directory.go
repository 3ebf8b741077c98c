package azurecli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// application is Graph's resource type application, as far as scripts use it.
type application struct {
	AppID                  string           `json:"appId"`
	ID                     string           `json:"id"`
	DisplayName            string           `json:"displayName"`
	SignInAudience         string           `json:"signInAudience"`
	Web                    web              `json:"web"`
	RequiredResourceAccess []resourceAccess `json:"requiredResourceAccess"`
	AppRoles               []appRole        `json:"appRoles"`
	// Federated has a command of its own in az.
	Federated []*federated `json:"federated"`
}

type web struct {
	RedirectURIs  []string        `json:"redirectUris"`
	ImplicitGrant map[string]bool `json:"implicitGrantSettings"`
}

type resourceAccess struct {
	ResourceAppID  string `json:"resourceAppId"`
	ResourceAccess []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	} `json:"resourceAccess"`
}

type appRole struct {
	ID                 string   `json:"id"`
	AllowedMemberTypes []string `json:"allowedMemberTypes"`
	DisplayName        string   `json:"displayName"`
	Description        string   `json:"description"`
	Value              string   `json:"value"`
	IsEnabled          bool     `json:"isEnabled"`
}

type federated struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
	Audiences   []string `json:"audiences"`
	Description string   `json:"description"`
}

type principal struct {
	ID    string `json:"id"`
	AppID string `json:"appId"`
}

type assignment struct {
	ID          string `json:"id"`
	PrincipalID string `json:"principalId"`
	ResourceID  string `json:"resourceId"`
	AppRoleID   string `json:"appRoleId"`
}

// clouds are what az cloud show says of each.
var clouds = map[string]map[string]string{
	"AzureCloud":        {"activeDirectory": "https://login.microsoftonline.com", "microsoftGraphResourceId": "https://graph.microsoft.com/"},
	"AzureUSGovernment": {"activeDirectory": "https://login.microsoftonline.us", "microsoftGraphResourceId": "https://graph.microsoft.us/"},
	"AzureChinaCloud":   {"activeDirectory": "https://login.chinacloudapi.cn", "microsoftGraphResourceId": "https://microsoftgraph.chinacloudapi.cn"},
}

var appSettings = []string{"sign-in-audience", "web-redirect-uris+", "required-resource-accesses", "app-roles", "enable-id-token-issuance", "enable-access-token-issuance"}

var directoryCommands = map[string]command{
	"account show": {nil, func(w *World, _ options) (any, error) {
		if w.Tenant == "" {
			return nil, say("Please run 'az login' to setup account.")
		}
		return map[string]string{"environmentName": w.Cloud, "tenantId": w.Tenant}, nil
	}},
	"cloud show": {nil, func(w *World, _ options) (any, error) {
		return map[string]any{"name": w.Cloud, "endpoints": clouds[w.Cloud]}, nil
	}},
	"ad app list": {[]string{"filter"}, func(w *World, o options) (any, error) {
		name, err := equals(o.text("filter"), "displayName")
		return slices.DeleteFunc(slices.Clone(w.Apps), func(a *application) bool { return !strings.EqualFold(a.DisplayName, name) }), err
	}},
	"ad app show": {[]string{"id"}, func(w *World, o options) (any, error) { return w.app(o) }},
	"ad app create": {append([]string{"display-name"}, appSettings...), func(w *World, o options) (any, error) {
		app := &application{AppID: w.id("a"), ID: w.id("b"), DisplayName: o.text("display-name"), AppRoles: []appRole{}}
		if err := app.set(o); err != nil {
			return nil, err
		}
		w.Apps = append(w.Apps, app)
		return app, nil
	}},
	"ad app update": {append([]string{"id"}, appSettings...), func(w *World, o options) (any, error) {
		app, err := w.app(o)
		if err != nil {
			return nil, err
		}
		return nil, app.set(o)
	}},
	"ad app federated-credential list": {[]string{"id"}, func(w *World, o options) (any, error) {
		app, err := w.app(o)
		if err != nil {
			return nil, err
		}
		return app.Federated, nil
	}},
	"ad app federated-credential create": {[]string{"id", "parameters"}, func(w *World, o options) (any, error) {
		app, err := w.app(o)
		if err != nil {
			return nil, err
		}
		made := &federated{ID: w.id("f")}
		if err := strict([]byte(o.text("parameters")), made); err != nil {
			return nil, err
		}
		for _, other := range app.Federated {
			if other.Name == made.Name || other.Issuer == made.Issuer && other.Subject == made.Subject {
				return nil, say("FederatedIdentityCredential with the same name, or with the same issuer and subject, already exists")
			}
		}
		app.Federated = append(app.Federated, made)
		return made, nil
	}},
	"ad app federated-credential update": {[]string{"id", "federated-credential-id", "parameters"}, func(w *World, o options) (any, error) {
		app, err := w.app(o)
		if err != nil {
			return nil, err
		}
		name := o.text("federated-credential-id")
		found := find(app.Federated, func(f *federated) bool { return f.Name == name || f.ID == name })
		if found == nil {
			return nil, say("Resource '%s' does not exist", name)
		}
		return nil, strict([]byte(o.text("parameters")), found)
	}},
	"ad sp list": {[]string{"filter"}, func(w *World, o options) (any, error) {
		app, err := equals(o.text("filter"), "appId")
		return slices.DeleteFunc(slices.Clone(w.Principals), func(p principal) bool { return p.AppID != app }), err
	}},
	"ad sp create": {[]string{"id"}, func(w *World, o options) (any, error) {
		app, err := w.app(o)
		if err != nil {
			return nil, err
		}
		w.Principals = append(w.Principals, principal{ID: w.id("c"), AppID: app.AppID})
		return w.Principals[len(w.Principals)-1], nil
	}},
	"ad signed-in-user show": {nil, func(w *World, _ options) (any, error) { return w.Users[0], nil }},
	"ad user show": {[]string{"id"}, func(w *World, o options) (any, error) {
		for _, u := range w.Users {
			if u.ID == o.text("id") || u.UserPrincipalName == o.text("id") {
				return u, nil
			}
		}
		return nil, say("Resource '%s' does not exist or one of its queried reference-property objects are not present.", o.text("id"))
	}},
}

// equals reads the only filter known: member eq 'value'.
func equals(filter, member string) (string, error) {
	found := regexp.MustCompile(`^` + member + ` eq '([^']*)'$`).FindStringSubmatch(filter)
	if found == nil {
		return "", say("Invalid filter clause: %s", filter)
	}
	return found[1], nil
}

func (w *World) app(o options) (*application, error) {
	id := o.text("id")
	app := find(w.Apps, func(a *application) bool { return a.AppID == id || a.ID == id })
	if app == nil {
		return nil, say("Resource '%s' does not exist or one of its queried reference-property objects are not present.", id)
	}
	return app, nil
}

// id makes an id that tells what it is of.
func (w *World) id(letter string) string {
	w.Made++
	return fmt.Sprintf("%s0000000-0000-4000-8000-%012d", letter, w.Made)
}

// set takes the settings of az ad app create and update.
func (a *application) set(o options) error {
	if values, ok := o["sign-in-audience"]; ok {
		a.SignInAudience = values[0]
	}
	if values, ok := o["web-redirect-uris"]; ok {
		a.Web.RedirectURIs = values
	}
	for option, member := range map[string]string{"enable-id-token-issuance": "enableIdTokenIssuance", "enable-access-token-issuance": "enableAccessTokenIssuance"} {
		if values, ok := o[option]; ok {
			if a.Web.ImplicitGrant == nil {
				a.Web.ImplicitGrant = map[string]bool{}
			}
			a.Web.ImplicitGrant[member] = values[0] == "true"
		}
	}
	if values, ok := o["required-resource-accesses"]; ok {
		a.RequiredResourceAccess = nil
		if err := strict([]byte(values[0]), &a.RequiredResourceAccess); err != nil {
			return err
		}
	}
	values, ok := o["app-roles"]
	if !ok {
		return nil
	}
	var roles []appRole
	if err := strict([]byte(values[0]), &roles); err != nil {
		return err
	}
	for _, role := range a.AppRoles {
		if role.IsEnabled && !slices.ContainsFunc(roles, func(r appRole) bool { return r.ID == role.ID }) {
			return say("Property value cannot be deleted unless it is disabled first.")
		}
	}
	a.AppRoles = roles
	return nil
}
