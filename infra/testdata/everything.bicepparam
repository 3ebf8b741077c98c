// Every option that the sets in parameters/ leave at its default.
using '../main.bicep'

param name = 'Procall-Bridge-Two'
param tags = { owner: 'telephony' }
param alwaysReady = [
  { name: 'function:upkeep', instanceCount: 2 }
  { name: 'function:directorysync', instanceCount: 2 }
]
param instanceMemoryMB = 2048
param maximumInstanceCount = 100
param httpConcurrency = 250
param zoneRedundant = true
param syncSchedule = '*/10 * * * * *'
param publicHostName = 'bridge.contoso.com'
param registration = {
  tenantId: '33333333-3333-3333-3333-333333333333'
  clientId: '44444444-4444-4444-4444-444444444444'
}
param ucserverPushUrl = 'https://ucserver.contoso.com/presence'
param proxy = {
  address: 'http://proxy.contoso.com:3128'
  bypass: '.contoso.com,10.0.0.0/8'
  certificates: loadTextContent('ca.pem')
}
param moreSettings = {
  'AzureFunctionsJobHost__logging__logLevel__Host.Results': 'Error'
  PRESENCE_SYNC_SCHEDULE: 'the parameter wins'
}
param network = {
  kind: 'existing'
  appSubnetId: '/subscriptions/55555555-5555-5555-5555-555555555555/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/spoke/subnets/bridge'
  endpoints: {
    subnetId: '/subscriptions/55555555-5555-5555-5555-555555555555/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/spoke/subnets/endpoints'
  }
}
param allowedAddresses = ['203.0.113.0/24', '198.51.100.7/32']
param alertEmails = ['operations@example.com']
param actionGroupIds = [
  '/subscriptions/55555555-5555-5555-5555-555555555555/resourceGroups/hub/providers/Microsoft.Insights/actionGroups/oncall'
]
param runbookUrl = 'https://example.com/operations.md'
param logIngestion = 'joined'
param logRetentionDays = 90
param logDailyQuotaGb = 5
param storageAudit = true
param recoverVault = true
param publishers = [{ principalId: '66666666-6666-6666-6666-666666666666', principalType: 'Group' }]
