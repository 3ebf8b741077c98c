# Reports one call: the complete list, its beginning, its end. PowerShell 7.
#   $env:BRIDGE = 'https://bridge.contoso.com'; $env:TOKEN = 'ptb_...'; ./report.ps1 max.mustermann@domain.local
param([Parameter(Mandatory)] [string] $User)
$ErrorActionPreference = 'Stop'
$epoch = [DateTimeOffset]::UtcNow.ToUnixTimeMilliseconds() # one run of the reporter

function Send-Telephony([string] $Method, [hashtable] $Body) {
    Invoke-RestMethod -Method $Method -Uri "$env:BRIDGE/api/v1/telephony" -ContentType 'application/json' `
        -Headers @{ Authorization = "Bearer $env:TOKEN" } -Body (ConvertTo-Json $Body -Depth 5)
}

# Nobody is on the phone when this reporter starts.
$receipt = Send-Telephony PUT @{ epoch = $epoch; asOfSeq = 0; items = @() }
Write-Output "lease until $($receipt.lease.until)"
$receipt = Send-Telephony POST @{ epoch = $epoch; items = @(@{ user = $User; state = 'busy'; reasons = @('call'); seq = 1 }) }
Write-Output "call begins: $($receipt.results[0].result) $($receipt.results[0].detail)"
Start-Sleep -Seconds 5
$receipt = Send-Telephony POST @{ epoch = $epoch; items = @(@{ user = $User; state = 'available'; reasons = @(); seq = 2 }) }
Write-Output "call ends: $($receipt.results[0].result) $($receipt.results[0].detail)"
# A real reporter goes on, and posts at least every 60 s, without items if nothing happens.
