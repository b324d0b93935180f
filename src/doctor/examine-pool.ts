import { attempt } from '../operations/attempt.ts'
import { type ImagesInCinder, readAllImages } from '../operations/images/read-images.ts'
import { ENCRYPTED, type Image } from '../pool/image.ts'
import type { Call, Project, Volume } from '../pool/ports.ts'
import { transferPaging } from '../pool/release.ts'
import { DEPLOYMENT_KEY, samePool } from '../pool/spare.ts'
import type { StoredStock } from '../pool/stores.ts'
import { cannotMove } from '../pool/verdict.ts'
import { type ImageFacts, imageOf, judgeImage, judgeSnapshots, judgeVolumes } from './examination.ts'
import { cinderAdvice, type Examined } from './examined.ts'
import { type Finding, failed, skipped } from './finding.ts'
import { judgeQuota } from './quota-examination.ts'
import { type CinderFacts, judgeRelease, judgeTransferList, type TransferFacts } from './release-examination.ts'

/** The pool's project, and what is known of it beside what Cinder tells. */
interface Place {
  readonly examined: Examined
  readonly pool: Project
  readonly cinder: CinderFacts
  /** Undefined: the database could not be read. */
  readonly stock: StoredStock | undefined
}

/** What Cinder's release, and what is in the pool's project, mean for the pools. */
export async function examinePool(place: Place, call: Call): Promise<Finding[]> {
  const { examined, pool, cinder, stock } = place
  const { settings } = examined
  const snapshots = await attempt(() => pool.snapshots.list(call))
  const images = await attempt(() => readImages(place, call))
  const facts = images instanceof Error || snapshots instanceof Error ? undefined : { ...images, snapshots }
  const known = facts && imageFacts(examined, facts, stock?.images)
  const ours = await attempt(() => listOurs(place, call))
  const failure = [snapshots, images].find(one => one instanceof Error)
  return [
    ...judgeRelease(cinder, { handover: settings.handover, images: facts?.images, ignored: facts?.ignored }),
    await examineTransfers(place, ours, call),
    ...(known
      ? [...judgeSnapshots(known), ...settings.targets.map(target => judgeImage(target, known))]
      : [failed('pools.snapshots', failure?.message ?? '', cinderAdvice(failure))]),
    ...(await examineQuota(place, known, ours, call)),
    ours instanceof Error
      ? failed('pools.volumes', ours.message, cinderAdvice(ours))
      : judgeVolumes(settings.deployment, ours, stock?.holdings.length)
  ]
}

type Images = ImagesInCinder & Pick<ImageFacts, 'encrypted'>

async function readImages(place: Place, call: Call): Promise<Images> {
  const found = await readAllImages(place.examined, call)
  return { ...found, encrypted: await readEncrypted(place, found, call) }
}

/** Snapshots of which no disk can be handed over: those that were refused, and of table os what the naming rule does not choose. */
async function readEncrypted(
  { examined, pool, stock }: Place,
  found: ImagesInCinder,
  call: Call
): Promise<Set<string>> {
  const { targets, handover } = examined.settings
  const encrypted = new Set(found.ignored.filter(({ reason }) => reason === ENCRYPTED).map(one => one.snapshotId))
  const seen = new Set(found.images.map(({ snapshotId }) => snapshotId))
  for (const image of stock?.images ?? []) {
    if (seen.has(image.snapshotId) || !targets.some(target => samePool(target, image))) continue
    const source = await pool.volumes.find(image.volumeId, call)
    if (source && cannotMove(source, handover)) encrypted.add(image.snapshotId)
  }
  return encrypted
}

const imageFacts = ({ settings }: Examined, found: Images, inTable: readonly Image[] | undefined): ImageFacts => ({
  source: settings.imagesSource,
  rule: settings.snapshotName,
  inCinder: found.images,
  inTable,
  snapshots: found.snapshots,
  ignored: found.ignored,
  encrypted: found.encrypted
})

async function examineQuota(
  { examined: { settings }, pool }: Place,
  known: ImageFacts | undefined,
  ours: readonly Volume[] | Error,
  call: Call
): Promise<Finding[]> {
  const { targets, limits } = settings
  const quota = await attempt(() => pool.volumes.quota(call))
  if (known && !(ours instanceof Error) && !(quota instanceof Error)) {
    return judgeQuota({ targets, imageOf: one => imageOf(one, known), ours, quota, budgetGib: limits.budgetGib })
  }
  const why = 'snapshots, volumes or the quota could not be read'
  return [
    quota instanceof Error ? failed('pools.quota', quota.message, cinderAdvice(quota)) : skipped('pools.quota', why),
    skipped('pools.budget', why)
  ]
}

async function listOurs({ examined, pool }: Place, call: Call): Promise<Volume[]> {
  const ours: Volume[] = []
  const filter = { metadata: { [DEPLOYMENT_KEY]: examined.settings.deployment } }
  for await (const page of pool.volumes.pages(filter, call)) ours.push(...page)
  return ours
}

async function examineTransfers(place: Place, ours: readonly Volume[] | Error, call: Call): Promise<Finding> {
  const check = 'cloud.transfer-list'
  if (ours instanceof Error) return skipped(check, 'volumes could not be read')
  const facts = await attempt(() => readTransfers(place, ours, call))
  return facts instanceof Error
    ? failed(check, facts.message, cinderAdvice(facts))
    : judgeTransferList(place.cinder, facts)
}

const isWaiting = ({ status }: Volume): boolean => status === 'awaiting-transfer'

async function readTransfers(place: Place, ours: readonly Volume[], call: Call): Promise<TransferFacts> {
  const { targets, handover, prearm } = place.examined.settings
  const wanted = handover === 'transfer' && prearm ? targets.reduce((sum, { target }) => sum + target, 0) : 0
  const waiting = ours.filter(isWaiting)
  const { release, askedMinor = 0 } = place.cinder
  const isWhole = transferPaging(release, askedMinor) === 'in_order' || waiting.length === 0
  return { wanted, waiting: waiting.length, unlisted: isWhole ? 0 : await countUnlisted(place, waiting, call) }
}

/** One that a claim has taken since it was seen is not missing. */
async function countUnlisted(place: Place, waiting: readonly Volume[], call: Call): Promise<number> {
  const listed = new Set<string>()
  for await (const page of place.pool.transfers.pages(call)) for (const { volumeId } of page) listed.add(volumeId)
  const missing = waiting.filter(({ id }) => !listed.has(id))
  if (missing.length === 0) return 0
  const stillWaiting = new Set((await listOurs(place, call)).filter(isWaiting).map(({ id }) => id))
  return missing.filter(({ id }) => stillWaiting.has(id)).length
}
