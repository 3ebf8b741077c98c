#!/usr/bin/env bash
# Publishes a package to the function app, and waits until the Functions host lists every
# function of it and the bridge that answers is this package's. It ends with 0 only then.
set -euo pipefail
export LC_ALL=C # one order for sort and comm

usage() {
  cat <<'TEXT'
deploy.sh [options] APP [PACKAGE]

  APP             name of the function app: output functionApp of the template
  PACKAGE         the zip of a release or of make package, normally dist.zip

  --by zip        zip deployment by the Azure CLI: Flex Consumption
  --by func       publish with Azure Functions Core Tools
  --by blob       upload the package and restart: where the app setting
                  WEBSITE_RUN_FROM_PACKAGE names a blob (Premium without keys)

Without --by, the app's settings decide between zip and blob. Needs the Azure CLI,
signed in (az login) to the subscription of the app, unzip and curl. Roles: Website
Contributor on the app, and for blob Storage Blob Data Contributor on the package's
container.
TEXT
}

refuse() {
  echo "deploy.sh: $*" >&2
  exit 1
}

# Seconds to wait for the host and the bridge in all, and between two looks.
readonly WAIT=${DEPLOY_WAIT:-600} PAUSE=${DEPLOY_PAUSE:-10}

by="" app="" package=dist.zip version="" build=""

arguments() {
  local rest=()
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage && exit 0 ;;
      --by) by=${2:-none} && shift "$(($# > 1 ? 2 : 1))" ;;
      -*) refuse "$1 is unknown: see --help" ;;
      *) rest+=("$1") && shift ;;
    esac
  done
  [[ $by =~ ^(zip|func|blob)?$ ]] || refuse "--by must be zip, func or blob"
  [[ ${#rest[@]} == 1 || ${#rest[@]} == 2 ]] || refuse "name the function app: deploy.sh my-bridge"
  app=${rest[0]} package=${rest[1]:-$package}
}

# inspect reads the package: what it must hold, and the functions that it brings.
inspect() {
  local tool
  for tool in az unzip curl; do
    command -v $tool >/dev/null || refuse "$tool is missing: install it"
  done
  local names
  names=$(unzip -Z1 "$package") || refuse "$package is no zip: run make package, or fetch the package of a release"
  grep -qx host.json <<<"$names" || refuse "$package has no host.json at its root: zip the files in the folder, not the folder"
  [[ $(unzip -Z "$package" handler 2>/dev/null) == -rwx* ]] ||
    refuse "$package has no handler that may be executed: a zip made on Windows loses that"
  ! grep -q 'local\.settings\.json$' <<<"$names" || refuse "$package holds local.settings.json, and so secrets: take it out"
  functions=$(sed -n 's|^\([^/]*\)/function\.json$|\1|p' <<<"$names" | sort)
  [ -n "$functions" ] || refuse "$package holds no functions"
  read -r version build < <(unzip -p "$package" version 2>/dev/null) || true
}

# locate finds the app and how packages reach it.
locate() {
  local found
  found=$(az resource list --resource-type Microsoft.Web/sites --name "$app" --query '[].[id, resourceGroup]' --output tsv) ||
    refuse "sign in first: az login"
  [ -n "$found" ] || refuse "there is no app named $app in this subscription: az account show tells which, az account set changes it"
  IFS=$'\t' read -r id group <<<"$found"
  local state
  found=$(az rest --method get --url "$id?api-version=2024-04-01" --query '[properties.defaultHostName, properties.state]' --output tsv)
  { read -r host && read -r state; } <<<"$found"
  [ "$state" != Stopped ] || refuse "$app is stopped: az functionapp start --resource-group $group --name $app"
  blob=$(az functionapp config appsettings list --resource-group "$group" --name "$app" \
    --query "[?name=='WEBSITE_RUN_FROM_PACKAGE'].value" --output tsv)
  [[ $blob == https://*/*/* ]] || blob=""
  if [ -z "$by" ]; then
    if [ -n "$blob" ]; then by=blob; else by=zip; fi
  fi
  [ "$by" != blob ] || [ -n "$blob" ] || refuse "the app setting WEBSITE_RUN_FROM_PACKAGE of $app names no blob"
}

by_zip() {
  az functionapp deployment source config-zip --resource-group "$group" --name "$app" --src "$package" --output none
}

by_func() {
  local folder
  folder=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder as it is now
  trap "rm -rf '$folder'" EXIT
  unzip -q "$package" -d "$folder" && cd "$folder" && func azure functionapp publish "$app" --no-build && cd "$OLDPWD"
}

# by_blob replaces the blob that the app starts from: https://ACCOUNT.blob.../CONTAINER/NAME.
by_blob() {
  local address=${blob%%\?*} # a signature may stand behind it, which is the app's
  local path=${address#https://*/} account=${address#https://}
  az storage blob upload --auth-mode login --account-name "${account%%.*}" --container-name "${path%%/*}" \
    --name "${path#*/}" --file "$package" --overwrite true --no-progress --output none &&
    az functionapp restart --resource-group "$group" --name "$app"
}

# advice says what publishing takes.
advice() {
  local address=${blob%%\?*} # without the app's signature
  case $by in
    blob) echo "It takes the role Storage Blob Data Contributor on the container ${address%/*} (parameter publishers of the template; a new role needs some minutes), and with private endpoints a machine inside the network." ;;
    *) echo "It takes the role Website Contributor on $app, and that its publishing address can be reached from here." ;;
  esac
}

# settle waits until the running host has told the platform which functions it has.
settle() {
  synced="" lacking=""
  until synced && lacking=$(missing) && [ -z "$lacking" ]; do
    [ $SECONDS -lt "$WAIT" ] || give_up
    sleep "$PAUSE"
  done
  echo "All $(wc -l <<<"$functions" | tr -d ' ') functions are listed."
}

# synced makes the platform ask the host once; that fails while the host is not up.
synced() {
  [ -n "$synced" ] || { az rest --method post --url "$id/syncfunctiontriggers?api-version=2024-04-01" --output none 2>/dev/null && synced=yes; }
}

# missing lists the functions of the package that the app does not have.
missing() {
  local listed
  listed=$(az functionapp function list --resource-group "$group" --name "$app" --query '[].name' --output tsv) || listed=""
  comm -23 <(echo "$functions") <(echo "${listed//$app\//}" | sort)
}

# give_up says what is not there after the time is over, and what to look at.
give_up() {
  echo "deploy.sh: the package was published, and after $WAIT seconds the host has not started it." >&2
  [ -n "$synced" ] || echo "  The host is not up: its triggers can't be synchronised." >&2
  lacking=$(missing)
  [ -z "$lacking" ] || echo "  Not listed: ${lacking//$'\n'/, }" >&2
  echo "Look at:" >&2
  storage_settings >&2
  cat >&2 <<'TEXT'
  - the roles of the app's identity on its storage account: Storage Blob Data Owner,
    Queue Data Contributor and Table Data Contributor. New ones need ten minutes:
    run this again then
  - the network: the app must reach its storage account
  - Application Insights, or Diagnose and solve problems on the app's page in the portal
TEXT
  exit 1
}

# storage_settings names mistakes in the settings of the host's own storage.
storage_settings() {
  local names prefix=AzureWebJobsStorage
  names=$(az functionapp config appsettings list --resource-group "$group" --name "$app" --query '[].name' --output tsv) || return 0
  set_is() { grep -qx "$prefix$1" <<<"$names"; }
  if set_is __accountName && set_is __blobServiceUri; then
    echo "  - the app settings: ${prefix}__accountName and ${prefix}__blobServiceUri exclude each other"
  elif ! set_is "" && ! set_is __accountName && ! set_is __blobServiceUri; then
    echo "  - the app settings: ${prefix}__accountName is missing"
  fi
  if set_is __managedIdentityResourceId && ! set_is __clientId; then
    echo "  - the app settings: ${prefix}__managedIdentityResourceId has no effect, set ${prefix}__clientId"
  fi
}

# answers asks the bridge itself, until it is the one of this package. Without a
# credential it says 401; 503 lists faults in the app settings. Both name the build.
answers() {
  local said status running
  while :; do
    said=$(curl --silent --include --suppress-connect-headers --max-time 30 "https://$host/api/health" | tr -d '\r') || said=""
    status=$(sed -n '1s|^HTTP/[0-9.]* \([0-9]*\).*|\1|p' <<<"$said")
    running=$(sed -n '/^$/q; s/^[Bb]ridge-[Bb]uild: *//p' <<<"$said")
    case $status in
      "") unseen "can't be reached from here" && return ;;
      403) unseen "lets nobody in from here (allowedAddresses)" && return ;;
      200 | 401 | 503) ! is_this "$running" || ! verdict || return 0 ;;
    esac
    [ $SECONDS -lt "$WAIT" ] || overdue
    sleep "$PAUSE"
  done
}

unseen() { echo "https://$host/ $1: whether the bridge answers was not checked."; }

# is_this tells whether a build is the package's. A package that names none is any.
is_this() { [ -z "$build" ] || [ "$1" = "$build" ]; }

# verdict ends the script when the bridge is up, and waits when something before it is not.
verdict() {
  if [ "$status" = 503 ]; then
    [[ $said == *settings-fault* ]] || return 1
    refuse "the bridge runs, and refuses every call until its app settings are mended:
$(sed '1,/^$/d' <<<"$said")"
  fi
  echo "The bridge answers${version:+, version $version}. Its console: https://$host/api/console"
  [ -n "$build" ] || echo "The package does not say which version it is: whether it is the one that answers was not checked."
  [[ $version != *-modified ]] || echo "It was made of changed files: another package of the same commit looks like this one."
}

# overdue says what answers after the time is over, and what to do.
overdue() {
  if [ -z "$running" ] || is_this "$running"; then
    refuse "https://$host/api/health answers $status after $WAIT seconds: see the app's logs"
  fi
  refuse "the bridge at https://$host/ answers, and after $WAIT seconds it is still another package than $version (build $running instead of $build).
  - restart it and run this again: az functionapp restart --resource-group $group --name $app
  - on Premium: WEBSITE_RUN_FROM_PACKAGE must name the blob that was uploaded
  - on Flex Consumption: look at Deployment Center on the app's page in the portal"
}

arguments "$@"
inspect
locate
echo "Publishing $package to $app, by $by."
"by_$by" || refuse "publishing failed, see above; the old package is still there. $(advice)"
SECONDS=0
settle
answers
