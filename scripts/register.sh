#!/usr/bin/env bash
# Creates the bridge's app registration in Entra, or brings an existing one to what
# the bridge needs: redirect URIs, permissions, the app role Bridge.Admin, and the
# federated credential that replaces a client secret. Run it as often as you like:
# what is right stays as it is. It makes no secret and gives no consent.
set -euo pipefail

usage() {
  cat <<'TEXT'
register.sh --url https://bridge.contoso.com [options]

  --url URL             the bridge's public address: output publicUrl of the template
  --identity ID         object id of its managed identity: output identity.principalId.
                        With it no client secret is needed
  --profile PROFILE     full (reads and writes, the default) or read-only (Teams to
                        ProCall alone)
  --without-groups      leave GroupMember.Read.All out: no rule names an Entra group
  --shared              for several tenants: only for who hosts bridges for others
  --name NAME           display name, normally "ProCall Teams Bridge"
  --client-id ID        take this registration instead of looking for the name
  --credential NAME     name of the federated credential, normally procall-teams-bridge
  --admin me|UPN        give this person the app role Bridge.Admin; may be repeated

Needs the Azure CLI 2.37 or newer, signed in (az login) to the tenant of the
registration, with the role Application Developer there, or a higher one. To change a
registration that somebody else made, be one of its owners or Cloud Application
Administrator.
TEXT
}

refuse() {
  echo "register.sh: $*" >&2
  exit 1
}

# Microsoft Graph, and its permissions that the bridge uses (Microsoft Graph:
# permissions reference). The columns are profile, type, id and name.
readonly GRAPH=00000003-0000-0000-c000-000000000000
permissions() {
  cat <<'TABLE'
both Scope 9c7a330d-35b3-4aa1-963d-cb2b9f927841 Presence.Read.All
both Scope b340eb25-3456-403f-be2f-af7a0d370277 User.ReadBasic.All
full Role 83cded22-8297-4ff6-a7fa-e97e9545a259 Presence.ReadWrite.All
read-only Role a70e0c2d-e793-494c-94c4-118fa0a67f42 Presence.Read.All
both Role df021288-bdef-4463-88db-98f22de89214 User.Read.All
both Role 98830695-27a2-44f7-8c18-0c3ebc9698f6 GroupMember.Read.All
TABLE
}

readonly ROLE='{"id":"65652c55-6676-4da5-b6bd-848546cb91d4","allowedMemberTypes":["User"],"displayName":"Bridge administrator","description":"Administers ProCall Teams Bridge","value":"Bridge.Admin","isEnabled":true}'
readonly GUID='^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'

url="" identity="" profile=full groups=yes audience=AzureADMyOrg name="ProCall Teams Bridge" client="" credential=procall-teams-bridge admins=""

arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage && exit 0 ;;
      --shared) audience=AzureADMultipleOrgs && shift && continue ;;
      --without-groups) groups=no && shift && continue ;;
    esac
    [ $# -ge 2 ] || refuse "$1 needs a value, or is unknown: see --help"
    case $1 in
      --url) url=${2%/} ;;
      --identity) identity=$(lower "$2") ;;
      --profile) profile=$2 ;;
      --name) name=$2 ;;
      --client-id) client=$(lower "$2") ;;
      --credential) credential=$2 ;;
      --admin)
        [[ $2 =~ ^[A-Za-z0-9._\'!#^~@+-]+$ ]] || refuse "--admin must be me, a user principal name or an object id"
        admins="$admins $2"
        ;;
      *) refuse "$1 is unknown: see --help" ;;
    esac
    shift 2
  done
  [[ $url =~ ^https://[A-Za-z0-9.-]+(:[0-9]+)?$ ]] || refuse "--url must be an address such as https://bridge.contoso.com, without a path"
  [[ -z $identity || $identity =~ $GUID ]] || refuse "--identity must be the object id of the managed identity, a GUID"
  [[ -z $client || $client =~ $GUID ]] || refuse "--client-id must be a GUID"
  [[ $profile == full || $profile == read-only ]] || refuse "--profile must be full or read-only"
  [[ $name != *\'* && -n $name ]] || refuse "--name must not be empty or hold a quotation mark"
  [[ $credential =~ ^[A-Za-z0-9_-]{3,120}$ ]] || refuse "--credential must have 3 to 120 letters, digits, - or _"
}

# Entra compares the ids of federated credentials letter by letter.
lower() { tr '[:upper:]' '[:lower:]' <<<"$1"; }

# surroundings reads what depends on the tenant and the cloud.
surroundings() {
  command -v az >/dev/null || refuse "the Azure CLI (az) is missing: https://aka.ms/azure-cli"
  tenant=$(az account show --query tenantId --output tsv) || refuse "sign in first: az login"
  echo "Registering in the tenant $tenant."
  local cloud
  cloud=$(az cloud show --query '[name, endpoints.activeDirectory, endpoints.microsoftGraphResourceId]' --output tsv)
  { read -r cloud && read -r authority && read -r graph; } <<<"$cloud"
  case $cloud in
    AzureCloud) exchange=api://AzureADTokenExchange ;;
    AzureUSGovernment) exchange=api://AzureADTokenExchangeUSGov ;;
    *) refuse "the bridge does not work in $cloud: Microsoft Graph has no presence there" ;;
  esac
}

# look_up sets client to the registration of that name, if there is one.
look_up() {
  [ -z "$client" ] || return 0
  client=$(az ad app list --filter "displayName eq '$name'" --query '[].appId' --output tsv)
  [[ $client != *$'\n'* ]] || refuse "several registrations are named \"$name\": choose one with --client-id:
$client"
}

# access is the registration's requiredResourceAccess for the profile.
access() {
  local list="" for type id name
  while read -r for type id name; do
    [[ $for == both || $for == "$profile" ]] || continue
    [[ $name != GroupMember.Read.All || $groups == yes ]] || continue
    list="$list,{\"id\":\"$id\",\"type\":\"$type\"}"
  done < <(permissions)
  echo "[{\"resourceAppId\":\"$GRAPH\",\"resourceAccess\":[${list#,}]}]"
}

# register creates or updates the registration and sets client.
register() {
  local redirects=("$url/api/consent/user/callback" "$url/api/consent/admin/callback" "$url/api/console/signin")
  local settings=(--sign-in-audience "$audience" --web-redirect-uris "${redirects[@]}" --required-resource-accesses "$(access)"
    --enable-id-token-issuance false --enable-access-token-issuance false)
  if [ -z "$client" ]; then
    client=$(az ad app create --display-name "$name" "${settings[@]}" --app-roles "[$ROLE]" --query appId --output tsv) ||
      refuse "Entra creates no registration for you, see above: you need the role Application Developer in the tenant $tenant"
    echo "Created the registration \"$name\"."
    return
  fi
  left_out "${redirects[@]}"
  az ad app update --id "$client" "${settings[@]}" ||
    refuse "Entra does not change the registration $client for you, see above: be one of its owners, or Cloud Application Administrator"
  echo "Brought the registration $client up to date."
  local roles
  roles=$(az ad app show --id "$client" --query 'appRoles' --output json)
  [[ $roles != *'"Bridge.Admin"'* ]] || return 0
  # Entra refuses to lose a role that is in force: ours joins those that are there.
  roles=$(tr -d '\n' <<<"$roles")
  if [[ $roles =~ ^\[[[:space:]]*\]$ ]]; then roles="[$ROLE]"; else roles="${roles%]*},$ROLE]"; fi
  az ad app update --id "$client" --app-roles "$roles"
  echo "Added the app role Bridge.Admin."
}

# left_out names the redirect URIs and permissions that the registration loses.
left_out() {
  local before old known
  before=$(az ad app show --id "$client" --query 'web.redirectUris' --output tsv)
  for old in $before; do
    [[ " $* " == *" $old "* ]] || echo "Removes the redirect URI $old"
  done
  before=$(az ad app show --id "$client" --query 'requiredResourceAccess[].resourceAccess[].id' --output tsv)
  for old in $before; do
    [[ $(access) != *"\"$old\""* ]] || continue
    known=$(permissions | sed -n "s/^[^ ]* [^ ]* $old //p")
    echo "Removes the permission ${known:-$old}"
  done
}

# enterprise makes the enterprise application, which consents and assignments need.
enterprise() {
  principal=$(az ad sp list --filter "appId eq '$client'" --query '[0].id' --output tsv)
  [ -z "$principal" ] || return 0
  principal=$(patiently az ad sp create --id "$client" --query id --output tsv)
  echo "Created the enterprise application."
}

# federate lets the managed identity act as the registration.
federate() {
  [ -n "$identity" ] || return 0
  local issuer="${authority%/}/$tenant/v2.0" wanted found
  wanted="{\"name\":\"$credential\",\"issuer\":\"$issuer\",\"subject\":\"$identity\",\"audiences\":[\"$exchange\"],\"description\":\"The bridge's managed identity\"}"
  found=$(az ad app federated-credential list --id "$client" \
    --query "[?name=='$credential'].join(' ', [issuer, subject, join(',', audiences)])" --output tsv)
  case $found in
    "$issuer $identity $exchange") ;;
    "")
      patiently az ad app federated-credential create --id "$client" --parameters "$wanted" --output none
      echo "Created the federated credential $credential."
      ;;
    *)
      az ad app federated-credential update --id "$client" --federated-credential-id "$credential" --parameters "$wanted" --output none
      echo "Changed the federated credential $credential, which was for: $found"
      ;;
  esac
}

# appoint gives the app role Bridge.Admin to each person named.
appoint() {
  local role admin who
  role=$(az ad app show --id "$client" --query "appRoles[?value=='Bridge.Admin'] | [0].id" --output tsv)
  for admin in $admins; do
    if [ "$admin" = me ]; then
      who=$(az ad signed-in-user show --query id --output tsv)
    else
      who=$(az ad user show --id "$admin" --query id --output tsv)
    fi
    local has
    has=$(az rest --method get --url "${graph%/}/v1.0/users/$who/appRoleAssignments" \
      --url-parameters "\$filter=resourceId eq $principal" --query "value[?appRoleId=='$role'] | [0].id" --output tsv)
    [ -z "$has" ] || continue
    patiently az rest --method post --url "${graph%/}/v1.0/servicePrincipals/$principal/appRoleAssignedTo" \
      --headers Content-Type=application/json \
      --body "{\"principalId\":\"$who\",\"resourceId\":\"$principal\",\"appRoleId\":\"$role\"}" --output none ||
      refuse "Entra does not give $admin the app role, see above: that takes an owner of the enterprise application, or a Cloud Application Administrator. Everything else is done: client id $client"
    echo "$admin is a bridge administrator now."
  done
}

# patiently tries again for a while: what was just created is not known everywhere
# at once.
patiently() {
  local try
  for try in 1 2 3 4 5; do
    "$@" && return 0
    [ "$try" = 5 ] || sleep "${REGISTER_PAUSE:-5}"
  done
  return 1
}

report() {
  local customer=$tenant proof="none yet: add a certificate or a secret, see docs/app-registration.md"
  [ "$audience" = AzureADMyOrg ] || customer="<the tenant that consents>"
  [ -z "$identity" ] || proof="managed identity $identity, no secret"
  cat <<TEXT

The registration is ready.

  tenant id      $customer
  client id      $client
  permissions    profile $profile
  credential     $proof

Next: open $url/api/console, enter both ids there, and give both consents. Or set
them as app settings, which the console then shows as fixed:

  TEAMS_TENANT_ID=$customer
  TEAMS_CLIENT_ID=$client
TEXT
}

arguments "$@"
surroundings
look_up
register
enterprise
federate
appoint
report
