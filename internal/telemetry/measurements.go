package telemetry

import "time"

// minute is the window of most lines: short enough for an alert, long enough that
// lines cost next to nothing (docs/cost.md).
const minute = time.Minute

// Sync is one reading of presences by presencesync.
type Sync struct {
	Failed    bool // nothing was read though it should
	Discarded bool // another process was faster
	Throttled bool // Graph asked for a pause
	// Changes were appended; Requests and FailedBatches went to Graph.
	Changes, Requests, FailedBatches int
	Users, Unmatched, Ambiguous      int
	Missing                          int // left out of Graph's answers
	Took                             time.Duration
	Gap                              time.Duration // since the sync before began, 0 for the first
	Interval                         time.Duration // the effective one
}

func (Sync) line() line { return line{message: "sync", window: minute} }

func (s Sync) values() []value {
	return []value{
		sum("syncs", 1), count("failed", s.Failed), count("discarded", s.Discarded), count("throttled", s.Throttled),
		sum("changes", s.Changes), sum("requests", s.Requests), sum("failedBatches", s.FailedBatches),
		last("users", s.Users), last("unmatched", s.Unmatched), last("ambiguous", s.Ambiguous), last("missing", s.Missing),
		sum("millisSum", s.Took.Milliseconds()), longest("millisMax", s.Took), longest("gapMillisMax", s.Gap),
		last("intervalMillis", int(s.Interval.Milliseconds())),
	}
}

// Push is one attempt to deliver, or a wake-up that began work.
type Push struct {
	Woken   bool          // a wake-up began work, Waited long in the queue
	Waited  time.Duration // 0 when it does not say
	Attempt bool          // a request was sent, and Took so long

	// Of an attempt that UCServer accepted: the changes and bytes in it, whether it was
	// a part of a snapshot, and the age of its oldest change.
	Delivered      bool
	Changes, Bytes int
	SnapshotPart   bool
	Age            time.Duration
	Took           time.Duration
}

func (Push) line() line { return line{message: "push", window: minute} }

func (p Push) values() []value {
	return []value{
		count("wakeups", p.Woken), count("attempts", p.Attempt), count("delivered", p.Delivered), count("failed", p.Attempt && !p.Delivered),
		sum("changes", p.Changes), count("snapshotParts", p.SnapshotPart), sum("bytes", p.Bytes),
		longest("wakeMillisMax", p.Waited), longest("ageMillisMax", p.Age), sum("millisSum", p.Took.Milliseconds()), longest("millisMax", p.Took),
	}
}

// Write is one call that writes a presence to Teams, or a wake-up that began work.
type Write struct {
	Woken  bool // a wake-up began work, Waited long in the queue
	Waited time.Duration

	Set, Clear                 bool // done
	Refused, Unseen, Throttled bool // not done, and why
	// Age is how long ago the report came that was acted on, 0 for a renewal or a
	// repetition.
	Age  time.Duration
	Took time.Duration // of a call that was answered
}

func (Write) line() line { return line{message: "write", window: minute} }

func (w Write) values() []value {
	return []value{
		count("wakeups", w.Woken), count("sets", w.Set), count("clears", w.Clear),
		count("refused", w.Refused), count("unseen", w.Unseen), count("throttled", w.Throttled),
		longest("wakeMillisMax", w.Waited), longest("ageMillisMax", w.Age), sum("millisSum", w.Took.Milliseconds()), longest("millisMax", w.Took),
	}
}

// Poll is one request of a machine for presences.
type Poll struct {
	Changes int  // in the answer
	Gone    bool // the cursor can't be continued
	Failed  bool // storage failed
}

func (Poll) line() line { return line{message: "poll", window: minute} }

func (p Poll) values() []value {
	return []value{sum("requests", 1), sum("changes", p.Changes), count("gone", p.Gone), count("failed", p.Failed)}
}

// Report is one request of a machine that says who is on the phone.
type Report struct {
	Refused            bool // as a whole
	List               bool // a complete list was taken in
	Accepted, Rejected int  // items
	Took               time.Duration
}

func (Report) line() line { return line{message: "report", window: minute} }

func (r Report) values() []value {
	return []value{
		count("batches", !r.Refused), count("lists", r.List), sum("accepted", r.Accepted), sum("rejected", r.Rejected),
		count("refused", r.Refused), longest("millisMax", r.Took),
	}
}

// dependency is one request to another system.
type dependency struct {
	system                            string
	failed, throttled, slow, unlogged bool
	took                              time.Duration
}

// dependencyWindow is longer than the others: every function asks several systems.
const dependencyWindow = 15 * time.Minute

func (d dependency) line() line {
	return line{message: "dependency", window: dependencyWindow, label: "system", part: d.system}
}

func (d dependency) values() []value {
	return []value{
		sum("requests", 1), count("failed", d.failed), count("throttled", d.throttled), count("slow", d.slow), count("unlogged", d.unlogged),
		sum("millisSum", d.took.Milliseconds()), longest("millisMax", d.took),
	}
}
