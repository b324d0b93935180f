/** Everything that a release of Cinder decides, in one place: no other file knows the name of one. */
import type { Operation } from './delays.ts'

export const RELEASES = [
  'mitaka',
  'newton',
  'ocata',
  'pike',
  'queens',
  'rocky',
  'stein',
  'train',
  'ussuri',
  'victoria',
  'wallaby',
  'xena',
  'yoga',
  'zed',
  '2023.1',
  '2023.2',
  '2024.1',
  '2024.2',
  '2025.1',
  '2025.2',
  '2026.1',
  'latest'
] as const
export type Release = (typeof RELEASES)[number]

export type ApiVersion = 'v1' | 'v2' | 'v3'
export type CatalogEntry = 'volume' | 'volumev2' | 'volumev3' | 'block-storage'

/** Who set a cloud up, and so which entries Keystone's catalogue has. */
export const DEPLOYERS = ['guide', 'puppet', 'kolla', 'devstack'] as const
export type Deployer = (typeof DEPLOYERS)[number]

/** What a release does in its own way. */
export interface Traits {
  // ---- Versions and requests
  /** The N of the highest microversion, 3.N. */
  readonly maxMinor: number
  /** Served beside v3. */
  readonly oldVersions: readonly ApiVersion[]
  /** `GET /` lists all versions, also those that are not served. */
  readonly listsAllVersions: boolean
  /** Without a microversion's header a request's version is looked for in its URL, these in this order. */
  readonly versionsSoughtInUrl: readonly ApiVersion[]
  /** Answers that are errors repeat the microversion with the word `volume` before it. */
  readonly namesServiceInErrors: boolean
  readonly projectMayBeLeftOut: boolean
  /** What the token middleware answers is no JSON. */
  readonly refusesTokensInPlainText: boolean
  /** To a body that is no JSON. */
  readonly mediaTypeStatus: 400 | 415
  /** JSON schemas check all bodies: keys that they do not name are refused. Before, such keys were ignored. */
  readonly checksBodies: boolean
  readonly honoursAcceptLanguage: boolean
  /** `X-OpenStack-Request-ID` is kept beside Cinder's own id. */
  readonly takesRequestIds: boolean

  // ---- Keystone
  readonly catalogs: Readonly<Partial<Record<Deployer, readonly CatalogEntry[]>>>
  /** Block storage is registered without a project at the end of its address, by these. */
  readonly catalogWithoutProject: readonly Deployer[]
  readonly hasFernetTokens: boolean
  readonly hasApplicationCredentials: boolean

  // ---- Transfers
  /** `/volume-transfers` beside `/os-volume-transfer`. */
  readonly hasNewTransferPath: boolean
  /** Snapshots move with their volume, unless `no_snapshots` is set. Before, they stayed with the donor. */
  readonly snapshotsMove: boolean
  /** Encrypted volumes move, and their keys stay behind. */
  readonly givesEncryptedAway: boolean
  /** These check first, then take their time, and then write whatever has happened meanwhile. */
  readonly writesBlindly: readonly Operation[]
  readonly acceptMovesUpdatedAt: boolean
  /** Lists of transfers know filters. Before, they were the whole project's, in no order, cut by `limit` and `offset`. */
  readonly filtersTransfers: boolean
  /** A member that asks for all projects' transfers gets none. */
  readonly emptiesAllTenants: boolean

  // ---- Volumes
  /** PUT writes metadata first and then the name, which needs the volume to be the caller's still. */
  readonly renamesInTwoWrites: boolean
  /** While it flattens, cinder-volume does nothing else. */
  readonly flattenBlocks: boolean
  /** Accept and extend know a limit for each volume's size. */
  readonly limitsEachVolume: boolean
  /** Extend looks at the size before it looks at the status. */
  readonly extendChecksSizeFirst: boolean
  readonly deletable: readonly string[]
  /** Of a volume from a snapshot: the snapshot's whatever is said, what is said, or else the default instead of the snapshot's. */
  readonly typeFromSnapshot: 'always' | 'unless said' | 'never'
  readonly hasNullTypes: boolean
  /** A create from a snapshot passes the scheduler, which says no while cinder-volume is down. */
  readonly schedulesCopies: boolean
  /** A restart of cinder-volume puts all that are `creating` into `error`, those that are made after it too. */
  readonly restartFailsAll: boolean
  /** By which anyone may filter volumes before microversion 3.31, and since. */
  readonly oldFilters: readonly string[]
  readonly fileFilters: readonly string[]
  readonly hasMessages: boolean
  /** Messages tell a failure's reason; before, they were a few fixed sentences. */
  readonly tellsReasons: boolean
}

const MITAKA: Traits = {
  maxMinor: 0,
  oldVersions: ['v1', 'v2'],
  listsAllVersions: true,
  versionsSoughtInUrl: ['v1', 'v2'],
  namesServiceInErrors: false,
  projectMayBeLeftOut: false,
  refusesTokensInPlainText: true,
  mediaTypeStatus: 400,
  checksBodies: false,
  honoursAcceptLanguage: true,
  takesRequestIds: false,
  catalogs: {
    guide: ['volume', 'volumev2'],
    puppet: ['volume', 'volumev2', 'volumev3'],
    devstack: ['volume', 'volumev2']
  },
  catalogWithoutProject: [],
  hasFernetTokens: false,
  hasApplicationCredentials: false,
  hasNewTransferPath: false,
  snapshotsMove: false,
  givesEncryptedAway: true,
  writesBlindly: ['transfer_create', 'transfer_accept'],
  acceptMovesUpdatedAt: false,
  filtersTransfers: false,
  emptiesAllTenants: false,
  renamesInTwoWrites: true,
  flattenBlocks: true,
  limitsEachVolume: false,
  extendChecksSizeFirst: false,
  deletable: ['available', 'error', 'error_restoring', 'error_extending'],
  typeFromSnapshot: 'always',
  hasNullTypes: true,
  schedulesCopies: false,
  restartFailsAll: true,
  oldFilters: ['name', 'status', 'metadata', 'availability_zone', 'bootable'],
  fileFilters: ['name', 'status', 'metadata', 'availability_zone', 'bootable', 'group_id', 'migration_status', 'size'],
  hasMessages: false,
  tellsReasons: false
}

/** What became different with each; where a bug was mended in a later point release, this is the one before. */
const CHANGES: Record<Release, (before: Traits) => Partial<Traits>> = {
  mitaka: () => ({}),
  newton: ({ catalogs, oldFilters }) => ({
    maxMinor: 15,
    namesServiceInErrors: true,
    refusesTokensInPlainText: false,
    catalogs: { ...catalogs, devstack: ['volume', 'volumev2', 'volumev3'] },
    limitsEachVolume: true,
    extendChecksSizeFirst: true,
    oldFilters: [...oldFilters, 'group_id'],
    hasMessages: true
  }),
  ocata: ({ catalogs, deletable }) => ({
    maxMinor: 27,
    catalogs: { ...catalogs, guide: ['volumev2', 'volumev3'], kolla: ['volume', 'volumev2'] },
    hasFernetTokens: true,
    writesBlindly: [],
    renamesInTwoWrites: false,
    flattenBlocks: false,
    deletable: [...deletable, 'error_managing'],
    restartFailsAll: false
  }),
  pike: ({ catalogs }) => ({
    maxMinor: 43,
    listsAllVersions: false,
    takesRequestIds: true,
    catalogs: { ...catalogs, kolla: ['volume', 'volumev2', 'volumev3'] },
    tellsReasons: true
  }),
  queens: ({ catalogs }) => ({
    maxMinor: 50,
    oldVersions: ['v2'],
    versionsSoughtInUrl: ['v2'],
    catalogs: { ...catalogs, devstack: ['volume', 'volumev2', 'volumev3', 'block-storage'] },
    hasApplicationCredentials: true,
    givesEncryptedAway: false,
    acceptMovesUpdatedAt: true,
    schedulesCopies: true
  }),
  rocky: () => ({
    maxMinor: 55,
    checksBodies: true,
    hasNewTransferPath: true,
    snapshotsMove: true,
    typeFromSnapshot: 'unless said'
  }),
  stein: ({ catalogs }) => ({
    maxMinor: 59,
    mediaTypeStatus: 415,
    catalogs: { ...catalogs, puppet: ['volumev2', 'volumev3'] },
    filtersTransfers: true,
    emptiesAllTenants: true
  }),
  train: () => ({ typeFromSnapshot: 'never', hasNullTypes: false }),
  ussuri: ({ fileFilters }) => ({ maxMinor: 60, fileFilters: [...fileFilters, 'created_at', 'updated_at'] }),
  victoria: () => ({ maxMinor: 62, emptiesAllTenants: false, typeFromSnapshot: 'unless said' }),
  wallaby: ({ catalogs }) => ({
    maxMinor: 64,
    catalogs: { ...catalogs, puppet: ['volumev3'], kolla: ['volumev3'] }
  }),
  xena: ({ catalogs, fileFilters }) => ({
    maxMinor: 66,
    oldVersions: [],
    versionsSoughtInUrl: [],
    catalogs: { ...catalogs, guide: ['volumev3'], devstack: ['volumev3', 'block-storage'] },
    fileFilters: [...fileFilters, 'consumes_quota']
  }),
  yoga: () => ({ maxMinor: 68, projectMayBeLeftOut: true, honoursAcceptLanguage: false }),
  zed: () => ({ maxMinor: 70 }),
  '2023.1': () => ({}),
  '2023.2': () => ({}),
  '2024.1': () => ({ maxMinor: 71 }),
  '2024.2': () => ({}),
  '2025.1': () => ({}),
  '2025.2': () => ({}),
  '2026.1': () => ({}),
  latest: ({ catalogs }) => ({
    // Guides name `block-storage` alone; a cloud that was upgraded keeps the older entry beside it.
    catalogs: {
      ...catalogs,
      guide: ['block-storage', 'volumev3'],
      puppet: ['block-storage', 'volumev3'],
      kolla: ['block-storage']
    },
    catalogWithoutProject: ['kolla']
  })
}

const TRAITS = new Map<Release, Traits>()
let newest = MITAKA
for (const release of RELEASES) {
  newest = { ...newest, ...CHANGES[release](newest) }
  TRAITS.set(release, newest)
}

export function traitsOf(release: Release): Traits {
  const traits = TRAITS.get(release)
  if (!traits) throw new RangeError(`release: must be one of ${RELEASES.join(', ')}, not ${release}`)
  return traits
}

/** What operators decide themselves, whatever the release; what one of them cannot have is refused. */
export interface Variant {
  readonly catalog: Deployer
  /** `enable_v3_api = false`: `GET /` does not list v3, which is served all the same. */
  readonly hidesV3: boolean
  /** The file with the paths was kept from before v3: only the older versions are served, if there are any. */
  readonly withoutV3: boolean
  /** False: the file that names the filters since 3.31 is missing. */
  readonly resourceFilters: boolean
  /** No default volume type is set, so that volumes may have none. */
  readonly nullTypes: boolean
  /** `rbd_flatten_volume_from_snapshot`: a copy is made independent of its snapshot. */
  readonly flattens: boolean
  /** False: a policy leaves out of `GET /limits` what is used. */
  readonly usedLimits: boolean
  /** The role that lets a user work in a project, such as `_member_` on older clouds. */
  readonly memberRole: string
}

const USUAL: Variant = {
  catalog: 'guide',
  hidesV3: false,
  withoutV3: false,
  resourceFilters: true,
  nullTypes: false,
  flattens: true,
  usedLimits: true,
  memberRole: 'member'
}

export function variantOf(given: Partial<Variant>): Variant {
  const { catalog, hidesV3, withoutV3, resourceFilters, nullTypes, flattens, usedLimits, memberRole } = {
    ...USUAL,
    ...given
  }
  return { catalog, hidesV3, withoutV3, resourceFilters, nullTypes, flattens, usedLimits, memberRole }
}

/** Refuses what never was together. */
export function checkVariant(release: Release, variant: Variant): void {
  const traits = traitsOf(release)
  const never = (option: string): never => {
    throw new RangeError(`${option}: no cloud of release ${release} has it`)
  }
  if (!traits.catalogs[variant.catalog]) never(`catalog ${variant.catalog}`)
  if (variant.hidesV3 && traits.listsAllVersions) never('hidesV3')
  if (!variant.resourceFilters && traits.maxMinor < 31) never('resourceFilters')
  if (variant.nullTypes && !traits.hasNullTypes) never('nullTypes')
}
