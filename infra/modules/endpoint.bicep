metadata description = 'One private endpoint: an address in the network for one service, and the name that leads to it.'

@description('Service. azuremonitor is that of a private link scope, which takes log lines.')
param service 'blob' | 'queue' | 'table' | 'vault' | 'azuremonitor'

@description('Ends the name.')
param suffix string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Resource id of the storage account, vault or private link scope.')
param targetId string

@description('Resource id of the subnet.')
param subnetId string

@description('Name of the private DNS zone.')
param zoneName string

@description('Whether a private DNS zone is made. If not, names are somebody else\'s to provide.')
param withZone bool

@description('Resource id of the network that is to see the zone.')
param networkId string?

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: 'pe-${service}-${suffix}'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      { name: service, properties: { privateLinkServiceId: targetId, groupIds: [service] } }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = if (withZone) {
  name: zoneName
  location: 'global'
  tags: tags
}

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = if (withZone) {
  parent: zone
  name: suffix
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: networkId }
  }
}

resource group 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = if (withZone) {
  parent: endpoint
  name: 'default'
  properties: { privateDnsZoneConfigs: [{ name: service, properties: { privateDnsZoneId: zone.id } }] }
  dependsOn: [link]
}
