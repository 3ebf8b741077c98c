metadata description = 'The Key Vault: refresh tokens, the push secret and the set-up code, all written by the bridge itself.'

@description('Globally unique, and the same for the life of the deployment: the tokens live here.')
@minLength(3)
@maxLength(24)
param name string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Whether addresses outside the virtual network are admitted. Where they are, they need a token and a role all the same.')
param publicAccess bool

@description('Takes back a vault of this name that was deleted, with its secrets. Without it a name stays taken for 90 days.')
param recover bool

@description('Resource id of the identity; names its role assignment.')
param identityId string

@description('Object id of the identity, which reads and writes secrets.')
param principalId string

@description('Workspace that is told who asked for which secret.')
param workspaceId string

var secretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    createMode: recover ? 'recover' : 'default'
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
    }
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identityId, secretsOfficer)
  scope: vault
  properties: {
    description: 'Key Vault Secrets Officer'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsOfficer)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'audit', enabled: true }]
  }
}

@description('Resource id.')
output id string = vault.id

@description('Address.')
output uri string = vault.properties.vaultUri
