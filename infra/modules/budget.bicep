metadata description = 'A monthly budget for the resource group; it warns and stops nothing.'

@description('Name of the budget.')
param name string

@description('Amount a month, in the currency of the subscription\'s bill.')
@minValue(1)
param amount int

@description('First day of the month from which it counts; empty: this month, and a budget that is there is left alone.')
param startsOn string

@description('First day of this month.')
param thisMonth string

@description('Id of the action group that is told.')
param actionGroupId string

var category = 'Cost'
var timeGrain = 'Monthly'
var notifications = {
  forecast: {
    enabled: true
    operator: 'GreaterThan'
    threshold: 100
    thresholdType: 'Forecasted'
    contactEmails: []
    contactGroups: [actionGroupId]
  }
  spent: {
    enabled: true
    operator: 'GreaterThan'
    threshold: 80
    thresholdType: 'Actual'
    contactEmails: []
    contactGroups: [actionGroupId]
  }
}

// The start of a budget cannot be changed (400 "Start date of budgets cannot be updated"), and a new
// one may not start in a past month: so it is made once, and in a later month nothing is sent for it.
@onlyIfNotExists()
#disable-next-line use-recent-api-versions // no deployment of the newest version was seen anywhere
resource first 'Microsoft.Consumption/budgets@2024-08-01' = if (empty(startsOn)) {
  name: name
  properties: {
    category: category
    amount: amount
    timeGrain: timeGrain
    timePeriod: {
      startDate: thisMonth
    }
    notifications: notifications
  }
}

// With the start that it has, the rest of a budget can be changed.
#disable-next-line use-recent-api-versions // as above
resource known 'Microsoft.Consumption/budgets@2024-08-01' = if (!empty(startsOn)) {
  name: name
  properties: {
    category: category
    amount: amount
    timeGrain: timeGrain
    timePeriod: {
      startDate: startsOn
    }
    notifications: notifications
  }
}
