// Reports one call: the complete list, its beginning, its end. .NET 8 or newer.
//   BRIDGE=https://bridge.contoso.com TOKEN=ptb_... dotnet run max.mustermann@domain.local
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

var user = args[0];
var epoch = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(); // one run of the reporter
var http = new HttpClient { BaseAddress = new Uri(Environment.GetEnvironmentVariable("BRIDGE") + "/api/v1/") };
http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Environment.GetEnvironmentVariable("TOKEN"));

// Nobody is on the phone when this reporter starts.
var receipt = await Send(HttpMethod.Put, new { epoch, asOfSeq = 0, items = Array.Empty<object>() });
Console.WriteLine($"lease until {receipt.GetProperty("lease").GetProperty("until")}");
receipt = await Send(HttpMethod.Post, new { epoch, items = new[] { new { user, state = "busy", reasons = new[] { "call" }, seq = 1 } } });
Console.WriteLine($"call begins: {receipt.GetProperty("results")[0]}");
await Task.Delay(TimeSpan.FromSeconds(5));
receipt = await Send(HttpMethod.Post, new { epoch, items = new[] { new { user, state = "available", reasons = Array.Empty<string>(), seq = 2 } } });
Console.WriteLine($"call ends: {receipt.GetProperty("results")[0]}");
// A real reporter goes on, and posts at least every 60 s, without items if nothing happens.

async Task<JsonElement> Send(HttpMethod method, object body)
{
    using var request = new HttpRequestMessage(method, "telephony") { Content = JsonContent.Create(body) };
    using var answer = await http.SendAsync(request);
    if (!answer.IsSuccessStatusCode) throw new InvalidOperationException(await answer.Content.ReadAsStringAsync());
    return await answer.Content.ReadFromJsonAsync<JsonElement>();
}
