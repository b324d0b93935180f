import type { Volume } from '../../sandbox/model.ts'
import type { SpareRow, Tables } from '../simulation/tables.ts'
import { readTables } from '../simulation/watch.ts'
import type { Told, Wish } from './callers.ts'
import { type Foreign, looksOf } from './foreign.ts'
import { DEPLOYMENT, type PoolTarget, type Stage } from './stage.ts'

/** What was found wrong, in words; all of it empty where every promise was kept. */
export interface Findings {
  readonly givenTwice: readonly string[]
  readonly withTwoDisks: readonly string[]
  /** A repeat was answered with another claim, or another source. */
  readonly withTwoRecords: readonly string[]
  readonly withoutDisk: readonly string[]
  readonly lost: readonly string[]
  readonly foreignTouched: readonly string[]
  /** Disks that the service has changed after it had answered their claim. */
  readonly changedAfterwards: readonly string[]
  /** What is wrong with the stock. */
  readonly stock: readonly string[]
}

export interface Audited {
  readonly stage: Stage
  readonly wishes: ReadonlySet<Wish>
  readonly told: Told
  readonly foreign: Foreign
}

/** Everything that is known of what happened: from callers, from the cloud and its journal, and from the tables. */
interface Evidence extends Audited {
  readonly given: Told['given']
  readonly tables: Tables
  /** All volumes but the golden ones. */
  readonly volumes: readonly Volume[]
  /** Where the service has moved each volume, as often as it did. */
  readonly moves: ReadonlyMap<string, readonly string[]>
}

export async function audit(audited: Audited): Promise<Findings> {
  const evidence = await gather(audited)
  return {
    givenTwice: givenTwice(evidence),
    withTwoDisks: withTwoDisks(evidence),
    withTwoRecords: [...audited.told.records]
      .filter(([, records]) => records.size > 1)
      .map(([wish, records]) => `${shown(wish)} is ${[...records].join(' and ')}`),
    withoutDisk: withoutDisk(evidence),
    lost: [...unknownToTheService(evidence), ...goneThoughGiven(evidence)],
    foreignTouched: foreignTouched(evidence),
    changedAfterwards: changedAfterwards(evidence),
    stock: [...notFull(evidence), ...evidence.tables.spares.flatMap(spare => faultsOfSpare(evidence, spare))]
  }
}

/** How many spares are in stock, of a pool or of all. */
export const stockOf = ({ spares }: Tables, pool?: PoolTarget): number =>
  spares.filter(({ status, os, type }) => status === 'available' && (!pool || (pool.os === os && pool.type === type)))
    .length

async function gather(audited: Audited): Promise<Evidence> {
  const { cloud, db } = audited.stage
  const golden = new Set([...cloud.snapshots.values()].map(({ volumeId }) => volumeId))
  const moves = new Map<string, string[]>()
  for (const { change, volume_id: id = '', to } of cloud.journal.after()) {
    if (change === 'volume.moved') moves.set(id, [...(moves.get(id) ?? []), String(to)])
  }
  const volumes = [...cloud.volumes.of()].filter(({ id }) => !golden.has(id))
  return { ...audited, given: audited.told.given, tables: await readTables(db), volumes, moves }
}

/** By what callers were told, by the tables, and by where the cloud has put it. */
function givenTwice({ given, tables, moves }: Evidence): string[] {
  const told = [...given.values()].flatMap(volumes => [...volumes.keys()])
  const recorded = tables.claims.flatMap(({ status, volume_id: id }) => (status === 'available' && id ? [id] : []))
  return [
    ...doubled(told).map(id => `callers of two claims were told of volume ${id}`),
    ...doubled(recorded).map(id => `two claims have volume ${id}`),
    ...[...moves].filter(([, to]) => to.length > 1).map(([id, to]) => `volume ${id} was moved to ${to.join(', then ')}`)
  ]
}

function withTwoDisks({ stage, given, volumes }: Evidence): string[] {
  const told = [...given].filter(([, of]) => of.size > 1)
  const named = volumes
    .filter(({ projectId }) => projectId !== stage.project('pool'))
    .map(({ projectId, name }) => `${projectId} ${name}`)
  return [
    ...told.map(([wish, of]) => `${shown(wish)} was told of ${[...of.keys()].join(' and ')}`),
    ...doubled(named).map(name => `two volumes are named ${name}`)
  ]
}

/** Each wish is a claim that is settled, and its disk is where it should be, under its name, and its owner's alone. */
function withoutDisk({ stage, wishes, given, tables }: Evidence): string[] {
  const claims = new Map(tables.claims.map(claim => [`${claim.project_id} ${claim.name}`, claim]))
  return [...wishes].flatMap(wish => {
    const projectId = stage.project(wish.project)
    const [id = ''] = given.get(wish)?.keys() ?? []
    const claim = claims.get(`${projectId} ${nameOf(wish)}`)
    const volume = stage.cloud.volumes.get(id)
    const isServed =
      claim?.status === 'available' &&
      claim.volume_id === id &&
      volume?.projectId === projectId &&
      volume.name === nameOf(wish) &&
      volume.status === 'available' &&
      volume.metadata['spare_pool'] === undefined &&
      volume.sizeGib >= (wish.size ?? 0)
    return isServed ? [] : [`${shown(wish)} was given ${id}: ${JSON.stringify(claim)}, ${looksOf(stage.cloud, id)}`]
  })
}

/** What the service has made and what is still there is a spare's or a claim's. */
function unknownToTheService({ stage, volumes, tables, foreign }: Evidence): string[] {
  const known = new Set([...tables.spares, ...tables.claims].map(({ volume_id: id }) => id))
  return volumes
    .filter(({ id }) => !known.has(id) && !foreign.has(id))
    .map(({ id }) => `nobody knows ${looksOf(stage.cloud, id)}`)
}

const goneThoughGiven = ({ stage, given }: Evidence): string[] =>
  [...given].flatMap(([wish, of]) =>
    [...of.keys()].filter(id => !stage.cloud.volumes.get(id)).map(id => `${id} of ${shown(wish)} is gone`)
  )

function foreignTouched({ stage: { cloud, admin }, foreign }: Evidence): string[] {
  const changes = cloud.journal
    .after()
    .filter(({ volume_id: id = '', user_id: user }) => foreign.has(id) && user !== admin.userId)
  return [
    ...changes.map(({ change, volume_id: id, from, to }) => `${change} of ${id} from ${String(from)} to ${String(to)}`),
    ...[...foreign].filter(([id, looks]) => looksOf(cloud, id) !== looks).map(([id, looks]) => `${id} was ${looks}`)
  ]
}

function changedAfterwards({ stage: { cloud }, given }: Evidence): string[] {
  const answered = new Map([...given.values()].flatMap(of => [...of]))
  return cloud.journal
    .after()
    .filter(({ volume_id: id = '', sequence }) => sequence > (answered.get(id) ?? Number.POSITIVE_INFINITY))
    .map(entry => `after its claim was answered: ${JSON.stringify(entry)}`)
}

const notFull = ({ stage: { pools }, tables }: Evidence): string[] =>
  pools
    .filter(pool => stockOf(tables, pool) < pool.target)
    .map(pool => `${stockOf(tables, pool)} of ${pool.target} ${pool.os} on ${pool.type}`)

/** In stock, under its own name and metadata, waiting in the one transfer whose key is known. */
function faultsOfSpare({ stage: { cloud } }: Evidence, spare: SpareRow): string[] {
  const volume = cloud.volumes.get(spare.volume_id ?? '')
  const transfers = cloud.transfers.ofVolume(spare.volume_id ?? '')
  const isAsItShouldBe =
    spare.status === 'available' &&
    volume?.status === 'awaiting-transfer' &&
    volume.name === spare.name &&
    volume.metadata['spare_pool'] === DEPLOYMENT &&
    volume.metadata['spare_id'] === spare.id &&
    transfers.length === 1 &&
    transfers[0]?.id === spare.transfer_id
  return isAsItShouldBe
    ? []
    : [
        `spare ${spare.id} is ${spare.status}, in ${transfers.length} transfers: ${looksOf(cloud, spare.volume_id ?? '')}`
      ]
}

const nameOf = ({ hostname }: Wish): string => `${hostname}_sys`
const shown = (wish: Wish): string => `${wish.hostname} of ${wish.project}`

function doubled(all: readonly string[]): string[] {
  const [once, twice] = [new Set<string>(), new Set<string>()]
  for (const one of all) (once.has(one) ? twice : once).add(one)
  return [...twice]
}
