metadata description = 'What depends on the Azure that a deployment goes to: which cloud of Microsoft\'s it is, and what is not to be had there.'

@export()
@description('The cloud of the tenants of this Azure, by the name that environment() has for it. GCC High and DoD share one Azure.')
func cloudOf(azure string) 'public' | 'usgov' => azure == 'AzureUSGovernment' ? 'usgov' : 'public'

@export()
@description('Why nothing can be made with these parameters, in a sentence that says what to do. Empty: it can.')
func refusal(azure string, cloud string, plan string, logIngestion string, endpointSubnet bool) string =>
  azure != 'AzureCloud' && azure != 'AzureUSGovernment'
    ? 'The bridge works in AzureCloud and AzureUSGovernment, and this subscription is in ${azure}: Microsoft Graph has no presence there.'
    : azure == 'AzureUSGovernment' && cloud == 'public'
        ? 'This subscription is in Azure Government and the parameter cloud says public: leave it out, or say usgov (GCC High) or usgovdod (DoD).'
        : azure == 'AzureCloud' && cloud != 'public'
            ? 'This subscription is in the public Azure and the parameter cloud says ${cloud}: leave it out, or deploy to a subscription of Azure Government (az cloud set --name AzureUSGovernment).'
            : cloud != 'public' && plan == 'flex'
                ? 'Flex Consumption is not in the government clouds: leave the parameter plan out, or set it to premium.'
                : logIngestion == 'private' && !endpointSubnet
                    ? 'The parameter logIngestion says private, and network names no subnet for private endpoints: add one, or say public.'
                    : ''
