metadata description = 'The storage account: feed, directory, queues, the host\'s own blobs and the package. Keys are switched off, so that an identity with a role is the only way in.'

@export()
@description('Somebody who uploads packages.')
type publisher = {
  @description('Object id.')
  principalId: string
  @description('What it is.')
  principalType: 'User' | 'Group' | 'ServicePrincipal'
}

@description('Globally unique; lower-case letters and digits.')
@minLength(3)
@maxLength(24)
param name string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Copies: LRS in one building, ZRS in three zones of the region.')
param redundancy 'LRS' | 'ZRS'

@description('Whether addresses outside the virtual network are admitted. Where they are, they need the identity\'s token all the same.')
param publicAccess bool

@description('Containers, for blobs.')
param containers string[]

@description('Container that the package lies in.')
param packageContainer string

@description('People and pipelines that put packages there themselves, which Elastic Premium needs.')
param publishers publisher[]

@description('Queues. Each one gets its poison queue, so that it can be seen before a message is in it.')
param queues string[]

@description('Tables.')
param tables string[]

@description('Resource id of the identity; names its role assignments.')
param identityId string

@description('Object id of the identity, which reads and writes all data.')
param principalId string

@description('Whether the workspace is told who read, wrote and deleted.')
param audit bool

@description('Resource id of the workspace.')
param workspaceId string

// The host needs Owner on blobs for its locks; nothing here administers the account.
var roles = {
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

var audited = [
  { category: 'StorageRead', enabled: true }
  { category: 'StorageWrite', enabled: true }
  { category: 'StorageDelete', enabled: true }
]

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_${redundancy}' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    // What the bridge forgets is gone: no copies that nobody asked for.
    deleteRetentionPolicy: { enabled: false }
    containerDeleteRetentionPolicy: { enabled: false }
    isVersioningEnabled: false
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [
  for name in containers: {
    parent: blobs
    name: name
    properties: { publicAccess: 'None' }
  }
]

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: packageContainer
  properties: { publicAccess: 'None' }
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = [
  for name in queues: {
    parent: queueService
    name: name
  }
]

resource poisonQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = [
  for name in queues: {
    parent: queueService
    name: '${name}-poison'
  }
]

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' = [
  for name in tables: {
    parent: tableService
    name: name
  }
]

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(roles): {
    name: guid(account.id, identityId, role.value)
    scope: account
    properties: {
      description: role.key
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
      principalId: principalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource publishing 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for publisher in publishers: {
    name: guid(packages.id, publisher.principalId, blobDataContributor)
    scope: packages
    properties: {
      description: 'Storage Blob Data Contributor'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataContributor)
      principalId: publisher.principalId
      principalType: publisher.principalType
    }
  }
]

resource blobAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (audit) {
  name: 'audit'
  scope: blobs
  properties: { workspaceId: workspaceId, logs: audited }
}

resource queueAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (audit) {
  name: 'audit'
  scope: queueService
  properties: { workspaceId: workspaceId, logs: audited }
}

resource tableAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (audit) {
  name: 'audit'
  scope: tableService
  properties: { workspaceId: workspaceId, logs: audited }
}

@description('Resource id.')
output id string = account.id

@description('Address of the container that the package lies in.')
output packageContainerUrl string = '${account.properties.primaryEndpoints.blob}${packages.name}'

@description('Addresses of the services, each with a slash at its end.')
output endpoints { blob: string, queue: string, table: string } = {
  blob: account.properties.primaryEndpoints.blob
  queue: account.properties.primaryEndpoints.queue
  table: account.properties.primaryEndpoints.table
}
