metadata name = 'ProCall Teams Bridge'
metadata description = 'Everything that the bridge needs in Azure, in one resource group: docs in infra/README.md. It holds no secret, and takes and gives none.'

import { alwaysReadyGroup, premiumOptions } from 'modules/app.bicep'
import { cloudOf, planOf, refusal } from 'modules/cloud.bicep'
import { networkOptions } from 'modules/network.bicep'
import { publisher } from 'modules/storage.bicep'

@description('The app registration, once it is known. With it administrators sign in with Entra from the first minute on.')
type registrationOptions = {
  @description('Tenant whose people are read and written.')
  @minLength(36)
  @maxLength(36)
  tenantId: string
  @description('Application (client) id.')
  @minLength(36)
  @maxLength(36)
  clientId: string
}

@description('A proxy between the app and the outside.')
type proxyOptions = {
  @description('Address, such as http://proxy.contoso.com:3128. Never with a password: that lies in the vault as proxy-password.')
  address: string
  @description('Hosts, .suffixes and ranges that are reached without it, separated by commas. With private endpoints name .core.windows.net and .vault.azure.net (of your cloud) among them.')
  bypass: string?
  @description('Certificates (PEM) that a proxy signs with which looks into TLS. They are public.')
  certificates: string?
}

@description('Begins every name that people see. Lower-case letters, digits and hyphens, a letter first.')
@minLength(2)
@maxLength(18)
param name string = 'procall'

@description('Azure region.')
param location string = resourceGroup().location

@description('Tags for everything.')
param tags object = {}

@description('Microsoft cloud of the tenant: usgov is GCC High, usgovdod DoD. auto: the one that this Azure belongs to, which in Azure Government is usgov.')
param cloud 'auto' | 'public' | 'usgov' | 'usgovdod' = 'auto'

@description('Hosting plan: Flex Consumption or Elastic Premium. auto: flex, and premium in the government clouds, where Flex Consumption is not to be had.')
param plan 'auto' | 'flex' | 'premium' = 'auto'

@description('Groups of functions that never sleep (Flex Consumption). Without them a quiet queue function may take two minutes to wake, and a call is seen that much later.')
param alwaysReady alwaysReadyGroup[] = [
  { name: 'http', instanceCount: 1 }
  { name: 'function:presencesync', instanceCount: 1 }
  { name: 'function:presencepush', instanceCount: 1 }
  { name: 'function:presenceset', instanceCount: 1 }
]

@description('Memory of one instance in MB (Flex Consumption): 512 is enough for ten thousand users, 2048 for a hundred thousand.')
param instanceMemoryMB 512 | 2048 | 4096 = 512

@description('Most instances on demand, for each group of functions (Flex Consumption).')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Requests that one instance serves at once (Flex Consumption). Long polls hold one each.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 100

@description('Instances of the premium plan.')
param premium premiumOptions = { sku: 'EP1', minimumInstances: 1, maximumInstances: 3 }

@description('Whether app and data stand in several zones of the region. On Flex Consumption every always-ready group then needs two instances; on premium there are at least two, and some regions make it three.')
param zoneRedundant bool = false

@description('When presences are read: NCRONTAB with seconds.')
@minLength(8)
param syncSchedule string = '*/5 * * * * *'

@description('Host name that browsers and UCServer use, if it is not the app\'s own. Its certificate and DNS are yours.')
param publicHostName string?

@description('App registration. Left out: it is entered on the console.')
param registration registrationOptions?

@description('Address that presences are pushed to. Left out: it is entered on the console, or UCServer polls.')
param ucserverPushUrl string?

@description('Proxy. Left out: there is none.')
param proxy proxyOptions?

@description('App settings of your own, by name: a deployment takes away those that were only set by hand. The template\'s own win. Never a secret, but a reference to Key Vault.')
param moreSettings { *: string } = {}

@description('Network.')
param network networkOptions = { kind: 'none' }

@description('Which way log lines are taken. public: from anywhere, with the identity\'s token. private: by a private endpoint of a private link scope that is made here; only for a network that has none yet. joined: by a private link scope of yours alone, which you add the output logs to. They can be read from anywhere in each case.')
param logIngestion 'public' | 'private' | 'joined' = 'public'

@description('Addresses (CIDR) that may call the app: administrators\' browsers and UCServer. Empty: all, and the bridge itself asks who calls.')
param allowedAddresses string[] = []

@description('Who gets e-mail when something is wrong. Empty: alerts stand in the portal only.')
param alertEmails string[] = []

@description('Action groups of yours that alerts go to as well: resource ids.')
param actionGroupIds string[] = []

@description('Address of docs/operations.md that alerts link to.')
param runbookUrl string = 'docs/operations.md'

@description('Days that log lines are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Most log lines of a day, in GB. Beyond it alerts are blind until the next day.')
@minValue(1)
param logDailyQuotaGb int = 1

@description('Whether the workspace is told of every read and write of storage: thousands an hour.')
param storageAudit bool = false

@description('Takes back a deleted vault of the same name, with its secrets: after the resource group was deleted and is made again. Once: with a vault that is there a deployment fails.')
param recoverVault bool = false

@description('People and pipelines that upload packages themselves, which premium needs.')
param publishers publisher[] = []

// Each is the same again when the template is deployed again to this group, and another
// one for another bridge in it, however alike their names begin.
var token = uniqueString(resourceGroup().id, toLower(name))
var suffix = '${toLower(name)}-${token}'
// Known before anything is deployed, so that what-if knows it too.
var identityName = 'id-${suffix}'
var identityId = resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', identityName)
var letters = replace(toLower(name), '-', '')
var storageName = 'st${take(letters, 9)}${token}'
var vaultName = 'kv-${take(letters, 7)}-${token}'
var allTags = union({ application: 'procall-teams-bridge' }, tags)

// What differs between clouds and is not in environment().
var clouds = {
  public: {
    sites: 'azurewebsites.net'
    vaultZone: 'privatelink.vaultcore.azure.net'
    monitorZone: 'privatelink.monitor.azure.com'
    audience: 'api://AzureADTokenExchange'
  }
  usgov: {
    sites: 'azurewebsites.us'
    vaultZone: 'privatelink.vaultcore.usgovcloudapi.net'
    monitorZone: 'privatelink.monitor.azure.us'
    audience: 'api://AzureADTokenExchangeUSGov'
  }
  usgovdod: {
    sites: 'azurewebsites.us'
    vaultZone: 'privatelink.vaultcore.usgovcloudapi.net'
    monitorZone: 'privatelink.monitor.azure.us'
    audience: 'api://AzureADTokenExchangeUSGov'
  }
}
var tenantCloud = cloudOf(environment().name, cloud)
var here = clouds[tenantCloud]
var hosting = planOf(tenantCloud, plan)

var appName = suffix
var hostName = '${appName}.${here.sites}'
var publicUrl = 'https://${publicHostName ?? hostName}'

// The app's own network, and where private endpoints go.
var ownNetwork = network.kind == 'new'
var isPrivate = network.kind == 'new'
  ? network.privateEndpoints
  : network.kind == 'existing' ? network.?endpoints != null : false
var subnets = network.kind == 'existing'
  ? { app: network.appSubnetId, endpoints: network.?endpoints.?subnetId, dnsNetwork: network.?endpoints.?dnsNetworkId }
  : { app: null, endpoints: null, dnsNetwork: null }

// Before anything is made: the identity waits for nothing, and its place is known when the
// deployment is looked at.
var fault = refusal(environment().name, tenantCloud, hosting, logIngestion, ownNetwork || subnets.endpoints != null)
var firstLocation = empty(fault) ? location : fail(fault)

var containers = ['bridge']
var packageContainer = 'package'
var queues = ['presence-push', 'presence-set']
var tables = ['bridge']

module identity 'modules/identity.bicep' = {
  params: { name: identityName, location: firstLocation, tags: allTags }
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    suffix: suffix
    location: location
    tags: allTags
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
    publicIngestion: logIngestion == 'public'
    identityId: identityId
    principalId: identity.outputs.principalId
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    name: storageName
    location: location
    tags: allTags
    redundancy: zoneRedundant ? 'ZRS' : 'LRS'
    publicAccess: !isPrivate
    containers: containers
    packageContainer: packageContainer
    publishers: publishers
    queues: queues
    tables: tables
    identityId: identityId
    principalId: identity.outputs.principalId
    audit: storageAudit
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  params: {
    name: vaultName
    location: location
    tags: allTags
    publicAccess: !isPrivate
    recover: recoverVault
    identityId: identityId
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vnet 'modules/network.bicep' = if (network.kind == 'new') {
  params: {
    suffix: suffix
    location: location
    tags: allTags
    addressPrefix: network.?addressPrefix ?? ''
    delegation: hosting == 'flex' ? 'Microsoft.App/environments' : 'Microsoft.Web/serverFarms'
    fixedAddress: network.?fixedAddress ?? false
  }
}

module scope 'modules/scope.bicep' = if (logIngestion == 'private') {
  params: {
    suffix: suffix
    tags: allTags
    insightsId: monitoring.outputs.insightsId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module endpoints 'modules/endpoint.bicep' = [
  for service in concat(
    isPrivate ? ['blob', 'queue', 'table', 'vault'] : [],
    logIngestion == 'private' ? ['azuremonitor'] : []
  ): {
    params: {
      service: service
      suffix: suffix
      location: location
      tags: allTags
      targetId: service == 'vault'
        ? vault.outputs.id
        : service == 'azuremonitor' ? scope!.outputs.id : storage.outputs.id
      subnetId: ownNetwork ? vnet!.outputs.endpointSubnetId : subnets.endpoints
      zoneName: service == 'vault'
        ? here.vaultZone
        : service == 'azuremonitor' ? here.monitorZone : 'privatelink.${service}.${environment().suffixes.storage}'
      withZone: ownNetwork || subnets.dnsNetwork != null
      networkId: ownNetwork ? vnet!.outputs.id : subnets.dnsNetwork
    }
  }
]

// The documented form, and the only one that the GitHub deployment action knows; it
// stands for addresses in the public cloud.
var storageByName = { AzureWebJobsStorage__accountName: storageName }
var storageByAddress = {
  AzureWebJobsStorage__blobServiceUri: storage.outputs.endpoints.blob
  AzureWebJobsStorage__queueServiceUri: storage.outputs.endpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.outputs.endpoints.table
}
// Only what is given: an empty setting would win over the console.
var given = union(
  registration == null ? {} : { TEAMS_TENANT_ID: registration!.tenantId, TEAMS_CLIENT_ID: registration!.clientId },
  ucserverPushUrl == null ? {} : { UCSERVER_PUSH_URL: ucserverPushUrl! },
  proxy == null ? {} : { OUTBOUND_PROXY: proxy!.address },
  proxy.?bypass == null ? {} : { OUTBOUND_PROXY_BYPASS: proxy!.bypass! },
  proxy.?certificates == null ? {} : { OUTBOUND_CA: proxy!.certificates! }
)

module app 'modules/app.bicep' = {
  params: {
    name: appName
    suffix: suffix
    location: location
    tags: allTags
    plan: hosting
    flex: {
      instanceMemoryMB: instanceMemoryMB
      maximumInstanceCount: maximumInstanceCount
      alwaysReady: alwaysReady
      httpConcurrency: httpConcurrency
    }
    premium: premium
    zoneRedundant: zoneRedundant
    identityId: identityId
    packageContainerUrl: storage.outputs.packageContainerUrl
    settings: union(
      moreSettings,
      {
        APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
        APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
        AZURE_CLOUD: tenantCloud
        AzureWebJobsDisableHomepage: 'true' // decision 0011
        AzureWebJobsStorage__clientId: identity.outputs.clientId
        AzureWebJobsStorage__credential: 'managedidentity'
        BRIDGE_PUBLIC_URL: publicUrl
        KEY_VAULT_URI: vault.outputs.uri
        MANAGED_IDENTITY_CLIENT_ID: identity.outputs.clientId
        PRESENCE_SYNC_SCHEDULE: syncSchedule
      },
      tenantCloud == 'public' ? storageByName : storageByAddress,
      given
    )
    subnetId: ownNetwork ? vnet!.outputs.appSubnetId : subnets.app
    allowedAddresses: allowedAddresses
  }
  dependsOn: [endpoints] // without them the first start finds neither storage nor vault
}

module alerts 'modules/alerts.bicep' = {
  params: {
    suffix: suffix
    location: location
    tags: allTags
    insightsId: monitoring.outputs.insightsId
    emails: alertEmails
    moreActionGroupIds: actionGroupIds
    runbookUrl: runbookUrl
  }
}

module workbook 'modules/workbook.bicep' = {
  params: {
    suffix: suffix
    location: location
    tags: allTags
    insightsId: monitoring.outputs.insightsId
    runbookUrl: runbookUrl
  }
}

@description('Name of the function app: what packages are published to.')
output functionApp string = appName

@description('The app\'s own host name: what a custom domain\'s CNAME leads to.')
output hostName string = hostName

@description('Address of the bridge, for browsers and UCServer.')
output publicUrl string = publicUrl

@description('Address of the console: what administrators open and bookmark.')
output consoleUrl string = '${publicUrl}/api/console'

@description('Redirect URIs of the app registration, platform Web.')
output redirectUris string[] = [
  '${publicUrl}/api/consent/user/callback'
  '${publicUrl}/api/consent/admin/callback'
  '${publicUrl}/api/console/signin'
]

@description('The managed identity. principalId is its object id, clientId its application id.')
output identity { id: string, principalId: string, clientId: string, tenantId: string } = {
  id: identityId
  principalId: identity.outputs.principalId
  clientId: identity.outputs.clientId
  tenantId: identity.outputs.tenantId
}

@description('The federated credential of the app registration, as Entra wants it: with it there is no client secret.')
output federatedCredential { name: string, issuer: string, subject: string, audiences: string[] } = {
  name: 'procall-teams-bridge'
  issuer: '${environment().authentication.loginEndpoint}${identity.outputs.tenantId}/v2.0'
  subject: identity.outputs.principalId
  audiences: [here.audience]
}

@description('Where the set-up code lies: the narrowest scope to give somebody Key Vault Secrets User on. The bridge makes it at its first start.')
output setupCode { vault: string, secret: string, scope: string } = {
  vault: vaultName
  secret: 'setup-code'
  scope: '${vault.outputs.id}/secrets/setup-code'
}

@description('Where a package lies that is not published by func or azd (premium).')
output package { account: string, container: string, blob: string } = {
  account: storageName
  container: packageContainer
  blob: 'bridge.zip'
}

@description('Resource ids of what takes the log lines: with logIngestion joined, add both to your private link scope.')
output logs { insights: string, workspace: string } = {
  insights: monitoring.outputs.insightsId
  workspace: monitoring.outputs.workspaceId
}

@description('The address that the app\'s requests come from, empty when it is not fixed.')
output outboundAddress string = ownNetwork ? vnet!.outputs.address : ''
