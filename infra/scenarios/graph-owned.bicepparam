// The least: the jobs of two applications that the identity owns.
using '../graph/main.bicep'

param identityPrincipalId = '0b7c2f5e-9d1a-4e83-b6f4-7a5c3e2d1f90'
param access = 'Application.ReadWrite.OwnedBy'
param ownedApplicationIds = [
  '11111111-2222-4333-8444-555555555555'
  '66666666-7777-4888-9999-000000000000'
]
