package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Guide says where to click, for the person who started the cloud.
func (c *Cloud) Guide(ctx context.Context) string {
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
	line("     tenant           %s", Domain)
	line("     application id   %s", ClientID)
	line("     client secret    %s", c.clientSecret)
	line("     push address     %s", c.PushURL)
	line("     both consents    sign in as %s", c.Accounts[0].UPN)
	line("  2. UCServer   %s/connect   takes the push secret and the credential that the console shows", c.UCServerPage)
	line("                %s/          shows what ProCall knows", c.UCServerPage)
	line("  3. Teams      %s/   change somebody's presence", c.TeamsPage)
	line("  4. Entra      %s/   grant and revoke as in the portal, disable accounts", c.EntraPages)
	line("")
	return b.String()
}
