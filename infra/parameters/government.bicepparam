// GCC High, in Azure Government, where Flex Consumption is not to be had: the plan is
// premium by itself. For DoD write usgovdod.
using '../main.bicep'

param cloud = 'usgov'
param alertEmails = filter(split(readEnvironmentVariable('BRIDGE_ALERT_EMAILS', ''), ','), address => !empty(address))
