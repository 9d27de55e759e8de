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

  @description('Resets of one sender that may be open.')
  RESET_MAX_OPEN: string

  @description('How long a question to a person stays open. ISO 8601 duration.')
  APPROVAL_EXPIRY: string

  @description('How long an approval that was given lasts, as an ISO 8601 duration.')
  APPROVAL_VALID: string

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
@description('Sign-in by Microsoft Entra; an empty clientId leaves it off.')
type signIn = {
  @description('Application (client) id of the app registration that infra/graph/sign-in.bicep makes.')
  clientId: string

  @description('Application ids whose tokens are taken, beside the registration itself and the Azure CLI.')
  clients: string[]

  @description('Whether the platform itself turns away callers without a sign-in. Otherwise the app does, route by route.')
  isRequired: bool

  @description('Paths that stay open where sign-in is required, beside health and the API description: one a webhook sender that proves itself.')
  openPaths: string[]
}

@export()
@description('Names of resources in place of the generated ones; what is left out keeps its own.')
type givenNames = {
  @description('Action group.')
  actionGroup: string?

  @description('Function app.')
  app: string?

  @description('Workspace of the audit.')
  auditWorkspace: string?

  @description('Budget.')
  budget: string?

  @description('Application Insights component.')
  component: string?

  @description('Identity of the app.')
  identity: string?

  @description('Virtual network.')
  network: string?

  @description('Plan.')
  plan: string?

  @description('Storage account: 3 to 24 lower-case letters and digits.')
  storage: string?

  @description('Key Vault: 3 to 24 letters, digits and hyphens.')
  vault: string?

  @description('Workspace of the logs.')
  workspace: string?
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
