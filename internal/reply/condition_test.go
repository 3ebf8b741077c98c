package reply_test

import (
	"testing"

	"procallteams/internal/reply"
)

func TestConditionsAreJudgedByTheTagInForce(t *testing.T) {
	for _, row := range []struct {
		name, ifMatch, ifNoneMatch, tag string
		want                            bool
	}{
		{"no condition, nothing there", "", "", "", true},
		{"no condition, something there", "", "", `"a"`, true},
		{"the version that was read", `"a"`, "", `"a"`, true},
		{"the version that was read, made weak on the way", `W/"a"`, "", `"a"`, true},
		{"one of several", `"b", "a"`, "", `"a"`, true},
		{"another version", `"b"`, "", `"a"`, false},
		{"any version, something there", "*", "", `"a"`, true},
		{"any version, nothing there", "*", "", "", false},
		{"only if nothing is there", "", "*", "", true},
		{"only if nothing is there, but it is", "", "*", `"a"`, false},
	} {
		if got := reply.Holds(row.ifMatch, row.ifNoneMatch, row.tag); got != row.want {
			t.Errorf("%s: %t; want %t", row.name, got, row.want)
		}
	}
	if tag := reply.TagOf("tenant/users/abc"); tag != `"abc"` || reply.TagOf("") != "" {
		t.Errorf("TagOf = %s", tag)
	}
}
