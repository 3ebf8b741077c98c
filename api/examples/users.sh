#!/usr/bin/env bash
# Sends UCServer's users, and prints who does not take part and why. Needs curl and jq.
#   BRIDGE=https://bridge.contoso.com TOKEN=ptb_... ./users.sh users.ndjson
# Each line of the file is a user: {"id":"4711","name":"max.mustermann@domain.local","upn":"..."}
set -euo pipefail
list=$(mktemp)
trap 'rm -f "$list"' EXIT
awk NF "$1" >"$list"
printf '{"count":%d}\n' "$(wc -l <"$list")" >>"$list" # the last line counts the others

answer=$(curl --silent --show-error --fail-with-body --config <(printf 'header = "Authorization: Bearer %s"\n' "$TOKEN") \
  --request PUT --header 'Content-Type: application/x-ndjson' --header 'Transfer-Encoding:' --data-binary "@$list" \
  "$BRIDGE/api/v1/directory") || { printf '%s\n' "$answer" >&2; exit 1; } # a refusal names the lines at fault
jq -r 'if has("count") then "\(.count) users: \(.results)" elif .result != "takesPart" then "\(.name // .id): \(.result) \(.advice // "")" else empty end' <<<"$answer"
