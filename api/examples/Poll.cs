// Follows presences by polling. .NET 8 or newer.
//   BRIDGE=https://bridge.contoso.com TOKEN=ptb_... dotnet run
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

var http = new HttpClient(new SocketsHttpHandler { AutomaticDecompression = DecompressionMethods.All })
{
    BaseAddress = new Uri(Environment.GetEnvironmentVariable("BRIDGE") + "/api/v1/"),
    Timeout = TimeSpan.FromSeconds(40), // above the 25 s of a long poll
};
http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Environment.GetEnvironmentVariable("TOKEN"));

var cursor = await Snapshot();
while (true)
{
    try
    {
        using var answer = await http.GetAsync($"presence/changes?wait=25&cursor={Uri.EscapeDataString(cursor)}");
        switch (answer.StatusCode)
        {
            case HttpStatusCode.OK:
                using (var body = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()))
                {
                    foreach (var change in body.RootElement.GetProperty("changes").EnumerateArray()) Apply(change);
                    cursor = body.RootElement.GetProperty("cursor").GetString()!; // only now: what was applied is done
                }
                continue;
            case HttpStatusCode.Gone:
                cursor = await Snapshot(); // forget whoever it does not list
                continue;
            case HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden:
                throw new InvalidOperationException(await answer.Content.ReadAsStringAsync());
        }
    }
    catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
    {
        Console.Error.WriteLine(e.Message);
    }
    await Task.Delay(TimeSpan.FromSeconds(5)); // the bridge is away: nothing is lost
}

// Everybody's state; the cursor of the first page is where changes begin.
async Task<string> Snapshot()
{
    string? first = null, next = null;
    do
    {
        var text = await http.GetStringAsync("presence" + (next is null ? "" : "?pageToken=" + Uri.EscapeDataString(next)));
        using var page = JsonDocument.Parse(text);
        first ??= page.RootElement.GetProperty("cursor").GetString();
        foreach (var item in page.RootElement.GetProperty("items").EnumerateArray()) Apply(item);
        next = page.RootElement.TryGetProperty("nextPageToken", out var token) ? token.GetString() : null;
    } while (next is not null);
    return first!;
}

void Apply(JsonElement change) => Console.WriteLine(change.GetRawText());
