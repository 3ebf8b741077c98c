metadata description = 'A virtual network of the app\'s own: one subnet that the app lives in, one for private endpoints, and if wanted one fixed address to the outside.'

@description('Ends the names.')
param suffix string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Addresses, at least a /25: the app\'s subnet takes the first /26, the endpoints the second.')
param addressPrefix string

@description('What the app\'s subnet is handed over to: Microsoft.App/environments for Flex Consumption, Microsoft.Web/serverFarms for Premium.')
param delegation 'Microsoft.App/environments' | 'Microsoft.Web/serverFarms'

@description('Whether everything that the app sends comes from one address, which a firewall before UCServer can admit. Costs a NAT gateway.')
param fixedAddress bool

resource address 'Microsoft.Network/publicIPAddresses@2025-05-01' = if (fixedAddress) {
  name: 'pip-${suffix}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

resource gateway 'Microsoft.Network/natGateways@2025-05-01' = if (fixedAddress) {
  name: 'ng-${suffix}'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIpAddresses: [{ id: address.id }] }
}

// Subnets stand inside: as resources of their own they would race each other.
resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: 'vnet-${suffix}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          delegations: [{ name: 'app', properties: { serviceName: delegation } }]
          natGateway: fixedAddress ? { id: gateway.id } : null
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 1)
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }

  resource app 'subnets' existing = { name: 'app' }
  resource endpoints 'subnets' existing = { name: 'endpoints' }
}

@description('Resource id of the network.')
output id string = network.id

@description('Resource id of the app\'s subnet.')
output appSubnetId string = network::app.id

@description('Resource id of the subnet for private endpoints.')
output endpointSubnetId string = network::endpoints.id

@description('The fixed address, empty without one.')
output address string = fixedAddress ? address!.properties.ipAddress! : ''
