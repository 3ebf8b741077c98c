package consent

import (
	"procallteams/internal/settings"
)

// Obstacle is something that Microsoft's own page says and that never comes back
// to the bridge.
type Obstacle struct {
	Codes string // as Microsoft shows them
	// Means says what it is, Do what to do.
	Means, Do string
}

// Obstacles are the pages of Microsoft on which a consent ends most often, for an
// app registration of that kind.
func Obstacles(r settings.Registration) []Obstacle {
	redirect := Obstacle{"AADSTS50011, AADSTS900971", "The redirect URI is not registered.", "Whoever manages the app registration registers exactly the addresses that the console shows, under the platform “Web”."}
	permissions := Obstacle{"AADSTS650056, AADSTS650057", "The app registration does not list the permissions.", "Whoever manages the app registration adds those that the console names; then start again."}
	unknown := Obstacle{"AADSTS700016", "The app is not known in this tenant.", "Compare client id and tenant on the console."}
	if r == settings.SharedRegistration {
		redirect.Do = "Tell whoever hosts the bridge: the app registration is theirs."
		permissions.Do = redirect.Do
		unknown.Do = "Give the admin consent first: it makes the app known here. Then compare client id and tenant with those that whoever hosts the bridge has named."
	}
	return []Obstacle{
		{"AADSTS90094, AADSTS90093", "“Need admin approval”: people may not consent for themselves in this tenant.", "Give the admin consent first, as an administrator. Then the person's sign-in passes without a question."},
		{"AADSTS90095", "“Approval required”: a request goes to the administrators.", "One of them approves it in the Entra admin center under Enterprise applications, Admin consent requests. Then start again; nothing comes back here by itself."},
		{"AADSTS900941, AADSTS900981", "Microsoft finds the app risky, for example because its publisher is not verified.", "Give the admin consent first, as an administrator."},
		{"AADSTS50105", "The account is not assigned to the app.", "Assign it under Enterprise applications, the app, Users and groups; or set “Assignment required” to No."},
		redirect, permissions,
		{"AADSTS50020, AADSTS50034", "The account belongs to another tenant.", "Sign out there, or open a private window, and choose an account of this tenant."},
		unknown,
		{"AADSTS53003, AADSTS53000", "Conditional Access blocks the sign-in.", "Exclude the account from the policy, or meet what it asks for."},
	}
}
