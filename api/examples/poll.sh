#!/usr/bin/env bash
# Follows presences by polling. Needs curl and jq.
#   BRIDGE=https://bridge.contoso.com TOKEN=ptb_... ./poll.sh
set -euo pipefail

# The token stays out of the list of processes.
ask() { curl --silent --show-error --compressed --config <(printf 'header = "Authorization: Bearer %s"\n' "$TOKEN") "$@"; }

snapshot() { # Everybody's state; the cursor of the first page is where changes begin.
  local page='' next='' first=''
  while :; do
    page=$(ask --fail-with-body --get "$BRIDGE/api/v1/presence" ${next:+--data-urlencode "pageToken=$next"})
    first=${first:-$(jq -r .cursor <<<"$page")}
    jq -r '.items[] | "\(.id) \(.user) \(.procall.state // "nothing")"' <<<"$page" >&2
    next=$(jq -r '.nextPageToken // empty' <<<"$page")
    [[ -n $next ]] || break
  done
  printf '%s' "$first"
}

cursor=$(snapshot)
while :; do
  answer=$(ask --write-out '\n%{http_code}' --get "$BRIDGE/api/v1/presence/changes" --data-urlencode "cursor=$cursor" --data wait=25)
  status=${answer##*$'\n'} body=${answer%$'\n'*}
  case $status in
    200)
      jq -r '.changes[] | "\(.id) \(.user) \(.type) \(.procall.state // "nothing")"' <<<"$body"
      cursor=$(jq -r .cursor <<<"$body") # only now: what was printed is done
      ;;
    410) cursor=$(snapshot) ;;           # forget whoever it does not list
    401 | 403) jq -r '"\(.title): \(.nextStep)"' <<<"$body" >&2; exit 1 ;;
    *) sleep 5 ;;                        # the bridge is away: nothing is lost
  esac
done
