#!/usr/bin/env bash
# Verifies one push as a receiver has to: Standard Webhooks 1.0.0. Needs openssl.
#   SECRET=whsec_... ./verify.sh body.json WEBHOOK_ID WEBHOOK_TIMESTAMP WEBHOOK_SIGNATURE
# The body is the bytes as they came, before any parsing.
set -euo pipefail
body=$1 id=$2 timestamp=$3 signatures=$4

age=$(($(date +%s) - timestamp))
((age <= 300 && age >= -300)) || { echo "the push is $age s old: refused (or a clock is wrong)" >&2; exit 1; }
key=$(printf '%s' "${SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
want=$({ printf '%s.%s.' "$id" "$timestamp"; cat "$body"; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
for signature in $signatures; do # several while a secret is replaced
  [[ $signature == "v1,$want" ]] && { echo genuine; exit 0; }
done
echo "the signature does not fit: refused" >&2
exit 1
