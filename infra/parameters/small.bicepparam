// The least money: nothing runs while nothing happens. A change may reach UCServer, and
// a call may reach Teams, two minutes late after a quiet time.
using '../main.bicep'

param alertEmails = filter(split(readEnvironmentVariable('BRIDGE_ALERT_EMAILS', ''), ','), address => !empty(address))
