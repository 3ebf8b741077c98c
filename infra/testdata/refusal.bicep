metadata description = 'What modules/cloud.bicep says of an Azure that environment() does not name here.'

import { cloudOf, planOf, refusal } from '../modules/cloud.bicep'

type choice = { azure: string, cloud: string, plan: string, logIngestion: string, endpointSubnet: bool }

@description('Azures, and what is chosen there.')
param choices choice[]

@description('The cloud and plan that each comes to.')
output clouds string[] = map(choices, c => '${cloudOf(c.azure, c.cloud)} ${planOf(cloudOf(c.azure, c.cloud), c.plan)}')

@description('Why nothing can be made there.')
output refusals string[] = map(
  choices,
  c =>
    refusal(
      c.azure,
      cloudOf(c.azure, c.cloud),
      planOf(cloudOf(c.azure, c.cloud), c.plan),
      c.logIngestion,
      c.endpointSubnet
    )
)
