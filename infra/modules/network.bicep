metadata description = 'A virtual network of the app\'s own: one subnet that the app lives in, one for private endpoints, and if wanted one fixed address to the outside.'

@description('A network that is made for the app.')
type newNetwork = {
  kind: 'new'
  @description('Addresses, at least a /25.')
  addressPrefix: string
  @description('Whether storage and vault are to be reached from inside only.')
  privateEndpoints: bool
  @description('Whether everything the app sends comes from one address. Costs a NAT gateway.')
  fixedAddress: bool
}

@description('A network that is there already.')
type existingNetwork = {
  kind: 'existing'
  @description('Resource id of a subnet of at least /27 that nothing else uses, delegated to Microsoft.App/environments (Flex Consumption) or Microsoft.Web/serverFarms (Premium).')
  appSubnetId: string
  @description('Private endpoints for storage and vault. Left out: there are none, and both stay reachable from outside.')
  endpoints: {
    @description('Resource id of the subnet that they stand in.')
    subnetId: string
    @description('Resource id of the network that private DNS zones are made for. Left out: names are yours to provide, for example by Azure Policy.')
    dnsNetworkId: string?
  }?
}

@description('No network: the app reaches everything over public addresses, always with a token.')
type noNetwork = { kind: 'none' }

@export()
@discriminator('kind')
@description('Where the app lives.')
type networkOptions = noNetwork | newNetwork | existingNetwork

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
