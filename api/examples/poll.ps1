# Follows presences by polling. PowerShell 7.
#   $env:BRIDGE = 'https://bridge.contoso.com'; $env:TOKEN = 'ptb_...'; ./poll.ps1
$ErrorActionPreference = 'Stop'
$headers = @{ Authorization = "Bearer $env:TOKEN" }

function Get-Snapshot {
    # Everybody's state; the cursor of the first page is where changes begin.
    $first = $null
    $next = ''
    do {
        $uri = "$env:BRIDGE/api/v1/presence"
        if ($next) { $uri += '?pageToken=' + [uri]::EscapeDataString($next) }
        $page = Invoke-RestMethod -Uri $uri -Headers $headers
        if (-not $first) { $first = $page.cursor }
        foreach ($item in $page.items) { Write-Host $item.id $item.user $item.procall.state }
        $next = $page.nextPageToken
    } while ($next)
    return $first
}

$cursor = Get-Snapshot
while ($true) {
    try {
        $uri = "$env:BRIDGE/api/v1/presence/changes?wait=25&cursor=" + [uri]::EscapeDataString($cursor)
        $answer = Invoke-WebRequest -Uri $uri -Headers $headers -SkipHttpErrorCheck
        switch ($answer.StatusCode) {
            200 {
                $body = $answer.Content | ConvertFrom-Json
                foreach ($change in $body.changes) { Write-Output "$($change.id) $($change.user) $($change.procall.state)" }
                $cursor = $body.cursor # only now: what was written is done
            }
            410 { $cursor = Get-Snapshot } # forget whoever it does not list
            { $_ -in 401, 403 } { throw $answer.Content }
            default { Start-Sleep -Seconds 5 } # the bridge is away: nothing is lost
        }
    }
    catch [System.Net.Http.HttpRequestException] { Start-Sleep -Seconds 5 } # nobody answers: the same
}
