metadata description = 'Where log lines go: a workspace, and Application Insights in front of it, which the Functions host writes to with the identity\'s token.'

@description('Ends the names of both.')
param suffix string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Days that lines are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int

@description('Most that a day may bring, in GB. Beyond it lines are lost until the next day, and alerts are blind.')
@minValue(1)
param dailyQuotaGb int

@description('Whether lines are taken from outside of private link scopes too. They need the identity\'s token all the same. What Azure itself writes down (who asked for which secret) always comes in.')
param publicIngestion bool

@description('Resource id of the identity; names its role assignment.')
param identityId string

@description('Object id of the identity, which writes.')
param principalId string

// Queries stay open to whoever has a role: the portal, the workbook and the alerts ask from
// outside of the network.
var ingestion = publicIngestion ? 'Enabled' : 'Disabled'

var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: 'log-${suffix}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    features: { disableLocalAuth: true }
    workspaceCapping: { dailyQuotaGb: dailyQuotaGb }
    publicNetworkAccessForIngestion: ingestion
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${suffix}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
    publicNetworkAccessForIngestion: ingestion
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identityId, metricsPublisher)
  scope: insights
  properties: {
    description: 'Monitoring Metrics Publisher'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

@description('Resource id of the workspace.')
output workspaceId string = workspace.id

@description('Resource id of Application Insights: the scope of alerts and of the workbook.')
output insightsId string = insights.id

@description('Where the host sends to. It opens nothing by itself: local authentication is off.')
output connectionString string = insights.properties.ConnectionString
