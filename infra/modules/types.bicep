metadata description = 'Types that the modules share.'

@export()
@description('Tags of a resource.')
type tagMap = {
  @description('A tag.')
  *: string
}

@export()
@description('The app settings that a deployer chooses, by the names under which the app reads them (docs/use/settings.md).')
type chosenSettings = {
  @description('The catalogue: the only jobs that may be reset. JSON, or @file.json beside host.json.')
  RESET_TARGETS: string

  @description('The kill switch: unless it is true, no restart is sent.')
  RESETS_ENABLED: 'true' | 'false'

  @description('Restarts a UTC day over all targets.')
  RESET_DAILY_BUDGET: string

  @description('Older requests expire. ISO 8601 duration.')
  RESET_MAX_AGE: string

  @description('How long a question to a person stays open. ISO 8601 duration.')
  APPROVAL_EXPIRY: string

  @description('How often a running cycle is checked. ISO 8601 duration.')
  FOLLOW_UP_INTERVAL: string

  @description('How long ended resets are kept. ISO 8601 duration.')
  RESET_RETENTION: string

  @description('When the sweep runs. NCRONTAB, seconds first.')
  SWEEP_SCHEDULE: string

  @description('When scheduled remediation runs. NCRONTAB, seconds first.')
  REMEDIATION_SCHEDULE: string

  @description('Who may send webhooks, and what each may reach. JSON.')
  WEBHOOK_SENDERS: string

  @description('Address of Microsoft Graph without version.')
  GRAPH_ENDPOINT: string
}

@export()
@description('Sign-in by Microsoft Entra in front of the operator endpoints; an empty clientId leaves it off.')
type signIn = {
  @description('Application (client) id of the app registration that infra/graph/sign-in.bicep makes.')
  clientId: string

  @description('Paths that stay open to callers without a sign-in, beside health and the API description: one a webhook sender.')
  openPaths: string[]
}

@export()
@description('The query and the wording of a log alert.')
type alertRule = {
  @description('Short name; also the section of docs/operate/runbook.md.')
  name: string

  @description('One line for the person who is called.')
  title: string

  @description('0 critical, 1 error, 2 warning, 3 informational.')
  severity: 0 | 1 | 2 | 3

  @description('The query, from infra/queries.')
  query: string

  @description('How often it is evaluated. ISO 8601 duration.')
  every: string

  @description('How far it looks back. ISO 8601 duration.')
  window: string

  @description('The column that is compared; without one the rows are counted.')
  measure: string?

  @description('How the measure is compared.')
  operator: 'GreaterThan' | 'LessThan'

  @description('With what.')
  threshold: int

  @description('Columns that split it into one alert each.')
  dimensions: string[]
}
