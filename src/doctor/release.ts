import type { Settings } from '../operations/deps.ts'
import type { ImagesInCinder } from '../operations/images/read-images.ts'
import { ENCRYPTED } from '../pool/image.ts'
import {
  blocksWhileFlattening,
  givesEncryptedAway,
  MINOR_WANTED,
  mayAcceptTwice,
  mayTakeDefaultType,
  type Release
} from '../pool/release.ts'
import type { Site } from './check.ts'
import { type CheckId, few, type Outcome, ok, warning } from './finding.ts'

export interface CinderFacts {
  readonly release: Release
  /** N of the microversion 3.N that is asked for. Undefined: only /v2 is served, which has none and does not tell the release. */
  readonly askedMinor: number | undefined
}

export async function askCinder({ cloud, call }: Site): Promise<CinderFacts> {
  const release = await cloud.release(call)
  const minor = /^3\.(\d+)$/.exec(await cloud.microversion(call))?.[1]
  return { release, askedMinor: minor === undefined ? undefined : Number(minor) }
}

export type Handover = Settings['handover']

/** What the release means depends on the images in use. Undefined: they could not be read. */
export type ImagesInUse = Pick<ImagesInCinder, 'images' | 'ignored'> | undefined

type Judge = (cinder: CinderFacts, handover: Handover, use: ImagesInUse) => Outcome

/** The release, and what follows from it that Cinder's API does not tell. */
export const RELEASE_CHECKS: readonly (readonly [CheckId, Judge])[] = [
  ['cloud.release', judgeVersion],
  ['cloud.flatten', judgeFlatten],
  ['cloud.double-accept', judgeDoubleAccept],
  ['cloud.encryption', judgeEncryption],
  ['cloud.default-type', judgeDefaultType]
]

function judgeVersion({ release: { name, highestMinor }, askedMinor }: CinderFacts): Outcome {
  if (askedMinor === undefined) {
    const found = `only /v2 is served, which does not tell the release: the service treats it as ${name}`
    return warning(found, "have Cinder's api-paste.ini, or the proxy in front of it, serve /v3 too")
  }
  const found = `${name} (microversions up to 3.${highestMinor}; 3.${askedMinor} is asked`
  if (askedMinor >= Math.min(highestMinor, MINOR_WANTED)) return ok(`${found})`)
  const advice = 'take that key out unless you need it: with the highest one Cinder tells more, and in fewer calls'
  return ok(`${found}, as openstack.volume_api_version has it)`, advice)
}

function judgeFlatten({ release }: CinderFacts): Outcome {
  const off =
    'set rbd_flatten_volume_from_snapshot to false in cinder.conf, and keep golden volumes fewer clones deep than rbd_max_clone_depth'
  switch (blocksWhileFlattening(release)) {
    case 'never':
      return ok('cinder-volume goes on with other work while it makes a clone flat')
    case 'always': {
      const found = 'while cinder-volume makes a clone flat, claims and all its other work wait'
      return warning(found, `${off}; else keep limits.creating_max low, so that claims wait for few of them`)
    }
    case 'before_10.0.3': {
      const found = 'before 10.0.3, claims and all other work of cinder-volume wait while it makes a clone flat'
      return ok(found, `see that cinder-volume is 10.0.3 or newer, or ${off}`)
    }
  }
}

function judgeDoubleAccept({ release }: CinderFacts, handover: Handover): Outcome {
  if (handover === 'rename') return ok('a claim only renames: nothing is accepted')
  if (!mayAcceptTwice(release)) return ok('of two accepts of one transfer at once only one succeeds')
  return warning(
    'two accepts of one transfer at once may both succeed: the later one owns the disk, and the quota counts it twice',
    'let no proxy in front of Cinder repeat a POST; the service itself sends no second accept before it knows how the first one ended'
  )
}

function judgeEncryption({ release }: CinderFacts, handover: Handover, use: ImagesInUse): Outcome {
  if (handover === 'rename') return ok('a claim only renames: encrypted disks keep their key')
  if (!givesEncryptedAway(release)) return ok('Cinder refuses to transfer an encrypted volume')
  const found = 'Cinder gives an encrypted volume away without the key that opens it'
  const encrypted = (use?.ignored ?? []).filter(({ reason }) => reason === ENCRYPTED).map(({ name }) => name)
  if (encrypted.length === 0) {
    const there = use ? 'there is none' : 'whether there are any could not be read'
    return ok(`${found}: the service refuses images whose source volume is encrypted; ${there}`)
  }
  const advice = 'make these images on a volume type without encryption, and transfer no volume made of them by hand'
  return warning(`${found}; the service refuses to make disks of ${few(encrypted, 3)}`, advice)
}

function judgeDefaultType({ release }: CinderFacts, _: Handover, use: ImagesInUse): Outcome {
  if (!mayTakeDefaultType(release)) return ok("a disk has its snapshot's volume type")
  const found = 'Train before 15.4.0 and Ussuri before 16.2.0 make a disk of the default type where none is named'
  const untyped = (use?.images ?? [])
    .filter(({ volumeType }) => volumeType === '')
    .map(({ os, type }) => `${os} ${type}`)
  if (untyped.length > 0) {
    const advice = 'give the source volume a type (openstack volume set --type), then make its snapshot again'
    return warning(`${found}, and the source volume of ${few(untyped, 3)} has none to name`, advice)
  }
  const advice = 'whoever creates disks by hand must name the type too'
  return ok(`${found}: the service names its image's type each time`, advice)
}
