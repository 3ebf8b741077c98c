package bicep_test

import (
	"os"
	"strings"
	"testing"

	"procallteams/internal/bicep"
)

func TestMakeInstallsTheVersionThatReleasesNeed(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\nBICEP_VERSION = "+bicep.Version+"\n") {
		t.Errorf("the Makefile installs another version than %s", bicep.Version)
	}
}
