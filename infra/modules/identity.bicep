metadata description = 'The identity that the app is everywhere: storage, vault, monitoring, and at Entra in the place of a client secret.'

@description('Name, unique in the resource group.')
param name string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Object id of the service principal: roles are given to it, and it is the subject of the federated credential.')
output principalId string = identity.properties.principalId

@description('Client id: what code names to sign in.')
output clientId string = identity.properties.clientId

@description('Tenant that issues its tokens.')
output tenantId string = identity.properties.tenantId
