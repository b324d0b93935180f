import { parseConfig } from '../../src/config.ts'
import { settingsOf } from '../../src/service.ts'

/** How long the cloud takes for a volume. */
export const CREATE_SECONDS = 4
export const REPLICAS = 2
export const POOLS = [
  { os: 'debian12', type: 'ssd', target: 3 },
  { os: 'debian12', type: 'sas', target: 2 },
  { os: 'windows2022', type: 'ssd', target: 1 }
]
export const SETTINGS = settingsOf(
  parseConfig(
    {
      database: { url: 'postgres://simulated' },
      openstack: { auth: { auth_url: 'http://simulated' } },
      pools: POOLS,
      limits: { creating_max: 4, creating_max_per_snapshot: 2, budget_gib: 400 }
    },
    {},
    'the simulation'
  )
)
