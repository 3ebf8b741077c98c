metadata description = 'The function app and its plan: Flex Consumption, or Elastic Premium where Flex is not to be had.'

@export()
@description('A group of functions that always has running instances. HTTP functions share theirs, every timer and queue function has its own.')
type alwaysReadyGroup = {
  @description('http, or one function.')
  name:
    | 'http'
    | 'function:presencesync'
    | 'function:presencepush'
    | 'function:presenceset'
    | 'function:upkeep'
    | 'function:directorysync'
  @description('Instances, billed around the clock.')
  @minValue(1)
  instanceCount: int
}

@export()
@description('What Flex Consumption is told. Elastic Premium ignores it.')
type flexOptions = {
  @description('Memory of one instance in MB; processor time grows with it: a quarter of a core, one, two.')
  instanceMemoryMB: 512 | 2048 | 4096
  @description('Most instances on demand, for each group of functions.')
  @minValue(40)
  @maxValue(1000)
  maximumInstanceCount: int
  @description('Groups that never sleep.')
  alwaysReady: alwaysReadyGroup[]
  @description('Requests that one instance serves at once. A long poll takes one for 25 seconds and costs next to nothing, so it is high.')
  @minValue(1)
  @maxValue(1000)
  httpConcurrency: int
}

@export()
@description('What Elastic Premium is told. Flex Consumption ignores it.')
type premiumOptions = {
  @description('Size of an instance: one core, two, four.')
  sku: 'EP1' | 'EP2' | 'EP3'
  @description('Instances that always run.')
  @minValue(1)
  @maxValue(20)
  minimumInstances: int
  @description('Most instances.')
  @minValue(1)
  @maxValue(100)
  maximumInstances: int
}

@description('Name of the app, which is also its host name.')
@minLength(2)
@maxLength(32)
param name string

@description('Ends the name of the plan.')
param suffix string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Hosting plan.')
param plan 'flex' | 'premium'

@description('Flex Consumption.')
param flex flexOptions

@description('Elastic Premium.')
param premium premiumOptions

@description('Whether instances stand in more than one zone of the region.')
param zoneRedundant bool

@description('Resource id of the identity that the app wears.')
param identityId string

@description('Address of the container where the package lies.')
param packageContainerUrl string

@description('App settings of the bridge. What the plan itself needs is added here.')
param settings object

@description('Resource id of the subnet that the app lives in. Null: in none.')
param subnetId string?

@description('Addresses (CIDR) that may call the app. Empty: all.')
param allowedAddresses string[]

var isFlex = plan == 'flex'
// In several zones each app has two; where there is only one instance it stands in one zone.
var premiumInstances = zoneRedundant ? max(2, premium.minimumInstances) : premium.minimumInstances

// On Flex Consumption the platform sets these itself, and refuses or ignores ours.
var premiumSettings = {
  FUNCTIONS_EXTENSION_VERSION: '~4'
  FUNCTIONS_WORKER_RUNTIME: 'custom'
  // Azure Files knows no identity, so the app runs from a blob instead of a share.
  WEBSITE_RUN_FROM_PACKAGE: '${packageContainerUrl}/bridge.zip'
  WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID: identityId
}

var common = {
  minTlsVersion: '1.2'
  appSettings: map(items(union(settings, isFlex ? {} : premiumSettings)), s => { name: s.key, value: s.value })
  ipSecurityRestrictionsDefaultAction: empty(allowedAddresses) ? 'Allow' : 'Deny'
  ipSecurityRestrictions: map(range(0, length(allowedAddresses)), i => {
    name: 'allowed-${i}'
    action: 'Allow'
    priority: 100 + i
    ipAddress: allowedAddresses[i]
  })
  scmIpSecurityRestrictionsUseMain: false // publishing has its own door
}

resource hosting 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${suffix}'
  location: location
  tags: tags
  kind: isFlex ? 'functionapp' : 'elastic'
  sku: isFlex
    ? { name: 'FC1', tier: 'FlexConsumption' }
    : { name: premium.sku, tier: 'ElasticPremium', capacity: premiumInstances }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
    maximumElasticWorkerCount: isFlex ? null : premium.maximumInstances
  }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: hosting.id
    reserved: isFlex ? null : true
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: subnetId
    functionAppConfig: isFlex
      ? {
          runtime: { name: 'custom', version: '1.0' }
          deployment: {
            storage: {
              type: 'blobContainer'
              value: packageContainerUrl
              authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
            }
          }
          scaleAndConcurrency: {
            instanceMemoryMB: flex.instanceMemoryMB
            maximumInstanceCount: flex.maximumInstanceCount
            alwaysReady: flex.alwaysReady
            triggers: { http: { perInstanceConcurrency: flex.httpConcurrency } }
          }
        }
      : null
    siteConfig: union(
      common,
      isFlex
        ? {} // it refuses most others, also with their default values
        : {
            linuxFxVersion: ''
            ftpsState: 'Disabled'
            minimumElasticInstanceCount: premiumInstances
            preWarmedInstanceCount: 1
            vnetRouteAllEnabled: subnetId != null
            functionsRuntimeScaleMonitoringEnabled: subnetId != null
          }
    )
  }

  // Passwords for publishing: Flex Consumption has none.
  resource ftp 'basicPublishingCredentialsPolicies' = if (!isFlex) {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = if (!isFlex) {
    name: 'scm'
    properties: { allow: false }
  }
}
