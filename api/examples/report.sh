#!/usr/bin/env bash
# Reports one call: the complete list, its beginning, its end. Needs curl and jq.
#   BRIDGE=https://bridge.contoso.com TOKEN=ptb_... ./report.sh max.mustermann@domain.local
set -euo pipefail
user=$1
epoch=$(date +%s%3N) # one run of the reporter

send() { # method, body; a refusal is printed as it came, and ends the program
  local answer
  answer=$(curl --silent --show-error --fail-with-body --config <(printf 'header = "Authorization: Bearer %s"\n' "$TOKEN") \
    --request "$1" --header 'Content-Type: application/json' --data "$2" "$BRIDGE/api/v1/telephony") ||
    { printf '%s\n' "$answer" >&2; exit 1; }
  printf '%s' "$answer"
}
item() { # seq, state, reasons
  jq -cn --arg user "$user" --argjson seq "$1" --arg state "$2" --argjson reasons "$3" --argjson epoch "$epoch" \
    '{epoch: $epoch, items: [{user: $user, state: $state, reasons: $reasons, seq: $seq}]}'
}

# Nobody is on the phone when this reporter starts.
send PUT "{\"epoch\": $epoch, \"asOfSeq\": 0, \"items\": []}" | jq -r '"lease until \(.lease.until)"'
send POST "$(item 1 busy '["call"]')" | jq -r '.results[0] | "call begins: \(.result) \(.detail // "")"'
sleep "${TALK:-5}"
send POST "$(item 2 available '[]')" | jq -r '.results[0] | "call ends: \(.result) \(.detail // "")"'
# A real reporter goes on, and posts at least every 60 s, without items if nothing happens.
