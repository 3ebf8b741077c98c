// Elastic Premium instead of Flex Consumption: one instance that always runs serves
// everything. Packages are uploaded as a blob.
using '../main.bicep'

param plan = 'premium'
param alertEmails = filter(split(readEnvironmentVariable('BRIDGE_ALERT_EMAILS', ''), ','), address => !empty(address))
