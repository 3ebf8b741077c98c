metadata description = 'An Azure Monitor Private Link Scope: with its private endpoint, log lines reach Application Insights by the network alone. A network can have one only.'

@description('Ends the name.')
param suffix string

@description('Tags.')
param tags object

@description('Resource id of Application Insights.')
param insightsId string

@description('Resource id of the workspace behind it.')
param workspaceId string

// Open: whatever else stands in the network, or shares its DNS, still reaches its own
// workspaces. That others do not reach ours is said at ours (monitoring.bicep).
resource scope 'Microsoft.Insights/privateLinkScopes@2021-07-01-preview' = {
  name: 'ampls-${suffix}'
  location: 'global'
  tags: tags
  properties: { accessModeSettings: { ingestionAccessMode: 'Open', queryAccessMode: 'Open' } }

  resource insights 'scopedResources' = {
    name: 'insights'
    properties: { linkedResourceId: insightsId }
  }

  resource workspace 'scopedResources' = {
    name: 'workspace'
    properties: { linkedResourceId: workspaceId }
  }
}

@description('Resource id.')
output id string = scope.id
