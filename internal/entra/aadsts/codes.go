package aadsts

// code is what a number means. general marks one that only accompanies a more
// specific number ([70002,54005]).
type code struct {
	class       Class
	cause, step string
	general     bool
}

const (
	signIn  = "Sign in again."
	byHand  = "Nothing: the bridge tries again by itself."
	exclude = "Exclude the account from the policy, or allow the bridge's outbound address; a new sign-in alone does not help."
	defect  = "Report this code as a defect of the bridge."
	entries = "Compare tenant id and client id with the app registration."
)

// codes are the numbers whose meaning is known (Microsoft identity platform:
// authentication and authorization error codes, and captures of real answers).
var codes = func() map[int]code {
	m := map[int]code{}
	add := func(c code, numbers ...int) {
		for _, n := range numbers {
			m[n] = c
		}
	}
	ru := func(cause, step string, n ...int) { add(code{class: Reauthorize, cause: cause, step: step}, n...) }
	ac := func(cause, step string, n ...int) { add(code{class: AdminConsent, cause: cause, step: step}, n...) }
	cr := func(cause, step string, n ...int) { add(code{class: Credential, cause: cause, step: step}, n...) }
	tc := func(cause, step string, n ...int) { add(code{class: Tenant, cause: cause, step: step}, n...) }
	po := func(cause, step string, n ...int) { add(code{class: Policy, cause: cause, step: step}, n...) }
	tr := func(cause, step string, n ...int) { add(code{class: Transient, cause: cause, step: step}, n...) }
	bug := func(cause, step string, n ...int) { add(code{class: Defect, cause: cause, step: step}, n...) }

	ru("the account's sessions were revoked, or an administrator reset its password", signIn, 50173)
	ru("the sign-in was not used for 90 days, or has expired", signIn, 700082, 70008)
	ru("Entra does not accept the stored sign-in", "Sign in again, and check that the client id is unchanged.", 70000)
	ru("a sign-in frequency policy ended the sign-in", "Sign in again, and exempt the account from the policy.", 70043)
	ru("multi-factor authentication is needed, or too old", "Sign in again with multi-factor authentication.", 50076, 50074, 50078)
	ru("the account must register for multi-factor authentication", "Open https://aka.ms/mfasetup with this account, then sign in again.", 50079, 50072)
	ru("the session or the sign-in has expired", "Start again.", 50089, 50132, 50133, 50058)
	ru("the password has expired, or must be changed", "Change the account's password, then sign in again.", 50055, 50144, 50056, 50125, 50135)
	ru("the user name or the password was wrong", signIn, 50126)
	ru("the account is locked", "Wait, and look at Entra's sign-in log; then sign in again.", 50053)
	ru("the wrong account was chosen", "Sign out at Microsoft, then choose the right account.", 16000)
	ru("the consent is missing or was withdrawn", "Give consent again.", 65001)
	ru("the sign-in came back from another browser window than it began in", "Start again in one browser window.", 501481, 50147, 501491)
	ru("this sign-in was used already", "Start again.", 54005)

	ac("an administrator must consent in this tenant", "Let an administrator of the tenant open this consent.", 90094, 90093, 90008)
	ac("a request for approval was sent to the tenant's administrators", "Approve it in Entra: Enterprise applications, Admin consent requests; then start again.", 90095)
	ac("Entra finds the app risky for consent by users", "Let an administrator of the tenant open this consent.", 900941, 900981)

	cr("the client secret is wrong", "Store the secret's value, not its id, on the bridge's page.", 7000215, 50012)
	add(code{class: Credential, cause: "Entra does not accept the client secret", step: "Store the secret's value on the bridge's page.", general: true}, 70002)
	cr("the client secret has expired", "Create a new client secret and store its value on the bridge's page.", 7000222)
	cr("no credential arrived, or the app is registered as a public client", `Register the redirect URIs under the platform "Web".`, 7000218, 7000216)
	cr("the certificate was not accepted", "Upload the certificate to the app registration; check clock and client id.", 700027, 700030, 50048, 700024, 700021)
	cr("the federated credential does not match", "Compare issuer, subject and audience with the app registration, including upper and lower case.", 700211, 700212, 700213, 7002137, 7002138, 70021, 700229)
	cr("the assertion that stands for the app could not be verified", "Compare the app registration's credential with the bridge's.", 50013)
	cr("the assertion is out of its time range", "Check the clock.", 500133)

	tc("the redirect URI is registered for a single-page app, which limits sign-ins to 24 hours", `Register it under the platform "Web", then sign in again.`, 700084)
	tc("the account is disabled", "Enable the account: the bridge then goes on by itself. Or sign in with another account.", 50057)
	tc("the account does not exist in this tenant", "Restore the account, or sign in with another member account.", 50034, 500341, 51004, 50020, 16003, 50014, 90072)
	tc("the account is not assigned to the app", "Assign it to the enterprise application, or set assignment required to No.", 50105)
	tc("permissions are missing in the app registration", "Add the permissions that the bridge's page lists, then consent again.", 65005, 650056, 650057, 650053)
	tc("Microsoft Graph is not present in this tenant", "Check tenant id and cloud.", 650052, 650054, 500011)
	tc("the app is registered as a public client", `Set "Allow public client flows" to No.`, 700025)
	tc("the app was not found in this tenant", "Check client id and tenant id. A deleted app registration can be restored for 30 days.", 700016, 70001, 700011)
	tc("the enterprise application is missing in this tenant", "Create it again by admin consent, or in the portal.", 7000229)
	tc("the enterprise application is disabled", `Set "Enabled for users to sign in" to Yes.`, 7000112, 1000031)
	tc("the tenant does not exist", "Check the tenant id.", 90002, 900023, 50059, 50128)
	tc("the tenant lives in another Microsoft cloud", "Set AZURE_CLOUD to the tenant's cloud.", 90038, 900439, 900382, 900432)
	tc("the redirect URI is not registered", `Register exactly the address that the bridge's page shows, under the platform "Web".`, 50011, 70004, 900971, 500112)
	tc("the app belongs to one tenant and was called for any", entries, 50194)
	tc("the code belongs to another tenant", entries, 700005)
	tc("the resource is unknown in this cloud", "Check AZURE_CLOUD and the endpoints.", 50001, 50049, 51000)

	po("Conditional Access or security defaults stand against it", exclude, 53003, 530032, 530035)
	po("a policy wants a managed device, which a server is not", "Exclude the account from the policy.", 53000, 53001, 53002, 50097, 50129, 50155)
	po("a risk policy stands against it", "Let an administrator dismiss the risk.", 53004, 53011, 530034, 50131)
	po("a token protection policy stands against it", "Exclude the account from the policy: a web app cannot fulfil it.", 530084)
	po("tenant restrictions or cross-tenant settings stand against it", "Allow the app in these settings.", 500021, 500022, 50002, 500212, 500213)

	tr("Microsoft Entra is in trouble", byHand, 50033, 50087, 50088, 90006, 90012, 90024, 90033, 90090, 90091, 90055, 40010, 50000)
	tr("Entra saw the same request too often", byHand, 50196)
	add(code{class: Canceled, cause: "the consent was declined", step: "Start again when you are ready."}, 65004)

	bug("the response type is not enabled", defect, 700054, 70005)
	bug("the scope is not valid", defect, 70011, 28000, 28002, 28003, 700022, 700023, 1002012)
	bug("the request is malformed", defect, 9002313, 90014, 900144, 90023, 900561, 90100, 70003)
	return m
}()
