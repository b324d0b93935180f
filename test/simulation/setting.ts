import { LOCALES } from '../../sandbox/cloud.ts'
import type { Release } from '../../sandbox/releases.ts'
import { parseConfig } from '../../src/config/config.ts'
import { settingsOf } from '../../src/settings.ts'
import { askedLocale, askedRelease, type CloudSetting } from '../support/cloud-setting.ts'
import { SERVICE_ROLES, type ServiceRole } from '../support/service-role.ts'

/** How long the cloud takes for a volume. */
export const CREATE_SECONDS = 4
export const DELAYS = { creating: CREATE_SECONDS * 1000, deleting: 500, extending: 1500 }
/** Between the check and the write of what old releases do without a look at what has happened in between. */
export const BLIND_DELAYS = { transfer_create: 150, transfer_accept: 150, renaming: 150 }
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

/** Those that differ most in what they do behind their API. */
const RELEASES: readonly Release[] = ['mitaka', 'latest', 'newton', 'rocky', 'ocata', 'latest', 'queens', 'train']

/** What a seed decides about the cloud and our place in it; the environment may fix some of it. */
export function surroundings(seed: number): CloudSetting & { readonly role: ServiceRole } {
  const pick = <T>(from: readonly T[], turn: number): T | undefined => from[Math.floor(seed / turn) % from.length]
  const role = pick(SERVICE_ROLES, 2) ?? 'member'
  const release = askedRelease ?? pick(RELEASES, 2 * SERVICE_ROLES.length) ?? 'latest'
  const locale = askedLocale ?? pick(LOCALES, 2 * SERVICE_ROLES.length * RELEASES.length) ?? 'en'
  return { role, release, locale }
}
