// Everything here is wrong on purpose: a fault for each rule of bicepconfig.json. A rule
// that finds none is misspelt, which the compiler does not tell.
import { unusedType } from 'badmodule.bicep'

metadata a = 'no-conflicting-metadata'
@metadata({ description: 'no-conflicting-metadata' })
@description('twice')
param twice string

param undescribed string = 'use-description-params, no-unused-params'

@secure()
param secret string = 'secure-parameter-default'

@secure()
param fine string

@description('secure-secrets-in-params')
param clientPassword string

@description('no-explicit-any')
param anything any

@description('use-stable-resource-identifiers')
param random string = newGuid()

@description('use-secure-value-for-secure-inputs')
param plainPassword string

@description('explicit-values-for-loc-params, if not given to the module')
param location string = resourceGroup().location

var unused = 'no-unused-vars'
var url = 'https://management.azure.com' // no-hardcoded-env-urls
var joined = concat('prefer-interpolation', location)
var interpolated = '${joined}' // simplify-interpolation
var parsed = json('null') // simplify-json-null
var quoted = { 'name': interpolated } // prefer-unquoted-property-names
var elsewhere = resourceGroup().location // no-loc-expr-outside-params

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'unstable${random}'
  location: 'westeurope' // no-hardcoded-location
  sku: { name: 'Standard_LRS' }
  kind: 'StorageV2'
  properties: anything
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  name: '${account.name}/default' // use-parent-property
  dependsOn: [account] // no-unnecessary-dependson
}

resource deployment 'Microsoft.Resources/deployments@2024-03-01' = {
  name: 'no-deployments-resources'
  properties: {
    mode: 'Incremental'
    template: {
      '$schema': 'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#'
      contentVersion: '1.0.0.0'
      resources: [{ name: 'x', type: 'Microsoft.Sql/servers', properties: { leaked: secret } }]
      variables: { scoped: '[variables(\'unused\')]' } // nested-deployment-template-scoping
    }
  }
}

resource server 'Microsoft.Sql/servers@2023-08-01' = {
  name: 'abc'
  location: location
  properties: { administratorLogin: 'x', administratorLoginPassword: plainPassword }
}

resource unusedAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: 'unused' // no-unused-existing-resources
}

module part 'badmodule.bicep' = {
  name: 'part' // no-module-name
  params: { condition: account.properties.primaryEndpoints.blob, plain: fine }
}

output undescribed string = url // use-description-outputs

@description('outputs-should-not-contain-secrets')
output key string = account.listKeys().keys[0].value

@description('use-safe-access')
output safe string? = contains(quoted, 'name') ? quoted.name : null

@description('use-resource-symbol-reference')
output reference string = reference(account.id).primaryEndpoints.blob

@description('no-hardcoded-outputs')
output fixed string = 'https'

@description('so that they are used')
output others array = [elsewhere, parsed]
