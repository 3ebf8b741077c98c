package funchost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// app is a script root as the host understands it.
type app struct {
	root      string
	functions []*function // in the order of their names, which is that of routes

	executable string // empty: the host runs and answers 503
	directory  string
	arguments  string // joined by blanks, as the real host does
	start      time.Duration
	port       int // 0: any
	forwarding bool
	proxying   bool

	timeout time.Duration // functionTimeout; 0 is unbounded
	prefix  string        // routePrefix without slashes at its ends
	queues  queueSettings
}

// queueSettings is extensions.queues of host.json.
type queueSettings struct {
	maxPolling   time.Duration
	visibility   time.Duration // how long a failed message stays hidden
	batch        int
	threshold    int
	maxDequeue   int64
	plain        bool // messageEncoding none
	minimumSleep time.Duration
}

// hostFile is host.json. Unknown members are ignored, as the real host does.
type hostFile struct {
	FunctionTimeout string
	CustomHandler   *struct {
		Description *struct {
			DefaultExecutablePath string
			DefaultWorkerPath     string
			WorkingDirectory      string
			Arguments             []string
			WorkerArguments       []string
		}
		EnableForwardingHTTPRequest bool
		EnableProxyingHTTPRequest   bool
		InitializationTimeout       string
		Port                        *int
	}
	Extensions struct {
		HTTP   struct{ RoutePrefix *string }
		Queues struct {
			MaxPollingInterval string
			VisibilityTimeout  string
			BatchSize          *int
			NewBatchThreshold  *int
			MaxDequeueCount    *int64
			MessageEncoding    string
		}
	}
}

// readApp reads host.json and every <folder>/function.json. A function that the
// real host puts in error has err set; what stops the whole host is an error.
func readApp(root string, settings map[string]string) (*app, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("find script root: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(root, "host.json"))
	if err != nil {
		return nil, fmt.Errorf("read host.json: %w", err)
	}
	var file hostFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read host.json: %w", err)
	}
	a := &app{root: root, prefix: "api", directory: root}
	if err := a.configure(file, settings); err != nil {
		return nil, fmt.Errorf("read host.json: %w", err)
	}
	folders, err := filepath.Glob(filepath.Join(root, "*", "function.json"))
	if err != nil {
		return nil, fmt.Errorf("find functions: %w", err)
	}
	for _, path := range folders {
		f, err := readFunction(path, settings)
		if err != nil {
			return nil, err
		}
		a.functions = append(a.functions, f)
	}
	slices.SortFunc(a.functions, func(x, y *function) int {
		return strings.Compare(strings.ToLower(x.name), strings.ToLower(y.name))
	})
	return a, nil
}

func (a *app) configure(file hostFile, settings map[string]string) error {
	var errs []error
	span := func(name, text string, missing time.Duration) time.Duration {
		if text == "" {
			return missing
		}
		d, err := parseTimeSpan(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		return d
	}
	if file.FunctionTimeout != "-1" {
		a.timeout = span("functionTimeout", file.FunctionTimeout, 30*time.Minute)
	}
	a.start = 30 * time.Second
	if custom := file.CustomHandler; custom != nil {
		a.forwarding, a.proxying = custom.EnableForwardingHTTPRequest, custom.EnableProxyingHTTPRequest
		a.start = span("initializationTimeout", custom.InitializationTimeout, a.start)
		if custom.Port != nil {
			if a.port = *custom.Port; a.port < 1 || a.port > 65535 {
				errs = append(errs, fmt.Errorf("unable to bind to port %d specified in configuration", a.port))
			}
		}
		if d := custom.Description; d != nil {
			words := slices.Clone(d.Arguments)
			if d.DefaultWorkerPath != "" {
				words = append(words, `"`+d.DefaultWorkerPath+`"`)
			}
			a.arguments = strings.Join(append(words, d.WorkerArguments...), " ")
			a.executable = expand(d.DefaultExecutablePath, settings)
			if d.WorkingDirectory != "" {
				a.directory = rooted(a.root, d.WorkingDirectory)
			}
		}
	}
	if prefix := file.Extensions.HTTP.RoutePrefix; prefix != nil {
		a.prefix = strings.Trim(*prefix, "/")
	}
	q := file.Extensions.Queues
	a.queues = queueSettings{
		maxPolling: span("maxPollingInterval", q.MaxPollingInterval, time.Minute),
		visibility: span("visibilityTimeout", q.VisibilityTimeout, 0),
		batch:      16, maxDequeue: 5, minimumSleep: 100 * time.Millisecond,
		plain: strings.EqualFold(q.MessageEncoding, "none"),
	}
	if q.BatchSize != nil {
		a.queues.batch = *q.BatchSize
	}
	a.queues.threshold = a.queues.batch / 2 * runtime.NumCPU()
	if q.NewBatchThreshold != nil {
		a.queues.threshold = *q.NewBatchThreshold
	}
	if q.MaxDequeueCount != nil {
		a.queues.maxDequeue = *q.MaxDequeueCount
	}
	if a.queues.batch < 1 || a.queues.batch > 32 {
		errs = append(errs, fmt.Errorf("batchSize %d is not between 1 and 32", a.queues.batch))
	}
	return errors.Join(errs...)
}

// program resolves the executable: a file below the script root when there is
// one, else the bare name, which is looked up in PATH.
func (a *app) program() string {
	if path := rooted(a.root, a.executable); path != a.executable {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return a.executable
}

// words expands %NAME% in the arguments (an unset one is empty) and splits the
// line as .NET does: at blanks outside of double quotes.
func (a *app) words(environ map[string]string) []string {
	var words []string
	var word strings.Builder
	inside, quoted := false, false
	for _, c := range expand(a.arguments, environ) {
		switch {
		case c == '"':
			quoted, inside = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteRune(c)
			inside = true
		}
	}
	if inside {
		words = append(words, word.String())
	}
	return words
}

func rooted(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

var setting = regexp.MustCompile(`%([^%]+)%`)

// expand replaces %NAME% by the setting's value, or by nothing.
func expand(text string, settings map[string]string) string {
	return setting.ReplaceAllStringFunc(text, func(name string) string {
		return settings[strings.Trim(name, "%")]
	})
}

// resolve is expand for bindings, where a missing setting is an error.
func resolve(text string, settings map[string]string) (string, error) {
	for _, match := range setting.FindAllStringSubmatch(text, -1) {
		if settings[match[1]] == "" {
			return "", fmt.Errorf("'%s' does not resolve to a value", match[0])
		}
	}
	return expand(text, settings), nil
}

// parseTimeSpan reads .NET's [d.]hh:mm:ss[.fffffff].
func parseTimeSpan(text string) (time.Duration, error) {
	days := 0
	rest := text
	if head, tail, ok := strings.Cut(text, "."); ok && strings.Contains(tail, ":") {
		n, err := strconv.Atoi(head)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time span", text)
		}
		days, rest = n, tail
	}
	parts := strings.Split(rest, ":")
	if len(parts) != 3 {
		return 0, fmt.Errorf("%q is not a time span hh:mm:ss", text)
	}
	hours, err1 := strconv.Atoi(parts[0])
	minutes, err2 := strconv.Atoi(parts[1])
	seconds, err3 := strconv.ParseFloat(parts[2], 64)
	if errors.Join(err1, err2, err3) != nil || minutes > 59 || seconds >= 60 {
		return 0, fmt.Errorf("%q is not a time span hh:mm:ss", text)
	}
	return time.Duration(days*24+hours)*time.Hour + time.Duration(minutes)*time.Minute + time.Duration(seconds*float64(time.Second)), nil
}

// readLocalSettings reads Values of local.settings.json, if there is one.
func readLocalSettings(root string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(root, "local.settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read local.settings.json: %w", err)
	}
	var file struct{ Values map[string]string }
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read local.settings.json: %w", err)
	}
	return file.Values, nil
}
