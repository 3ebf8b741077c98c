package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheDocumentIsWhatTheContractSays(t *testing.T) {
	want, err := generate("../../..")
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../../../docs/ucserver-api.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), want); diff != "" {
		t.Errorf("docs/ucserver-api.md is not what the contract says; run make generate (-committed +generated):\n%s", diff)
	}
	for _, line := range []string{
		"### GET /api/v1/presence/changes\n", "### PUT /api/v1/telephony\n", "### PATCH /api/v1/directory\n", "### TelephonyItem\n", "```powershell\n",
		"| `cursor` | query | string, at most 512 characters | **Required.** From the last answer. Opaque. |\n",
	} {
		if !strings.Contains(want, line) {
			t.Errorf("the document lacks %q", line)
		}
	}
	if strings.Contains(want, "/api/integration") {
		t.Error("the document shows what only administrators may call")
	}
}
