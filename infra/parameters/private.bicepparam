// As standard, and storage, vault and the log are reached from inside a network only (the
// log can be read from outside). What the app sends comes from one address, and who touches
// storage is written down.
using '../main.bicep'

param network = {
  kind: 'new'
  addressPrefix: '10.80.0.0/24'
  privateEndpoints: true
  fixedAddress: true
}
param logIngestion = 'private'
param storageAudit = true
param alertEmails = filter(split(readEnvironmentVariable('BRIDGE_ALERT_EMAILS', ''), ','), address => !empty(address))
