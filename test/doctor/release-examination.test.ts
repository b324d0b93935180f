import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { Finding, Outcome } from '../../src/doctor/finding.ts'
import { type CinderFacts, type Handover, type ImagesInUse, RELEASE_CHECKS } from '../../src/doctor/release.ts'
import { judgeTransferList } from '../../src/doctor/volumes.ts'
import { ENCRYPTED, type Image } from '../../src/pool/image.ts'
import { releaseOf } from '../../src/pool/release.ts'
import { anImage } from '../support/samples.ts'

const HIGHEST = { mitaka: 0, newton: 15, ocata: 27, pike: 43, queens: 50, rocky: 55, stein: 59, ussuri: 60, zed: 70 }
type Name = keyof typeof HIGHEST

const NO_IMAGES: ImagesInUse = { images: [], ignored: [] }

const judgeRelease = (cinder: CinderFacts, handover: Handover, use: ImagesInUse): Finding[] =>
  RELEASE_CHECKS.map(([id, judge]) => ({ id, ...judge(cinder, handover, use) }))

function judged(name: Name, use: ImagesInUse = NO_IMAGES, handover: Handover = 'transfer'): Finding[] {
  const askedMinor = Math.min(60, HIGHEST[name])
  return judgeRelease({ release: releaseOf(HIGHEST[name]), askedMinor }, handover, use)
}

const named = (findings: readonly Finding[], id: string): Finding => {
  const found = findings.find(finding => finding.id === id)
  assert.ok(found, `there is no ${id}`)
  return found
}

const warnings = (findings: readonly Finding[]): string[] =>
  findings.filter(({ result }) => result === 'warning').map(({ id }) => id)

const untyped: Image = { ...anImage(), os: 'debian12', type: 'ssd', volumeType: '' }
const encrypted = { snapshotId: 's', name: 'vault_ssd_1', reason: ENCRYPTED }

describe('what doctor says of a release', () => {
  it.for([
    ['mitaka', 'Mitaka (microversions up to 3.0; 3.0 is asked)'],
    ['queens', 'Queens (microversions up to 3.50; 3.50 is asked)'],
    ['stein', 'Stein or Train (microversions up to 3.59; 3.59 is asked)'],
    ['zed', 'Zed, 2023.1 or 2023.2 (microversions up to 3.70; 3.60 is asked)']
  ] as const)('names %s, and the microversion that is asked', ([name, words]) => {
    const { result, found, advice } = named(judged(name), 'cloud.release')
    assert.deepEqual([result, found, advice], ['ok', words, ''])
  })

  it('tells a microversion that is pinned from one that Cinder does not offer', () => {
    const pinned = named(
      judgeRelease({ release: releaseOf(70), askedMinor: 27 }, 'transfer', NO_IMAGES),
      'cloud.release'
    )
    assert.match(pinned.found, /^Zed.* up to 3\.70; 3\.27 is asked, as openstack\.volume_api_version has it\)$/)
    assert.match(pinned.advice, /^take that key out/)
    assert.equal(pinned.result, 'ok')
    assert.doesNotMatch(named(judged('ocata'), 'cloud.release').found, /volume_api_version/)
  })

  it('takes a Cinder that serves /v2 alone for the oldest, and says why', () => {
    const findings = judgeRelease({ release: releaseOf(0), askedMinor: undefined }, 'transfer', NO_IMAGES)
    assert.deepEqual(warnings(findings), ['cloud.release', 'cloud.flatten', 'cloud.double-accept'])
    assert.match(named(findings, 'cloud.release').found, /only \/v2.*does not tell/)
  })

  it.for([
    ['mitaka', ['cloud.flatten', 'cloud.double-accept', 'cloud.encryption']],
    ['newton', ['cloud.flatten', 'cloud.double-accept', 'cloud.encryption']],
    ['ocata', ['cloud.encryption']],
    ['pike', ['cloud.encryption']],
    ['queens', []],
    ['rocky', []],
    ['stein', ['cloud.default-type']],
    ['ussuri', ['cloud.default-type']],
    ['zed', []]
  ] as const)('warns, of %s with every kind of snapshot, of %j', ([name, expected]) => {
    const findings = judged(name, { images: [untyped], ignored: [encrypted] })
    assert.deepEqual(warnings(findings), expected)
    for (const { id, result, advice } of findings) assert.ok(result === 'ok' || advice !== '', id)
  })

  it.for(['ocata', 'pike', 'queens', 'stein', 'ussuri'] as const)(
    'has no warning of %s where no snapshot is of a kind that suffers',
    name => {
      const sound = { images: [anImage()], ignored: [{ ...encrypted, reason: 'snapshot is error, not available' }] }
      assert.deepEqual(warnings(judged(name, sound)), [])
    }
  )

  it('cannot tell which Ocata it is, and says so', () => {
    const { result, found, advice } = named(judged('ocata'), 'cloud.flatten')
    assert.equal(result, 'ok')
    assert.match(found, /before 10\.0\.3/)
    assert.match(advice, /10\.0\.3 or newer/)
  })

  it('names the encrypted sources, and does not say that there are none where it could not look', () => {
    assert.match(named(judged('pike', { ...NO_IMAGES, ignored: [encrypted] }), 'cloud.encryption').found, /vault_ssd_1/)
    assert.match(named(judged('pike'), 'cloud.encryption').found, /there is none/)
    assert.match(
      named(judgeRelease({ release: releaseOf(43), askedMinor: 43 }, 'transfer', undefined), 'cloud.encryption').found,
      /could not be read/
    )
  })

  it('names the images whose source has no type', () => {
    assert.match(
      named(judged('ussuri', { ...NO_IMAGES, images: [untyped] }), 'cloud.default-type').found,
      /debian12 ssd has none/
    )
  })

  it('fears nothing of transfers where a claim only renames', () => {
    const findings = judged('mitaka', { ...NO_IMAGES, ignored: [encrypted] }, 'rename')
    assert.deepEqual(warnings(findings), ['cloud.flatten'])
  })
})

describe('what doctor says of the list of transfers', () => {
  const judge = (name: Name, askedMinor: number, wanted: number, waiting = 0, unlisted = 0): Outcome =>
    judgeTransferList({ release: releaseOf(HIGHEST[name]), askedMinor }, { wanted, waiting, unlisted })

  it.for([
    ['zed', 60, 5000, 5000, 0, 'ok', /in order/],
    ['stein', 59, 5000, 5000, 0, 'ok', /in order/],
    ['rocky', 55, 5000, 5000, 0, 'ok', /by offsets, in no order/],
    ['mitaka', 0, 0, 0, 0, 'ok', /no spare waits/],
    ['zed', 55, 1000, 0, 0, 'ok', /ends with its first page/],
    [
      'zed',
      55,
      1001,
      0,
      0,
      'warning',
      /the targets want 1001.* take openstack\.volume_api_version out, or .*above 1001/
    ],
    ['zed', 58, 40, 45, 25, 'warning', /25 of 45 armed spares are missing.*above 45/],
    ['rocky', 55, 5, 5, 1, 'warning', /1 of 5 armed spares is missing.* -> have osapi_max_limit/]
  ] as const)(
    'of %s, asked with 3.%i, %i wanted, %i there and %i of them not listed: %s',
    ([name, minor, wanted, waiting, unlisted, result, words]) => {
      const finding = judge(name, minor, wanted, waiting, unlisted)
      assert.equal(finding.result, result)
      assert.match(`${finding.found} -> ${finding.advice}`, words)
    }
  )
})
