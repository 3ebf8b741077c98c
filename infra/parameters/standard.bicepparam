// Presence within seconds: what works for UCServer never sleeps. The template's own
// defaults, and what the button deploys.
using '../main.bicep'

param alertEmails = filter(split(readEnvironmentVariable('BRIDGE_ALERT_EMAILS', ''), ','), address => !empty(address))
