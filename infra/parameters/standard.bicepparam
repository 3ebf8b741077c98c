// Presence within seconds: what works for UCServer never sleeps.
using '../main.bicep'

param alwaysReady = [
  { name: 'http', instanceCount: 1 }
  { name: 'function:presencesync', instanceCount: 1 }
  { name: 'function:presencepush', instanceCount: 1 }
  { name: 'function:presenceset', instanceCount: 1 }
]
param alertEmails = filter(split(readEnvironmentVariable('BRIDGE_ALERT_EMAILS', ''), ','), address => !empty(address))
