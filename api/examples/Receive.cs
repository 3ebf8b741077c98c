// Receives pushes: verifies them (Standard Webhooks 1.0.0), keeps the position, applies
// changes. ASP.NET Core 8 or newer, a project of Sdk="Microsoft.NET.Sdk.Web".
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

var secret = Convert.FromBase64String(Environment.GetEnvironmentVariable("SECRET")!["whsec_".Length..]);
var position = (Epoch: "", Append: 0L, Index: 0L); // keep it where it outlives the process
var app = WebApplication.Create(args);
app.MapPost("/push", async (HttpRequest request) =>
{
    using var memory = new MemoryStream();
    await request.Body.CopyToAsync(memory); // the bytes as they came, before any parsing
    if (!Genuine(request.Headers, memory.ToArray())) return Results.StatusCode(401);

    using var push = JsonDocument.Parse(memory.ToArray());
    var root = push.RootElement;
    var epoch = root.GetProperty("epoch").GetString()!;
    var to = Id(root.GetProperty("to"));
    if (root.GetProperty("type").GetString() == "presence.snapshot")
    {
        // Collect the parts; after the last one forget whoever was not listed.
        Apply(root.GetProperty("changes"));
        if (root.GetProperty("part").GetInt32() == root.GetProperty("parts").GetInt32()) position = (epoch, to.Append, to.Index);
        return Results.NoContent();
    }
    var here = (position.Append, position.Index);
    if (epoch != position.Epoch || Id(root.GetProperty("from")).CompareTo(here) > 0) return Results.Conflict(); // a snapshot follows
    if (to.CompareTo(here) <= 0) return Results.NoContent(); // known already, or only a sign of life
    Apply(root.GetProperty("changes"));
    position = (epoch, to.Append, to.Index);
    return Results.NoContent();
});
app.Run();

bool Genuine(IHeaderDictionary headers, byte[] body)
{
    string id = headers["webhook-id"]!, timestamp = headers["webhook-timestamp"]!;
    if (!long.TryParse(timestamp, out var seconds) || Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - seconds) > 300) return false;
    byte[] signed = [.. Encoding.UTF8.GetBytes($"{id}.{timestamp}."), .. body];
    var want = Encoding.UTF8.GetBytes("v1," + Convert.ToBase64String(HMACSHA256.HashData(secret, signed)));
    return headers["webhook-signature"].ToString().Split(' ') // several while a secret is replaced
        .Any(one => CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(one), want));
}

// An id is two integers, append.index, compared as integers.
(long Append, long Index) Id(JsonElement id)
{
    var parts = id.GetString()!.Split('.');
    return (long.Parse(parts[0]), long.Parse(parts[1]));
}

void Apply(JsonElement changes)
{
    foreach (var change in changes.EnumerateArray()) Console.WriteLine(change.GetRawText());
}
