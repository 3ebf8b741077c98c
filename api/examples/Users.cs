// Sends UCServer's users, and prints who does not take part and why. .NET 8 or newer.
//   BRIDGE=https://bridge.contoso.com TOKEN=ptb_... dotnet run users.ndjson
// Each line of the file is a user: {"id":"4711","name":"max.mustermann@domain.local","upn":"..."}
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

var lines = File.ReadLines(args[0]).Where(line => line.Trim() != "").ToList();
lines.Add($"{{\"count\":{lines.Count}}}"); // the last line counts the others
var http = new HttpClient { BaseAddress = new Uri(Environment.GetEnvironmentVariable("BRIDGE") + "/api/v1/"), Timeout = TimeSpan.FromMinutes(4) };
http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Environment.GetEnvironmentVariable("TOKEN"));

// Bytes in memory have a Content-Length, which the bridge demands.
var content = new ByteArrayContent(Encoding.UTF8.GetBytes(string.Join('\n', lines)));
content.Headers.ContentType = new MediaTypeHeaderValue("application/x-ndjson");
using var answer = await http.PutAsync("directory", content);
var text = await answer.Content.ReadAsStringAsync();
if (!answer.IsSuccessStatusCode) throw new InvalidOperationException(text);
foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
{
    using var result = JsonDocument.Parse(line);
    if (result.RootElement.TryGetProperty("count", out _) || result.RootElement.GetProperty("result").GetString() != "takesPart")
        Console.WriteLine(line);
}
