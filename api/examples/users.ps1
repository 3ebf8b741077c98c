# Sends UCServer's users, and writes who does not take part and why. PowerShell 7.
#   $env:BRIDGE = 'https://bridge.contoso.com'; $env:TOKEN = 'ptb_...'; ./users.ps1 users.ndjson
# Each line of the file is a user: {"id":"4711","name":"max.mustermann@domain.local","upn":"..."}
param([Parameter(Mandatory)] [string] $Path)
$ErrorActionPreference = 'Stop'
$lines = @(Get-Content -Path $Path -Encoding utf8 | Where-Object { $_.Trim() })
$body = ($lines + (ConvertTo-Json @{ count = $lines.Count } -Compress)) -join "`n" # the last line counts the others

$answer = Invoke-WebRequest -Method Put -Uri "$env:BRIDGE/api/v1/directory" -ContentType 'application/x-ndjson' `
    -Headers @{ Authorization = "Bearer $env:TOKEN" } -Body ([Text.Encoding]::UTF8.GetBytes($body))
foreach ($line in [Text.Encoding]::UTF8.GetString($answer.Content).Split("`n")) {
    if (-not $line.Trim()) { continue }
    $result = ConvertFrom-Json $line
    if ($null -ne $result.count) { Write-Output "$($result.count) users: $($result.results)" }
    elseif ($result.result -ne 'takesPart') { Write-Output "$($result.name): $($result.result) $($result.advice)" }
}
