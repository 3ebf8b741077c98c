# Verifies one push as a receiver has to: Standard Webhooks 1.0.0. PowerShell 7.
# $Body are the bytes as they came, before any parsing.
function Test-Push {
    param([byte[]] $Body, [string] $Id, [long] $Timestamp, [string] $Signature, [string] $Secret)
    $age = [DateTimeOffset]::UtcNow.ToUnixTimeSeconds() - $Timestamp
    if ([Math]::Abs($age) -gt 300) { return $false } # replayed, or a clock is wrong
    $hmac = [System.Security.Cryptography.HMACSHA256]::new([Convert]::FromBase64String($Secret.Substring('whsec_'.Length)))
    $signed = [Text.Encoding]::UTF8.GetBytes("$Id.$Timestamp.") + $Body
    $want = [Text.Encoding]::UTF8.GetBytes('v1,' + [Convert]::ToBase64String($hmac.ComputeHash([byte[]] $signed)))
    foreach ($one in $Signature.Split(' ')) { # several while a secret is replaced
        if ([System.Security.Cryptography.CryptographicOperations]::FixedTimeEquals([Text.Encoding]::UTF8.GetBytes($one), $want)) { return $true }
    }
    return $false
}
