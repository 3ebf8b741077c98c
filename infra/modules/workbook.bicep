metadata description = 'One page in the portal for the operator: how it stands, how old presences are, what changed, and what fails.'

@description('Makes its name another one for each bridge.')
param suffix string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Resource id of Application Insights, where the page is found and whose lines it asks.')
param insightsId string

@description('Address of docs/operations.md.')
param runbookUrl string

type look = 'table' | 'linechart' | 'barchart'

var lines = '''
let lines = traces
| where message startswith "{"
| extend line = parse_json(message)
| extend msg = tostring(line.msg);
lines
'''

func ask(title string, look look, prefix string, query string) object => {
  type: 3
  name: title
  content: {
    version: 'KqlItem/1.0'
    title: title
    query: '${prefix}${query}'
    queryType: 0
    resourceType: 'microsoft.insights/components'
    timeContextFromParameter: 'TimeRange'
    size: 0
    visualization: look
  }
}

func say(name string, text string) object => { type: 1, name: name, content: { json: text } }

var timeRange = {
  type: 9
  name: 'time range'
  content: {
    version: 'KqlParameterItem/1.0'
    style: 'pills'
    queryType: 0
    resourceType: 'microsoft.insights/components'
    parameters: [
      {
        id: guid('procall-teams-bridge', 'TimeRange')
        version: 'KqlParameterItem/1.0'
        name: 'TimeRange'
        label: 'Time range'
        type: 4
        isRequired: true
        value: { durationMs: 86400000 }
        typeSettings: {
          selectableValues: [
            { durationMs: 3600000 }
            { durationMs: 14400000 }
            { durationMs: 86400000 }
            { durationMs: 604800000 }
            { durationMs: 2592000000 }
          ]
          allowCustom: true
        }
      }
    ]
  }
}

var page = {
  version: 'Notebook/1.0'
  items: [
    say('head', '# ProCall Teams Bridge\nWhat a finding means and what to do: [runbook](${runbookUrl}).')
    timeRange
    ask(
      'Now',
      'table',
      lines,
      '''
| where msg == "state"
| top 1 by timestamp desc
| project at = timestamp, overall = tostring(line.overall), teamsToProCall = tostring(line.teamsToProCall),
    proCallToTeams = tostring(line.proCallToTeams), users = tolong(line.users), adminGrant = tostring(line.adminGrant),
    userGrant = tostring(line.userGrant), credentialDays = tolong(line.credentialDays), poisoned = tolong(line.poisoned)
'''
    )
    ask(
      'Findings',
      'table',
      lines,
      '''
| where msg == "finding"
| summarize since = min(timestamp), until = max(timestamp), minutes = count(), arg_max(timestamp, line)
    by code = tostring(line.code), fault = tobool(line.fault)
| project code, fault, finding = tostring(line["title"]), detail = tostring(line.detail), since, until, minutes, who = tostring(line.who)
| order by fault desc, until desc
'''
    )
    ask(
      'How old presences are (seconds): read from Teams, waiting for UCServer, calls waiting for Teams',
      'linechart',
      lines,
      '''
| where msg == "state"
| summarize read = max(tolong(line.asOfSeconds)), push = max(tolong(line.pushBehindSeconds)), calls = max(tolong(line.dueSeconds))
    by bin(timestamp, 5m)
'''
    )
    ask(
      'From an append to UCServer, and from a report to Teams (milliseconds, the slowest)',
      'linechart',
      lines,
      '''
| where msg in ("push", "write")
| summarize push = maxif(tolong(line.ageMillisMax), msg == "push"), calls = maxif(tolong(line.ageMillisMax), msg == "write"),
    queue = max(tolong(line.wakeMillisMax))
    by bin(timestamp, 5m)
'''
    )
    ask(
      'Changes: appended, pushed, polled',
      'linechart',
      lines,
      '''
| where msg in ("sync", "push", "poll")
| summarize appended = sumif(tolong(line.changes), msg == "sync"), pushed = sumif(tolong(line.changes), msg == "push"),
    polled = sumif(tolong(line.changes), msg == "poll")
    by bin(timestamp, 5m)
'''
    )
    ask(
      'Calls: reported, written to Teams, cleared there',
      'linechart',
      lines,
      '''
| where msg in ("report", "write")
| summarize reported = sumif(tolong(line.accepted), msg == "report"), written = sumif(tolong(line.sets), msg == "write"),
    cleared = sumif(tolong(line.clears), msg == "write")
    by bin(timestamp, 5m)
'''
    )
    ask(
      'Syncs: mean, longest, and longest pause between two (milliseconds)',
      'linechart',
      lines,
      '''
| where msg == "sync"
| summarize syncs = sum(tolong(line.syncs)), total = sum(tolong(line.millisSum)), longest = max(tolong(line.millisMax)),
    pause = max(tolong(line.gapMillisMax))
    by bin(timestamp, 5m)
| project timestamp, mean = iff(syncs == 0, 0.0, todouble(total) / syncs), longest, pause
'''
    )
    ask(
      'What failed: syncs, pushes, writes, polls',
      'barchart',
      lines,
      '''
| where msg in ("sync", "push", "write", "poll")
| summarize failed = sum(coalesce(tolong(line.failed), 0) + coalesce(tolong(line.unseen), 0) + coalesce(tolong(line.throttled), 0)) by msg, bin(timestamp, 15m)
'''
    )
    ask(
      'Other systems',
      'table',
      lines,
      '''
| where msg == "dependency"
| summarize requests = sum(tolong(line.requests)), failed = sum(tolong(line.failed)), throttled = sum(tolong(line.throttled)),
    slow = sum(tolong(line.slow)), total = sum(tolong(line.millisSum)), longestMillis = max(tolong(line.millisMax))
    by system = tostring(line.system)
| project system, requests, failed, throttled, slow, meanMillis = iff(requests == 0, 0.0, todouble(total) / requests), longestMillis
| order by system asc
'''
    )
    ask(
      'People: taking part, unmatched, ambiguous, missing from answers',
      'linechart',
      lines,
      '''
| where msg == "sync"
| summarize users = max(tolong(line.users)), unmatched = max(tolong(line.unmatched)), ambiguous = max(tolong(line.ambiguous)),
    absent = max(tolong(line["missing"]))
    by bin(timestamp, 15m)
'''
    )
    ask(
      'Warnings and errors',
      'table',
      lines,
      '''
| where tostring(line.level) in ("WARN", "ERROR")
| summarize lines = count(), since = min(timestamp), until = max(timestamp), example = take_any(tostring(line.error))
    by msg, function = tostring(line["function"])
| order by lines desc
'''
    )
    ask(
      'What the lines cost',
      'table',
      lines,
      '''
| summarize lines = count(), megabytes = round(sum(strlen(message)) / 1e6, 2) by msg
| order by megabytes desc
'''
    )
  ]
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, suffix)
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'ProCall Teams Bridge'
    category: 'workbook'
    sourceId: insightsId
    version: 'Notebook/1.0'
    serializedData: string(page)
  }
}
