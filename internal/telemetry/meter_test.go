package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"procallteams/internal/telemetry"
)

// printed collects log lines.
type printed struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (p *printed) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(line)
}

func (p *printed) log() *slog.Logger { return slog.New(slog.NewJSONHandler(p, nil)) }

// lines returns what was written since the last call.
func (p *printed) lines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for decoder := json.NewDecoder(&p.out); decoder.More(); {
		var line map[string]any
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

func in(ctx context.Context, function string) context.Context {
	return telemetry.WithCall(ctx, telemetry.Call{Function: function, Invocation: "0af76519-16cd-43dd-8448-eb211c80319c"})
}

func TestAMinuteOfSyncsIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &printed{}
		meter := telemetry.NewMeter(out.log())
		for n := range 12 {
			meter.Add(in(t.Context(), "presencesync"), telemetry.Sync{Changes: n, Users: 100 - n, Took: time.Duration(n) * time.Second, Failed: n == 3})
			time.Sleep(5 * time.Second)
		}
		synctest.Wait()
		lines := out.lines(t)
		if len(lines) != 1 {
			t.Fatalf("%d lines: %v", len(lines), lines)
		}
		want := map[string]any{
			"msg": "sync", "function": "presencesync", "seconds": 60.0, "syncs": 12.0, "failed": 1.0, "changes": 66.0, "users": 89.0,
			"millisSum": 66_000.0, "millisMax": 11_000.0,
		}
		for field, value := range want {
			if lines[0][field] != value {
				t.Errorf("%s = %v; want %v", field, lines[0][field], value)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if lines := out.lines(t); len(lines) != 0 {
			t.Errorf("lines although nothing happened: %v", lines)
		}
	})
}

func TestALineComesAlsoWhenNothingFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &printed{}
		meter := telemetry.NewMeter(out.log())
		meter.Add(in(t.Context(), "presencepush"), telemetry.Push{Attempt: true, Delivered: true, Changes: 3})
		meter.Add(in(t.Context(), "upkeep"), telemetry.Push{Attempt: true})
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if lines := out.lines(t); len(lines) != 0 {
			t.Errorf("lines before the window is over: %v", lines)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		lines := out.lines(t)
		if len(lines) != 2 {
			t.Fatalf("%d lines; want one of each function: %v", len(lines), lines)
		}
		for _, line := range lines {
			if delivered := line["function"] == "presencepush"; line["delivered"] == 1.0 != delivered || line["failed"] == 1.0 == delivered {
				t.Errorf("line = %v", line)
			}
		}
	})
}

func TestWithoutAMeterNothingIsMeasured(t *testing.T) {
	var none *telemetry.Meter
	none.Add(t.Context(), telemetry.Sync{})
}

func TestAProcessThatEndsWritesWhatItMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &printed{}
		meter := telemetry.NewMeter(out.log())
		meter.Add(t.Context(), telemetry.Poll{Changes: 3})
		time.Sleep(20 * time.Second)
		meter.Flush()
		if lines := out.lines(t); len(lines) != 1 || lines[0]["seconds"] != 20.0 || lines[0]["changes"] != 3.0 {
			t.Errorf("lines = %v", lines)
		}
		time.Sleep(20 * time.Second)
		meter.Add(t.Context(), telemetry.Poll{}) // a window of its own
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if lines := out.lines(t); len(lines) != 0 {
			t.Errorf("the end of the first window ended the second: %v", lines)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if lines := out.lines(t); len(lines) != 1 {
			t.Errorf("lines = %v", lines)
		}
	})
}
