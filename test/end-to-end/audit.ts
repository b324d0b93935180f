import assert from 'node:assert/strict'
import type { Body } from '../support/session.ts'
import type { RealPool } from './support.ts'
import { allTransfers, allVolumes } from './sweep.ts'

/**
 * Holds what the service says of itself against Cinder's own listing of all projects: no disk lost, doubled or left
 * behind. `foreign`: volumes that the test made by hand, and that must be as it left them.
 */
export async function audit(it: RealPool, foreign: readonly string[] = []): Promise<void> {
  const [volumes, transfers, spares, claims] = await Promise.all([
    allVolumes(it.admin),
    allTransfers(it.admin),
    it.call(it.admin, 'GET', '/pool/volumes').then(({ body }) => body.volumes as Body[]),
    it.call(it.admin, 'GET', '/pool/claims?limit=1000').then(({ body }) => body.claims as Body[])
  ])
  const findings = [
    ...spares.flatMap(spare => faultsOfSpare(it, spare, volumes, transfers)),
    ...claims.flatMap(claim => faultsOfClaim(claim, volumes)),
    ...doubled(claims.map(claim => claim.volume_id)).map(id => `volume ${id} was given to two claims`),
    ...doubled(volumes.map(one => `${projectOf(one)} ${one.name}`)).map(name => `two volumes are named ${name}`)
  ]
  const known = new Set([...spares, ...claims].map(({ volume_id: id }) => id).concat(foreign))
  for (const volume of volumes) if (!known.has(volume.id)) findings.push(`left behind: ${shown(volume)}`)
  for (const id of foreign) if (!volumes.some(one => one.id === id)) findings.push(`foreign volume ${id} is gone`)
  const armed = new Set(spares.map(({ volume_id: id }) => id))
  for (const one of transfers) if (!armed.has(one.volume_id)) findings.push(`transfer left behind: ${one.name}`)
  assert.deepEqual(findings, [])
}

const projectOf = (volume: Body): string => volume['os-vol-tenant-attr:tenant_id']
const shown = (volume: Body): string =>
  `${volume.id} "${volume.name}" ${volume.status} in ${projectOf(volume)} ${JSON.stringify(volume.metadata)}`

/** In stock: in the pool's project under its own name and metadata, waiting in one transfer where it is armed ahead of time. */
function faultsOfSpare(it: RealPool, spare: Body, volumes: readonly Body[], transfers: readonly Body[]): string[] {
  const volume = volumes.find(({ id }) => id === spare.volume_id)
  if (!volume) return [`lost: spare ${spare.id} has no volume ${spare.volume_id} any more`]
  const waiting = transfers.filter(({ volume_id: id }) => id === volume.id)
  const { handover, prearm } = it.config.claims
  const isArmed = handover === 'transfer' && prearm
  const isAsItShouldBe =
    spare.status === 'available' &&
    volume.status === (isArmed ? 'awaiting-transfer' : 'available') &&
    volume.name === `spare-${spare.id}` &&
    projectOf(volume) === it.pool.projectId &&
    volume.metadata.spare_pool === it.config.deployment &&
    volume.metadata.spare_id === spare.id &&
    waiting.length === (isArmed ? 1 : 0)
  return isAsItShouldBe
    ? []
    : [`spare ${spare.id} is ${spare.status}, ${waiting.length} transfers, and ${shown(volume)}`]
}

/** Settled: its volume is in its project, under its name, without our metadata. `gone`: its owner has deleted it. */
function faultsOfClaim(claim: Body, volumes: readonly Body[]): string[] {
  if (claim.status === 'gone') return []
  const volume = volumes.find(({ id }) => id === claim.volume_id)
  if (!volume) return [`lost: claim ${claim.name} has no volume ${claim.volume_id} any more`]
  const isItsOwn =
    claim.status === 'available' &&
    volume.name === claim.name &&
    projectOf(volume) === claim.project_id &&
    volume.metadata.spare_pool === undefined
  return isItsOwn ? [] : [`claim ${claim.name} is ${claim.status}, and its volume ${shown(volume)}`]
}

const doubled = (all: readonly string[]): string[] => [...new Set(all.filter((one, at) => all.indexOf(one) !== at))]
