package telemetry

import (
	"maps"
	"slices"
)

// FieldsOf returns the fields of a measurement's line and how each is summed up, in
// the words of docs/log-schema.md.
func FieldsOf(m Measurement) (message string, fields map[string]string) {
	fields = map[string]string{}
	for _, v := range m.values() {
		fields[v.name] = string(v.how)
	}
	return m.line().message, fields
}

// Measurements are all there are.
func Measurements() []Measurement {
	return []Measurement{Sync{}, Push{}, Write{}, Poll{}, Report{}, dependency{system: "graph"}}
}

// Names returns the names of fields in order.
func Names(fields map[string]string) []string { return slices.Sorted(maps.Keys(fields)) }
