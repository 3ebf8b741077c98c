@export()
type unusedType = string
@description('what-if-short-circuiting')
param condition string
@description('secure-params-in-nested-deploy')
param plain string
@description('explicit-values-for-loc-params')
param location string = resourceGroup().location
resource x 'Microsoft.Storage/storageAccounts@2025-06-01' = if (condition == plain) {
  name: 'abc'
  location: location
  sku: { name: 'Standard_LRS' }
  kind: 'StorageV2'
}
