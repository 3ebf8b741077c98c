package calls_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"procallteams/internal/calls"
)

// A reporter that keeps to the contract, a bridge that ends at any write, and
// requests that come late: in the end the bridge knows what is true.
func TestWhateverHappensTheBridgeEndsWithTheTruth(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { play(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

// request is what the reporter sent.
type request struct {
	epoch, asOf int64
	complete    bool
	entries     []calls.Entry
}

func play(t *testing.T, dice *rand.Rand) {
	w := newWorld(t)
	w.people(staff(8)...)
	epoch, seq, said := int64(0), int64(0), map[string]int64{} // on the phone, and since which seq
	var sent []request
	list := func() request {
		r := request{epoch: epoch, asOf: seq, complete: true}
		for name, since := range said {
			r.entries = append(r.entries, call(name, since))
		}
		return r
	}
	try := func(r request, fault func(int, bool) error) error {
		l := w.process(w.st, fault)
		if r.complete {
			_, err := l.Complete(t.Context(), w.tenant, "pbx", r.epoch, r.asOf, r.entries)
			return err
		}
		_, err := l.Report(t.Context(), w.tenant, "pbx", r.epoch, r.entries)
		return err
	}
	// deliver repeats a request until it is answered; a refusal asks for the list.
	deliver := func(r request) {
		sent = append(sent, r)
		for range 20 {
			var fault func(int, bool) error
			if dice.IntN(4) == 0 {
				fault = cutAt(1+dice.IntN(2), dice.IntN(2) == 0)
			}
			err := try(r, fault)
			if err == nil {
				return
			}
			if !errors.Is(err, errCut) {
				r = list()
			}
		}
		t.Fatal("20 tries were not enough")
	}
	deliver(list())
	for range 60 {
		name := fmt.Sprintf("x%04d", dice.IntN(8))
		switch n := dice.IntN(12); {
		case n < 7:
			seq++
			entry := call(name, seq)
			if _, on := said[name]; on {
				delete(said, name)
				entry = free(name, seq)
			} else {
				said[name] = seq
			}
			deliver(request{epoch: epoch, entries: []calls.Entry{entry}})
		case n == 7: // a restart of UCServer
			epoch, seq = epoch+1, 0
			for name := range said {
				seq++
				said[name] = seq
			}
			deliver(list())
		case n == 8:
			deliver(list())
		case n == 9: // something old comes late, or once more
			_ = try(sent[dice.IntN(len(sent))], nil)
		case n == 10:
			w.later(time.Duration(dice.IntN(4)) * time.Minute)
			_ = w.process(w.st, cutAt(1+dice.IntN(4), dice.IntN(2) == 0)).Sweep(t.Context(), w.tenant)
		default:
			w.later(time.Minute)
			w.sweep(w.ledger())
		}
	}
	deliver(request{epoch: epoch})
	var names []string
	for name := range said {
		names = append(names, name)
	}
	w.wantOnThePhone(names...)
}
