// The least money: nothing runs while nothing happens. After a quiet time a change may
// reach UCServer, and a call may reach Teams, two minutes late.
using '../main.bicep'

param alwaysReady = []
param alertEmails = filter(split(readEnvironmentVariable('BRIDGE_ALERT_EMAILS', ''), ','), address => !empty(address))
