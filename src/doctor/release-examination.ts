import { ENCRYPTED, type IgnoredSnapshot, type Image } from '../pool/image.ts'
import {
  blocksWhileFlattening,
  givesEncryptedAway,
  MINOR_WANTED,
  mayAcceptTwice,
  mayTakeDefaultType,
  type Release,
  transferPaging
} from '../pool/release.ts'
import { type Finding, few, ok, plural, warning } from './finding.ts'

/** Which Cinder it is, and how it is asked. */
export interface CinderFacts {
  readonly release: Release
  /** N of the microversion 3.N. Undefined: only /v2 is to be had, which has none and does not tell the release. */
  readonly askedMinor: number | undefined
}

/** What the judgement of a release depends on besides it. Undefined: it could not be read. */
export interface UseFacts {
  readonly handover: 'transfer' | 'rename'
  readonly images: readonly Image[] | undefined
  readonly ignored: readonly IgnoredSnapshot[] | undefined
}

/** Of the transfers that the stock waits in. */
export interface TransferFacts {
  /** As many as the targets want. */
  readonly wanted: number
  readonly waiting: number
  /** Those of them that the list of transfers leaves out. */
  readonly unlisted: number
}

/** The release, and a finding for each thing that follows from it which its API does not tell. */
export function judgeRelease(cinder: CinderFacts, use: UseFacts): Finding[] {
  return [
    judgeVersion(cinder),
    judgeFlatten(cinder.release),
    judgeDoubleAccept(cinder.release, use),
    judgeEncryption(cinder.release, use),
    judgeDefaultType(cinder.release, use)
  ]
}

function judgeVersion({ release: { name, highestMinor }, askedMinor }: CinderFacts): Finding {
  if (askedMinor === undefined) {
    const found = `only /v2 is served, which does not tell the release: what holds for ${name} is taken to hold`
    return warning('cloud.release', found, "have Cinder's api-paste.ini, or the proxy in front of it, serve /v3 too")
  }
  const offered = `${name} (microversions up to 3.${highestMinor}; 3.${askedMinor} is asked`
  if (askedMinor >= Math.min(highestMinor, MINOR_WANTED)) return ok('cloud.release', `${offered})`)
  const advice = 'take that key out unless you need it: with the highest one Cinder tells more, and in fewer calls'
  return ok('cloud.release', `${offered}, as openstack.volume_api_version has it)`, advice)
}

function judgeFlatten(release: Release): Finding {
  const check = 'cloud.flatten'
  const blocks = blocksWhileFlattening(release)
  if (blocks === 'never') return ok(check, 'cinder-volume goes on with other work while it makes a clone flat')
  const off =
    'have rbd_flatten_volume_from_snapshot off in cinder.conf, and golden volumes that are fewer clones deep than its rbd_max_clone_depth'
  if (blocks === 'always') {
    const found = 'while cinder-volume makes a clone flat, claims and all its other work wait'
    return warning(check, found, `${off}; else keep limits.creating_max low, so that claims wait for few of them`)
  }
  const found = 'before 10.0.3, claims and all other work of cinder-volume wait while it makes a clone flat'
  return ok(check, found, `see that cinder-volume is 10.0.3 or newer, or ${off}`)
}

function judgeDoubleAccept(release: Release, { handover }: UseFacts): Finding {
  const check = 'cloud.double-accept'
  if (handover === 'rename') return ok(check, 'a claim only renames: nothing is accepted')
  if (!mayAcceptTwice(release)) return ok(check, 'of two accepts of one transfer at once only one succeeds')
  const found =
    'two accepts of one transfer at once may both succeed; the later one owns the disk, and the quota counts it twice'
  const advice =
    'the service sends no second one before it has seen what came of the first: let no proxy in front of Cinder repeat a POST'
  return warning(check, found, advice)
}

function judgeEncryption(release: Release, { handover, ignored }: UseFacts): Finding {
  const check = 'cloud.encryption'
  if (handover === 'rename') return ok(check, 'a claim only renames: encrypted disks keep their key')
  if (!givesEncryptedAway(release)) return ok(check, 'Cinder refuses to transfer an encrypted volume')
  const found = 'Cinder gives an encrypted volume away without the key that opens it'
  const encrypted = (ignored ?? []).filter(({ reason }) => reason === ENCRYPTED).map(({ name }) => name)
  if (encrypted.length === 0) {
    const there = ignored ? 'there is none' : 'whether there are any could not be read'
    return ok(check, `${found}: the service refuses images whose source volume is encrypted; ${there}`)
  }
  const advice = 'make these images on a volume type without encryption, and transfer no volume made of them by hand'
  return warning(check, `${found}; the service refuses to make disks of ${few(encrypted, 3)}`, advice)
}

function judgeDefaultType(release: Release, { images }: UseFacts): Finding {
  const check = 'cloud.default-type'
  if (!mayTakeDefaultType(release)) return ok(check, "a disk has its snapshot's volume type")
  const found = 'Train before 15.4.0 and Ussuri before 16.2.0 make a disk of the default type where none is named'
  const untyped = (images ?? []).filter(({ volumeType }) => volumeType === '').map(({ os, type }) => `${os} ${type}`)
  if (untyped.length > 0) {
    const advice = 'give the source volume a type (openstack volume set --type), then take its snapshot anew'
    return warning(check, `${found}, and the source volume of ${few(untyped, 3)} has none to name`, advice)
  }
  return ok(
    check,
    `${found}: the service names its image's type each time`,
    'whoever makes disks by hand must name it too'
  )
}

/** Cinder's own `osapi_max_limit`, which is not to be asked for. */
const PAGE_MAX = 1000

export function judgeTransferList(
  { release, askedMinor }: CinderFacts,
  { wanted, waiting, unlisted }: TransferFacts
): Finding {
  const check = 'cloud.transfer-list'
  if (wanted === 0 && waiting === 0) return ok(check, 'no spare waits in a transfer')
  const paging = transferPaging(release, askedMinor ?? 0)
  if (paging === 'in_order') return ok(check, 'read page by page, in order')
  const how =
    paging === 'by_offset'
      ? 'read by offsets, in no order'
      : `with 3.${askedMinor} it ends with its first page, osapi_max_limit transfers (${PAGE_MAX} unless cinder.conf says otherwise)`
  const higher = Math.max(wanted, waiting)
  const costs = 'reconcile asks for each spare that is missing from it by itself, which is slow'
  const raise = `have osapi_max_limit in cinder.conf raised above ${higher}`
  const advice = paging === 'by_offset' ? raise : `take openstack.volume_api_version out, or ${raise}`
  if (unlisted > 0) {
    const missing = `${unlisted} of ${plural(waiting, 'armed spare')} ${unlisted === 1 ? 'is' : 'are'} missing from it`
    return warning(check, `${how}; ${missing}: ${costs}`, advice)
  }
  if (paging === 'first_page' && higher > PAGE_MAX) {
    return warning(check, `${how}, and the targets want ${wanted}: ${costs}`, advice)
  }
  return ok(check, how)
}
