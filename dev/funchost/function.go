package funchost

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// function is one folder with a function.json.
type function struct {
	name    string
	trigger string // httpTrigger, timerTrigger, queueTrigger
	binding string // name of the trigger's binding
	err     error  // why the host does not run it
	// disabled functions answer 404 and don't listen; their route hides later ones.
	disabled bool

	methods []string // HTTP, upper case; empty means all
	route   *route

	schedule     schedule // timer
	monitor      bool
	runOnStartup bool

	queue      string // queue
	connection string // its connection string
	binary     bool
}

// group is the scale group of Flex Consumption.
func (f *function) group() string {
	if f.trigger == "httpTrigger" {
		return "http"
	}
	return "function:" + f.name
}

type binding struct {
	Type         string
	Direction    string
	Name         string
	Methods      []string
	Route        *string
	Schedule     string
	RunOnStartup bool
	UseMonitor   *bool
	QueueName    string
	Connection   string
	DataType     string
	AuthLevel    string
}

// readFunction reads one function.json. The error it returns stops the host: only
// a broken route template does that.
func readFunction(path string, settings map[string]string) (*function, error) {
	f := &function{name: filepath.Base(filepath.Dir(path))}
	f.disabled = strings.EqualFold(settings["AzureWebJobs."+f.name+".Disabled"], "true")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read function %s: %w", f.name, err)
	}
	var file struct {
		Bindings []binding
		Retry    json.RawMessage
	}
	if err := json.Unmarshal(text, &file); err != nil {
		f.err = fmt.Errorf("function.json is not valid: %w", err)
		return f, nil
	}
	var trigger *binding
	for _, b := range file.Bindings {
		if strings.HasSuffix(strings.ToLower(b.Type), "trigger") {
			trigger = &b
		}
	}
	if trigger == nil {
		f.err = errors.New("no trigger binding")
		return f, nil
	}
	f.trigger, f.binding = trigger.Type, trigger.Name
	if f.err = notSimulated(file.Bindings, *trigger, file.Retry != nil); f.err != nil {
		return f, nil
	}
	switch trigger.Type {
	case "httpTrigger":
		return f, f.readHTTP(trigger)
	case "timerTrigger":
		f.err = f.readTimer(trigger, settings)
	case "queueTrigger":
		f.err = f.readQueue(trigger, settings)
	default:
		f.err = fmt.Errorf("the binding type(s) '%s' are not registered", trigger.Type)
	}
	return f, nil
}

// notSimulated says what a function asks for that would pass here and not in Azure, or
// the other way round.
func notSimulated(bindings []binding, trigger binding, retries bool) error {
	isHTTP := trigger.Type == "httpTrigger"
	outputs := slices.DeleteFunc(slices.Clone(bindings), func(b binding) bool { return b.Type == trigger.Type })
	switch {
	case retries:
		return errors.New("retry policies are not simulated")
	case isHTTP && (len(outputs) != 1 || outputs[0].Type != "http"):
		return errors.New("it needs exactly one httpTrigger and one http output here: the HTTP envelope of default mode is not simulated")
	case isHTTP && !strings.EqualFold(trigger.AuthLevel, "anonymous"):
		return errors.New("function keys are not simulated: only authLevel anonymous is served here (without it the level is function)")
	case !isHTTP && len(outputs) > 0:
		return errors.New("output bindings are not simulated")
	}
	return nil
}

func (f *function) readHTTP(b *binding) error {
	for _, method := range b.Methods {
		f.methods = append(f.methods, strings.ToUpper(method))
	}
	template := f.name
	if b.Route != nil {
		template = *b.Route
	}
	lower := strings.ToLower(template)
	if strings.HasPrefix(lower, "admin") || strings.HasPrefix(lower, "runtime") {
		f.err = errors.New("the specified route conflicts with one or more built in routes")
		return nil
	}
	var err error
	if f.route, err = parseRoute(template); err != nil {
		return fmt.Errorf("read route of function %s: %w", f.name, err)
	}
	return nil
}

func (f *function) readTimer(b *binding, settings map[string]string) error {
	text, err := resolve(b.Schedule, settings)
	if err != nil {
		return err
	}
	if f.schedule, err = parseSchedule(text); err != nil {
		return err
	}
	f.monitor = (b.UseMonitor == nil || *b.UseMonitor) && !moreOftenThanMinutely(f.schedule)
	f.runOnStartup = b.RunOnStartup
	return nil
}

func (f *function) readQueue(b *binding, settings map[string]string) error {
	var err error
	if f.queue, err = resolve(b.QueueName, settings); err != nil {
		return err
	}
	f.queue = strings.ToLower(f.queue)
	if len(f.queue) < 3 || len(f.queue) > 63 {
		return fmt.Errorf("a queue name must have 3 to 63 characters, not '%s'", f.queue)
	}
	name := b.Connection
	if name == "" {
		name = "AzureWebJobsStorage"
	}
	if f.connection = settings["AzureWebJobs"+name]; f.connection == "" {
		f.connection = settings[name]
	}
	if f.connection == "" {
		return fmt.Errorf("the connection '%s' is not set", name)
	}
	f.binary = strings.EqualFold(b.DataType, "binary")
	return nil
}
