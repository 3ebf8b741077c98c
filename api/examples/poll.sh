#!/usr/bin/env bash
# Follows presences by polling. Needs curl and jq.
#   BRIDGE=https://bridge.contoso.com TOKEN=ptb_... ./poll.sh
set -euo pipefail

# get sets body, and is false when the cursor or the page is no longer served (410). It waits
# while the bridge is away, and ends the program where only a person can help.
get() { # path, parameters
  local answer
  while :; do
    # The token stays out of the list of processes.
    answer=$(curl --silent --show-error --compressed --max-time 40 --write-out '\n%{http_code}' --get \
      --config <(printf 'header = "Authorization: Bearer %s"\n' "$TOKEN") "$BRIDGE/api/v1/$1" "${@:2}") || true
    body=${answer%$'\n'*}
    case ${answer##*$'\n'} in
      200) return 0 ;;
      410) return 1 ;;
      4??) jq -er '"\(.title): \(.nextStep)"' <<<"$body" >&2 && exit 1 ;; # a page of Azure is no refusal of the bridge
    esac
    sleep "${PAUSE:-5}" # away, or being deployed: nothing is lost
  done
}

snapshot() { # Everybody's state; the cursor of the first page is where changes begin.
  local next=''
  cursor=''
  while get presence ${next:+--data-urlencode "pageToken=$next"}; do
    cursor=${cursor:-$(jq -r .cursor <<<"$body")}
    jq -r '.items[] | "\(.id) \(.user) \(.procall.state // "nothing")"' <<<"$body" >&2
    next=$(jq -r '.nextPageToken // empty' <<<"$body")
    [[ -n $next ]] || return 0
  done
  snapshot # the next page is not served any more
}

snapshot
while :; do
  if get presence/changes --data-urlencode "cursor=$cursor" --data wait=25; then
    jq -r '.changes[] | "\(.id) \(.user) \(.type) \(.procall.state // "nothing")"' <<<"$body"
    cursor=$(jq -r .cursor <<<"$body") # only now: what was printed is done
  else
    snapshot # forget whoever it does not list
  fi
done
