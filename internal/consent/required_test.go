package consent

import (
	"strings"
	"testing"
)

func TestAConsentThatWasNeverGivenIsGivenAndNotRenewed(t *testing.T) {
	if text := required(Reading, nil).Error(); !strings.HasSuffix(text, "it was never given; open /api/consent/user to give it") {
		t.Errorf("never given: %s", text)
	}
	refused := []Grant{{Kind: User, State: Reauthorize, Reason: "the password was reset"}}
	if text := required(Reading, refused).Error(); !strings.HasSuffix(text, "open /api/consent/user to renew it") {
		t.Errorf("refused: %s", text)
	}
}
