metadata description = 'Who is told what: an action group, and rules over the log lines that docs/log-schema.md describes. The rules ask what the bridge found out about itself; the first one asks whether it still finds out anything.'

@description('Ends the name of the action group.')
param suffix string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Resource id of Application Insights.')
param insightsId string

@description('Who gets an e-mail when a rule fires and when it is over. Empty: alerts stand in the portal only.')
param emails string[]

@description('Action groups of yours that are told as well: a ticket system, somebody on call.')
param moreActionGroupIds string[]

@description('Address of docs/operations.md; each alert links to its section there.')
param runbookUrl string

type rule = {
  name: string
  title: string
  severity: 0 | 1 | 2 | 3
  query: string
  every: 'PT5M' | 'PT15M' | 'PT1H'
  window: 'PT15M' | 'PT1H'
  // Rows in the window that it takes; null: it fires when there is none.
  rows: int?
  // Sections of the runbook.
  sections: string[]
  // Columns that tell one alert from another, and stand in the e-mail.
  by: string[]
}

var lines = '''
traces
| where message startswith "{"
| extend line = parse_json(message)
| extend msg = tostring(line.msg)
'''

// upkeep writes each finding once a minute, so a row is a minute.
func found(codes string[]) string =>
  format(
    '''
| where msg == "finding"
| extend code = tostring(line.code), heading = tostring(line["title"])
| where code in ({0})
''',
    '"${join(codes, '", "')}"'
  )

// A note with the code of a fault is a matter of minutes: a consent that Microsoft has
// yet to spread.
var faulty = '''
| where tobool(line.fault)
'''

var consents = ['authorization-required-read', 'authorization-required-write']
var reading = ['stale', 'no-sync']
var pushing = ['push-failing', 'push-behind', 'push-stopped']
var writing = ['writes-failing', 'writes-behind', 'reporter-silent']
var credentials = ['credential-expiring', 'credential-expired']
var alone = ['poison-messages', 'throttled', 'nobody-polls']

var rules rule[] = [
  {
    name: 'no-timers'
    title: 'No timer of the bridge runs'
    severity: 0
    query: '''
| where msg == "state"
'''
    every: 'PT5M'
    window: 'PT15M'
    sections: ['no-timers']
    by: []
  }
  {
    name: 'settings-fault'
    title: 'The bridge refuses every call because of its app settings'
    severity: 0
    query: '''
| where msg in ("refusing every call", "wake-up refused")
'''
    every: 'PT5M'
    window: 'PT15M'
    rows: 1
    sections: ['settings-fault']
    by: []
  }
  {
    name: 'authorization-required'
    title: 'A consent is missing or no longer accepted'
    severity: 1
    query: '${found(consents)}${faulty}'
    every: 'PT5M'
    window: 'PT15M'
    rows: 5
    sections: consents
    by: ['code', 'heading']
  }
  {
    name: 'sync-stale'
    title: 'Presences are not read from Teams'
    severity: 1
    query: '${found(reading)}${faulty}'
    every: 'PT5M'
    window: 'PT15M'
    rows: 5
    sections: reading
    by: ['code', 'heading']
  }
  {
    name: 'push-stale'
    title: 'UCServer does not get what changed'
    severity: 1
    query: '${found(pushing)}${faulty}'
    every: 'PT5M'
    window: 'PT15M'
    rows: 5
    sections: pushing
    by: ['code', 'heading']
  }
  {
    name: 'writes-failing'
    title: 'Calls do not reach Teams'
    severity: 1
    query: '${found(writing)}${faulty}'
    every: 'PT5M'
    window: 'PT15M'
    rows: 5
    sections: writing
    by: ['code', 'heading']
  }
  {
    name: 'other-fault'
    title: 'The bridge found a fault'
    severity: 2
    query: format(
      '''
| where msg == "finding" and tobool(line.fault)
| extend code = tostring(line.code), heading = tostring(line["title"])
| where code !in ({0})
''',
      '"${join(concat(consents, reading, pushing, writing, credentials, alone), '", "')}"'
    )
    every: 'PT15M'
    window: 'PT15M'
    rows: 5
    sections: ['other-fault']
    by: ['code', 'heading']
  }
  {
    name: 'poison-messages'
    title: 'Messages lie in a poison queue'
    severity: 2
    query: found(['poison-messages'])
    every: 'PT15M'
    window: 'PT15M'
    rows: 3
    sections: ['poison-messages']
    by: []
  }
  {
    name: 'defect'
    title: 'The handler ended or panicked'
    severity: 2
    query: '''
| where msg in ("handler ended", "invocation panicked")
'''
    every: 'PT15M'
    window: 'PT15M'
    rows: 1
    sections: ['defect']
    by: ['msg']
  }
  {
    name: 'throttled'
    title: 'Microsoft Graph keeps asking the bridge to wait'
    severity: 2
    query: found(['throttled'])
    every: 'PT15M'
    window: 'PT15M'
    rows: 10
    sections: ['throttled']
    by: []
  }
  {
    name: 'nobody-polls'
    title: 'Nobody polls, and nothing is pushed'
    severity: 2
    query: found(['nobody-polls'])
    every: 'PT15M'
    window: 'PT15M'
    rows: 5
    sections: ['nobody-polls']
    by: []
  }
  {
    name: 'credential-expiring'
    title: 'A credential of the bridge ends soon, or has ended'
    severity: 2
    query: found(credentials)
    every: 'PT1H'
    window: 'PT1H'
    rows: 30
    sections: credentials
    by: ['heading']
  }
]

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${suffix}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'procall'
    emailReceivers: [for email in emails: { name: email, emailAddress: email, useCommonAlertSchema: true }]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${rule.name}-${suffix}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'ProCall Teams Bridge: ${rule.title}'
      description: 'What to do: ${join(map(rule.sections, section => '${runbookUrl}#${section}'), ' ')}'
      severity: rule.severity
      enabled: true
      scopes: [insightsId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      autoMitigate: true
      skipQueryValidation: true // the tables come with the first line
      criteria: {
        allOf: [
          {
            query: '${lines}${rule.query}'
            timeAggregation: 'Count'
            operator: rule.?rows == null ? 'LessThan' : 'GreaterThanOrEqual'
            threshold: rule.?rows ?? 1
            dimensions: [for column in rule.by: { name: column, operator: 'Include', values: ['*'] }]
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: {
        actionGroups: concat([group.id], moreActionGroupIds)
        customProperties: { alert: rule.name, runbook: '${runbookUrl}#${rule.sections[0]}' }
      }
    }
  }
]
