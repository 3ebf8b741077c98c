package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Guide says where to click, for the person who started the cloud; prepared says
// that only the consents are left to do.
func (c *Cloud) Guide(ctx context.Context, prepared bool) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	code, err := c.SetupCode(ctx)
	if err != nil {
		code = "(not there yet: " + err.Error() + ")"
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("")
	line("The bridge runs, with everything around it. Nothing of this is real, and it is gone after Ctrl+C.")
	line("")
	line("  1. Console    %s/api/console", c.URL)
	line("     set-up code      %s", code)
	line("                      (secret setup-code in the simulated Key Vault; in Azure you read it there)")
	if prepared {
		line("     Give both consents there; sign in as %s.", c.Accounts[0].UPN)
		line("     Everything else is set up already (make run ARGS=-fresh leaves that to you).")
	} else {
		line("     tenant           %s", Domain)
		line("     application id   %s", ClientID)
		line("     credential       the managed identity: nothing to enter (a client secret works too: %s)", c.ClientSecret)
		line("     push address     %s", c.PushURL)
		line("     both consents    sign in as %s", c.Accounts[0].UPN)
		line("                %s/connect   takes the push secret and the credential that the console shows", c.UCServerPage)
	}
	line("  2. Teams      %s/   change somebody's presence", c.TeamsPage)
	line("  3. UCServer   %s/   shows what ProCall knows; start and end calls there", c.UCServerPage)
	line("                %s/users   its users, and what the bridge says of each", c.UCServerPage)
	line("  4. Entra      %s/   play what goes wrong in real tenants: consent withdrawn, a password reset,", c.EntraPages)
	line("                a policy, an expired secret, an outage; each with an undo. Then look at the console.")
	line("")
	return b.String()
}
