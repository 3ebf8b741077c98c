package smoke

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"procallteams/dev/cloud"
)

// spent is the processor time of each handler process so far, by group and
// instance, and of this process.
func spent(c *cloud.Cloud) map[string]time.Duration {
	times := map[string]time.Duration{"this process": processorTime(os.Getpid())}
	for _, p := range c.Host.Processes() {
		if p.PID != 0 {
			times[fmt.Sprintf("%s#%d", p.Group, p.Instance)] = processorTime(p.PID)
		}
	}
	return times
}

// processorTime is what the kernel says (user and system time), zero when it says
// nothing.
func processorTime(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold blanks.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick
}

// since says how much more was spent, busiest first; a process that was started
// anew counts from its start.
func since(before, after map[string]time.Duration) string {
	type share struct {
		who  string
		took time.Duration
	}
	var list []share
	for who, took := range after {
		if was := before[who]; was <= took {
			took -= was
		}
		list = append(list, share{who, took})
	}
	slices.SortFunc(list, func(a, b share) int { return int(b.took - a.took) })
	var words []string
	for _, s := range list {
		words = append(words, fmt.Sprintf("%s %.1f s", s.who, s.took.Seconds()))
	}
	return strings.Join(words, ", ")
}
