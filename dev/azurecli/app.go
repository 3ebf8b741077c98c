package azurecli

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// site is a function app: what is deployed, and what its host makes of it.
type site struct {
	Name     string            `json:"name"`
	Group    string            `json:"group"`
	Settings map[string]string `json:"settings"`
	// Package holds the functions that were published; Listed those that the platform
	// knows of, which it learns from a running host.
	Package []string `json:"package"`
	Listed  []string `json:"listed"`
	// Published is the build in the package that was published last, Build the one that
	// answers: after Stale more answers they are the same; below 0 they never are.
	Published string `json:"published"`
	Build     string `json:"build"`
	Stale     int    `json:"stale"`
	// Old is what the package before answers, as Status and Health; as those when nil.
	Old *struct {
		Status int    `json:"status"`
		Health string `json:"health"`
	} `json:"old,omitempty"`
	// Down is how many more times the host is asked in vain; below 0 it never starts.
	Down int `json:"down"`
	// Health is what GET /api/health answers, 401 when empty.
	Health string `json:"health"`
	Status int    `json:"status"`
	// State is Running when empty.
	State string `json:"state"`
}

func (s *site) id() string {
	return "/subscriptions/0a1b2c3d-0000-4000-8000-000000000000/resourceGroups/" + s.Group + "/providers/Microsoft.Web/sites/" + s.Name
}

var siteOptions = []string{"resource-group", "name"}

var appCommands = map[string]command{
	"resource list": {[]string{"resource-type", "name"}, func(w *World, o options) (any, error) {
		found := []map[string]string{}
		for _, s := range w.Sites {
			if o.text("resource-type") == "Microsoft.Web/sites" && s.Name == o.text("name") {
				found = append(found, map[string]string{"id": s.id(), "name": s.Name, "resourceGroup": s.Group})
			}
		}
		return found, nil
	}},
	"functionapp config appsettings list": {siteOptions, func(w *World, o options) (any, error) {
		s, err := w.site(o)
		if err != nil {
			return nil, err
		}
		list := []map[string]any{}
		for name, value := range s.Settings {
			list = append(list, map[string]any{"name": name, "value": value, "slotSetting": false})
		}
		return list, nil
	}},
	"functionapp deployment source config-zip": {append([]string{"src"}, siteOptions...), func(w *World, o options) (any, error) {
		s, err := w.site(o)
		if err != nil {
			return nil, err
		}
		return map[string]any{"complete": true}, s.publish(o.text("src"))
	}},
	"storage blob upload": {[]string{"auth-mode", "account-name", "container-name", "name", "file", "overwrite", "no-progress!"}, func(w *World, o options) (any, error) {
		if o.text("auth-mode") != "login" {
			return nil, say("KeyBasedAuthenticationNotPermitted: Key based authentication is not permitted on this storage account.")
		}
		blob := path.Join(o.text("account-name"), o.text("container-name"), o.text("name"))
		if w.Blobs[blob] != "" && o.text("overwrite") != "true" {
			return nil, say("The specified blob already exists.\nErrorCode:BlobAlreadyExists")
		}
		file, err := filepath.Abs(o.text("file"))
		if w.Blobs == nil {
			w.Blobs = map[string]string{}
		}
		w.Blobs[blob] = file
		return map[string]any{"etag": "\"0x8DC\""}, err
	}},
	"functionapp restart": {siteOptions, func(w *World, o options) (any, error) {
		s, err := w.site(o)
		if err != nil {
			return nil, err
		}
		from, _, _ := strings.Cut(strings.TrimPrefix(s.Settings["WEBSITE_RUN_FROM_PACKAGE"], "https://"), "?")
		host, rest, _ := strings.Cut(from, "/")
		account, _, _ := strings.Cut(host, ".")
		return nil, s.publish(w.Blobs[account+"/"+rest])
	}},
	"functionapp function list": {siteOptions, func(w *World, o options) (any, error) {
		s, err := w.site(o)
		if err != nil {
			return nil, err
		}
		list := []map[string]string{}
		for _, name := range s.Listed {
			list = append(list, map[string]string{"name": s.Name + "/" + name, "type": "Microsoft.Web/sites/functions"})
		}
		return list, nil
	}},
	"rest": {[]string{"method", "url", "url-parameters+", "headers+", "body"}, rest},
}

// publish takes a package: the functions in it, and the build that it names.
func (s *site) publish(file string) error {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer archive.Close()
	return s.unpack(&archive.Reader)
}

func (s *site) unpack(tree fs.FS) error {
	found, err := fs.Glob(tree, "*/function.json")
	if err != nil {
		return err
	}
	s.Package = []string{}
	for _, name := range found {
		s.Package = append(s.Package, path.Dir(name))
	}
	text, err := fs.ReadFile(tree, "version")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, s.Published, _ = strings.Cut(strings.TrimSpace(string(text)), " ")
	return nil
}

func (w *World) site(o options) (*site, error) {
	s := find(w.Sites, func(s *site) bool { return s.Name == o.text("name") && s.Group == o.text("resource-group") })
	if s == nil {
		return nil, say("Unable to find App %s in resource group %s", o.text("name"), o.text("resource-group"))
	}
	return s, nil
}

// rest is az rest for the few addresses that scripts call. Addresses without a host
// are resources of Azure Resource Manager.
func rest(w *World, o options) (any, error) {
	method, address := strings.ToLower(o.text("method")), o.text("url")
	for _, s := range w.Sites {
		switch {
		case method == "get" && strings.HasPrefix(address, s.id()+"?api-version="):
			return map[string]any{"id": s.id(), "properties": map[string]any{
				"defaultHostName": s.Name + ".azurewebsites.net", "state": cmp.Or(s.State, "Running"),
			}}, nil
		case method == "post" && strings.HasPrefix(address, s.id()+"/syncfunctiontriggers?api-version="):
			return nil, s.synchronise()
		}
	}
	graph, ok := strings.CutPrefix(address, strings.TrimSuffix(clouds[w.Cloud]["microsoftGraphResourceId"], "/")+"/v1.0/")
	switch parts := strings.Split(graph, "/"); {
	case !ok || len(parts) != 3:
	case method == "get" && parts[0] == "users" && parts[2] == "appRoleAssignments":
		resource := strings.TrimPrefix(o.text("url-parameters"), "$filter=resourceId eq ")
		return map[string]any{"value": slices.DeleteFunc(slices.Clone(w.Assignments), func(a assignment) bool {
			return a.PrincipalID != parts[1] || a.ResourceID != resource
		})}, nil
	case method == "post" && parts[0] == "servicePrincipals" && parts[2] == "appRoleAssignedTo":
		return w.assign(parts[1], o)
	}
	return nil, say("Not Found(404): %s %s", method, address)
}

func (w *World) assign(resource string, o options) (any, error) {
	if o.text("headers") != "Content-Type=application/json" {
		return nil, say("Bad Request: a body needs its content type")
	}
	made := assignment{ID: w.id("d")}
	if err := strict([]byte(o.text("body")), &made); err != nil {
		return nil, err
	}
	for _, other := range w.Assignments {
		if other.PrincipalID == made.PrincipalID && other.ResourceID == made.ResourceID && other.AppRoleID == made.AppRoleID {
			return nil, say("Permission being assigned already exists on the object")
		}
	}
	p := slices.IndexFunc(w.Principals, func(p principal) bool { return p.ID == resource && p.ID == made.ResourceID })
	if p < 0 {
		return nil, say("Resource '%s' does not exist", resource)
	}
	app := find(w.Apps, func(a *application) bool { return a.AppID == w.Principals[p].AppID })
	if !slices.ContainsFunc(app.AppRoles, func(r appRole) bool { return r.ID == made.AppRoleID }) {
		return nil, say("Permission being assigned was not found on application")
	}
	w.Assignments = append(w.Assignments, made)
	return made, nil
}

// synchronise is the platform asking the host which functions it has.
func (s *site) synchronise() error {
	if s.Down != 0 {
		s.Down--
		return say("Bad Request({\"Code\":\"BadRequest\",\"Message\":\"Encountered an error (ServiceUnavailable) from host runtime.\"})")
	}
	s.Listed = s.Package
	return nil
}

// Func is Core Tools: func azure functionapp publish APP --no-build, of the folder
// that it runs in.
func Func(args []string, stderr io.Writer) int {
	err := record("func", args)
	if err == nil && (len(args) != 5 || strings.Join(args[:3], " ") != "azure functionapp publish" || args[4] != "--no-build") {
		err = fmt.Errorf("unknown action %s", strings.Join(args, " "))
	}
	if err == nil {
		err = change(func(w *World) error {
			if text, refused := w.refusal("func"); refused {
				return errors.New(text)
			}
			s := find(w.Sites, func(s *site) bool { return s.Name == args[3] })
			if s == nil {
				return fmt.Errorf("can't find app with name %q", args[3])
			}
			return s.unpack(os.DirFS("."))
		})
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

var errUnreachable = errors.New("curl: (7) Failed to connect")

// Curl is curl --silent --include --suppress-connect-headers --max-time 30 URL: it prints
// the app's answer below its status and headers, and fails when the app can't be reached.
func Curl(args []string, stdout, stderr io.Writer) int {
	err := record("curl", args)
	if err == nil && (len(args) != 6 || strings.Join(args[:5], " ") != "--silent --include --suppress-connect-headers --max-time 30") {
		err = fmt.Errorf("curl: option %s: is unknown", strings.Join(args, " "))
	}
	if err == nil {
		err = change(func(w *World) error {
			s := find(w.Sites, func(s *site) bool { return args[5] == "https://"+s.Name+".azurewebsites.net/api/health" })
			if s == nil || s.Status < 0 {
				return errUnreachable
			}
			s.answer(stdout)
			return nil
		})
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// answer prints what the bridge, or what stands before it, says to somebody without a
// credential.
func (s *site) answer(out io.Writer) {
	status, body := cmp.Or(s.Status, 401), s.Health
	switch {
	case s.Stale == 0:
		s.Build = s.Published
	case s.Old != nil:
		status, body = s.Old.Status, s.Old.Health
	}
	s.Stale = max(s.Stale-1, min(s.Stale, 0))
	fmt.Fprintf(out, "HTTP/2 %d \r\ncontent-type: application/json\r\n", status)
	if s.Build != "" && status != 403 && status != 502 { // those are not the bridge's
		fmt.Fprintf(out, "bridge-build: %s\r\n", s.Build)
	}
	fmt.Fprintf(out, "\r\n%s\n", body)
}

// Main runs what one of the three programs is called with, and ends the process.
func Main(program string) {
	switch program {
	case "az":
		os.Exit(Run(os.Args[1:], os.Stdout, os.Stderr))
	case "func":
		os.Exit(Func(os.Args[1:], os.Stderr))
	default:
		os.Exit(Curl(os.Args[1:], os.Stdout, os.Stderr))
	}
}
