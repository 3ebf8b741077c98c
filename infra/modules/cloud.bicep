metadata description = 'What depends on the Azure that a deployment goes to: which cloud of Microsoft\'s it is, and what is not to be had there.'

@export()
@description('The cloud that is chosen, or with auto the one whose tenants this Azure has, by the name of environment(). GCC High and DoD share one Azure.')
func cloudOf(azure string, chosen string) string =>
  chosen != 'auto' ? chosen : azure == 'AzureUSGovernment' ? 'usgov' : 'public'

@export()
@description('The plan that is chosen, or with auto the one that is to be had.')
func planOf(cloud string, chosen string) 'flex' | 'premium' =>
  chosen == 'flex' || chosen == 'auto' && cloud == 'public' ? 'flex' : 'premium'

@export()
@description('Why nothing can be made with these parameters, in a sentence that says what to do. Empty: it can.')
func refusal(azure string, cloud string, plan string, logIngestion string, endpointSubnet bool) string =>
  azure != 'AzureCloud' && azure != 'AzureUSGovernment'
    ? 'The bridge works in AzureCloud and AzureUSGovernment, and this subscription is in ${azure}: Microsoft Graph has no presence there.'
    : azure == 'AzureUSGovernment' && cloud == 'public'
        ? 'This subscription is in Azure Government and the parameter cloud says public: say auto, usgov (GCC High) or usgovdod (DoD).'
        : azure == 'AzureCloud' && cloud != 'public'
            ? 'This subscription is in the public Azure and the parameter cloud says ${cloud}: say auto, or deploy to a subscription of Azure Government (az cloud set --name AzureUSGovernment).'
            : cloud != 'public' && plan == 'flex'
                ? 'Flex Consumption is not in the government clouds: set the parameter plan to auto or premium.'
                : logIngestion == 'private' && !endpointSubnet
                    ? 'The parameter logIngestion says private, and network names no subnet for private endpoints: add one, or say public.'
                    : ''
