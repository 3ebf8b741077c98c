package presencesync_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	simulated "procallteams/dev/graph"
	"procallteams/internal/session"
	"procallteams/internal/settings"
)

const soon = 10 * time.Second // a report, a write and a sync

// situations are the rows of docs/echo.md, by their first cells.
var situations = map[string]func(*scene){
	"A call on the phone": func(s *scene) {
		s.uc.phone = true
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(1, "setPresence")
		s.settled()
		s.uc.phone = false
		s.pass(soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(1, "clearPresence")
	},
	"A call in Teams, reported back as external": func(s *scene) {
		s.uc.marks = true
		s.client("Busy", "InACall")
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall teams busy")
		s.did(1)
		s.settled()
		s.client("Available", "Available")
		s.pass(soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(1)
	},
	"A call in Teams, reported back as UCServer's own": func(s *scene) {
		s.client("Busy", "InACall")
		s.pass(3 * soon)
		s.shows("Busy/InACall", "Busy/InACall teams busy")
		if wait := s.held().Call.Wait; wait != session.TeamsFirst {
			s.t.Errorf("the wish waits because of %q", wait)
		}
		s.did(1)
		s.settled()
		s.client("Available", "Available")
		s.pass(3 * soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(1)
	},
	"A call in Teams, then one on the phone as well": func(s *scene) {
		s.uc.marks = true
		s.client("Busy", "InACall")
		s.pass(soon)
		s.uc.phone = true
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall teams busy")
		s.did(1)
		s.settled()
		s.client("Available", "Available") // the call on the phone goes on
		s.pass(3 * soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(2, "setPresence")
		s.settled()
		s.uc.phone = false
		s.pass(soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(1, "clearPresence")
	},
	"A call on the phone, then one in Teams as well": func(s *scene) {
		s.uc.phone = true
		s.pass(soon)
		s.client("Busy", "InACall")
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(1, "setPresence")
		s.settled()
		s.uc.phone = false
		s.pass(40 * time.Second)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.pass(30 * time.Second)
		s.shows("Busy/InACall", "Busy/InACall teams busy")
		s.did(1, "clearPresence", "clearPresence")
		s.pass(soon)
		s.did(0)
	},
	"A call in Teams that no sync has seen yet, and one on the phone": func(s *scene) {
		s.client("Busy", "InACall")
		s.uc.phone = true
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(1, "setPresence")
		s.settled()
		s.client("Available", "Available")
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(0)
		s.uc.phone = false
		s.pass(soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(1, "clearPresence")
	},
	"The call on the phone ends, and within a minute one in Teams begins": func(s *scene) {
		s.uc.phone = true
		s.pass(soon)
		s.uc.phone = false
		s.pass(soon)
		s.did(2, "setPresence", "clearPresence")
		s.pass(soon)
		s.client("Busy", "InACall")
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.pass(40 * time.Second)
		s.shows("Busy/InACall", "Busy/InACall teams busy")
		s.did(2, "clearPresence")
	},
	"Graph answers Busy/Busy for what the bridge wrote": func(s *scene) {
		s.answers(`"availability":"Busy","activity":"Busy"`)
		s.uc.phone = true
		s.pass(soon)
		s.is("Busy/Busy bridge")
		s.did(1, "setPresence")
		s.settled()
		s.answers("")
		s.uc.phone = false
		s.pass(soon)
		s.did(1, "clearPresence")
	},
	"Graph answers in the words of September 2025": func(s *scene) {
		s.answers(`"availability":"InACall","activity":"InACall"`)
		s.uc.phone = true
		s.pass(soon)
		s.is("Busy/InACall bridge")
		s.did(1, "setPresence")
		s.settled()
		s.answers("")
		s.uc.phone = false
		s.pass(soon)
		s.did(1, "clearPresence")
	},
	"Busy chosen in Teams by hand, during a call on the phone": func(s *scene) {
		s.uc.phone = true
		s.pass(soon)
		s.did(1, "setPresence")
		s.prefers("Busy", "Busy")
		s.pass(soon)
		s.shows("Busy/Busy", "Busy/Busy bridge")
		s.did(1)
		s.settled()
		s.uc.phone = false
		s.pass(80 * time.Second)
		s.shows("Busy/Busy", "Busy/Busy teams")
		s.did(1, "clearPresence", "clearPresence")
	},
	"Do not disturb chosen in Teams by hand, during a call on the phone": func(s *scene) {
		s.uc.phone = true
		s.pass(soon)
		s.did(1, "setPresence")
		s.prefers("DoNotDisturb", "DoNotDisturb")
		s.pass(soon)
		s.shows("DoNotDisturb/DoNotDisturb", "DoNotDisturb/DoNotDisturb teams doNotDisturb")
		if n := s.look().Heartbeat.Hidden; n != 1 {
			s.t.Errorf("hidden = %d; want 1", n)
		}
		s.did(1)
		s.settled()
		s.uc.phone = false
		s.pass(soon)
		s.shows("DoNotDisturb/DoNotDisturb", "DoNotDisturb/DoNotDisturb teams doNotDisturb")
		s.did(0, "clearPresence")
	},
	"Presenting in Teams, during a call on the phone": func(s *scene) {
		s.uc.phone = true
		s.pass(soon)
		s.did(1, "setPresence")
		s.client("DoNotDisturb", "Presenting")
		s.pass(soon)
		s.shows("DoNotDisturb/Presenting", "DoNotDisturb/Presenting teams doNotDisturb")
		s.did(1)
		s.settled()
		s.client("Available", "Available")
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(1)
	},
	"A meeting in Teams, and a call on the phone": func(s *scene) {
		s.client("Busy", "InAMeeting")
		s.pass(soon)
		s.is("Busy/InAMeeting teams")
		s.uc.phone = true
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(2, "setPresence")
		s.settled()
		s.uc.phone = false
		s.pass(soon)
		s.shows("Busy/InAMeeting", "Busy/InAMeeting teams")
		s.did(1, "clearPresence")
	},
	"Do not disturb chosen in ProCall": func(s *scene) {
		s.uc.quiet = true
		s.pass(soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(0)
	},
	"Do not disturb chosen in ProCall, to be written": func(s *scene) {
		s.change(func(i *settings.Integration) { i.AlsoWrite.DoNotDisturb = true })
		s.uc.quiet = true
		s.pass(soon)
		s.shows("DoNotDisturb/DoNotDisturb", "DoNotDisturb/DoNotDisturb bridge")
		s.did(1, "setUserPreferredPresence")
		s.settled()
		s.uc.quiet = false
		s.pass(soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(1, "clearUserPreferredPresence")
	},
	"Do not disturb chosen in Teams, which UCServer takes for its own": func(s *scene) {
		s.change(func(i *settings.Integration) { i.AlsoWrite.DoNotDisturb = true })
		s.prefers("DoNotDisturb", "DoNotDisturb")
		s.pass(soon)
		s.uc.quiet = true
		s.pass(soon)
		s.shows("DoNotDisturb/DoNotDisturb", "DoNotDisturb/DoNotDisturb teams doNotDisturb")
		s.did(1)
		s.settled()
		s.prefers("", "")
		s.pass(5 * time.Second)
		s.uc.quiet = false
		s.pass(3 * soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(1)
	},
	"Do not disturb chosen in ProCall by somebody who appears offline in Teams": func(s *scene) {
		s.change(func(i *settings.Integration) { i.AlsoWrite.DoNotDisturb = true })
		s.prefers("Offline", "OffWork")
		s.pass(soon)
		s.uc.quiet = true
		s.pass(soon)
		s.shows("Offline/OffWork", "Offline/OffWork teams")
		s.did(1)
		s.settled()
		s.prefers("", "")
		s.passBy(6*time.Minute, 20*time.Second)
		s.shows("DoNotDisturb/DoNotDisturb", "DoNotDisturb/DoNotDisturb bridge")
		s.did(2, "setUserPreferredPresence")
		s.uc.quiet = false
		s.pass(soon)
		s.did(1, "clearUserPreferredPresence")
	},
	"Do not disturb chosen in ProCall, then ended in Teams": func(s *scene) {
		s.change(func(i *settings.Integration) { i.AlsoWrite.DoNotDisturb = true })
		s.uc.quiet = true
		s.pass(soon)
		s.did(1, "setUserPreferredPresence")
		s.prefers("", "")
		s.pass(soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(1)
		s.settled()
		s.passBy(9*time.Hour, 4*time.Minute) // beyond the end of what was set
		s.shows("Available/Available", "Available/Available teams")
		s.did(0) // the person's choice stays
		s.uc.quiet = false
		s.pass(soon)
		s.shows("Available/Available", "Available/Available teams")
		s.did(0)
	},
	"A call in Teams ends, and UCServer withdraws it late": func(s *scene) {
		s.uc.lag = 5
		s.client("Busy", "InACall")
		s.pass(time.Minute)
		s.did(1)
		s.client("Available", "Available")
		s.pass(25 * time.Second)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.pass(15 * time.Second)
		s.shows("Available/Available", "Available/Available teams")
		s.did(3, "setPresence", "clearPresence")
	},
	"Not signed in to Teams, and a call on the phone": func(s *scene) {
		s.client("Offline", "Offline")
		s.pass(soon)
		s.uc.phone = true
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(2, "setPresence")
		s.settled()
		s.uc.phone = false
		s.pass(soon)
		s.shows("Offline/Offline", "Offline/Offline teams")
		s.did(1, "clearPresence")
	},
	"Not signed in to Teams, to be left alone": func(s *scene) {
		s.change(func(i *settings.Integration) { i.OnlySignedIn = true })
		s.client("Offline", "Offline")
		s.pass(soon)
		s.uc.phone = true
		s.pass(soon)
		s.shows("Offline/Offline", "Offline/Offline teams")
		s.did(1)
		s.settled()
		s.client("Available", "Available")
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(2, "setPresence")
	},
	"Paused during a call on the phone": func(s *scene) {
		s.uc.phone = true
		s.pass(soon)
		s.did(1, "setPresence")
		s.change(func(i *settings.Integration) { i.Paused = true })
		s.pass(soon)
		s.shows("Available/Available", "PresenceUnknown/PresenceUnknown paused")
		s.did(1, "clearPresence")
		s.settled()
		s.change(func(i *settings.Integration) { i.Paused = false })
		s.pass(soon)
		s.shows("Busy/InACall", "Busy/InACall bridge")
		s.did(1, "setPresence")
	},
}

// answers lets Graph say something about ada whatever she shows; nothing ends it.
func (s *scene) answers(words string) {
	s.teams.Clear("")
	if words == "" {
		return
	}
	s.teams.Inject(simulated.Fault{Kind: simulated.Items, Path: "getPresencesByUserId", Users: []string{string(s.ada)}, Items: []json.RawMessage{
		json.RawMessage(`{"id":"` + string(s.ada) + `",` + words + `}`),
	}})
}

// is demands what the feed publishes.
func (s *scene) is(published string) {
	s.t.Helper()
	o := s.published()
	if got := strings.TrimSpace(string(o.Availability) + "/" + string(o.Activity) + " " + string(o.Source) + " " + string(o.ProCall.State)); got != published {
		s.t.Errorf("the feed publishes %q; want %q", got, published)
	}
}

func TestNothingIsEchoedEitherWay(t *testing.T) {
	for name, play := range situations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			play(s)
			s.settled()
		})
	}
}

func TestTheTableOfSituationsIsWhatIsTested(t *testing.T) {
	file, err := os.Open("../../docs/echo.md")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var rows []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		cells := strings.Split(lines.Text(), "|")
		if first := strings.TrimSpace(cells[min(1, len(cells)-1)]); len(cells) > 5 && first != "Situation" && !strings.HasPrefix(first, "---") {
			rows = append(rows, strings.Trim(first, "*"))
		}
	}
	for name := range situations {
		if !slices.Contains(rows, name) {
			t.Errorf("docs/echo.md has no row %q", name)
		}
	}
	for _, row := range rows {
		if _, ok := situations[row]; !ok {
			t.Errorf("row %q of docs/echo.md is not tested", row)
		}
	}
}
