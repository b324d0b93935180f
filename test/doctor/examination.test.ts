import assert from 'node:assert/strict'
import { assert as check, integer, nat, property, tuple } from 'fast-check'
import { describe, it } from 'vitest'
import { judgeKeystoneClock, secondsAhead } from '../../src/doctor/clocks.ts'
import { judgeBudget, judgeQuota } from '../../src/doctor/quotas.ts'
import { judgePoolRoles } from '../../src/doctor/roles.ts'
import { releaseOf } from '../../src/pool/release.ts'
import { resourcesOf } from '../../src/pool/replenishment.ts'
import { anImage, noon } from '../support/samples.ts'

const WALLABY = releaseOf(64)
const XENA = releaseOf(66)

describe('the time of another clock', () => {
  it('is never taken to be further away than it is, however long it was on its way', () => {
    check(
      property(integer({ min: -7200, max: 7200 }), nat(120), nat(120), (ahead, thereSeconds, backSeconds) => {
        const askedAt = noon(0)
        const reading = { askedAt, time: noon(thereSeconds + ahead), answeredAt: noon(thereSeconds + backSeconds) }
        const found = secondsAhead(reading)
        assert.ok(Math.abs(found) <= Math.abs(ahead) && found * ahead >= 0, `${found} for ${ahead}`)
        assert.ok(Math.abs(found) >= Math.abs(ahead) - thereSeconds - backSeconds)
      })
    )
  })

  it.for([
    [5, 'ok', /not more than 5 s/],
    [-5, 'ok', /not more than 5 s/],
    [6, 'warning', /6 s ahead of this machine's.* -> .*five minutes after it has expired/],
    [-6, 'warning', /6 s behind this machine's.* -> .*looked up anew/]
  ] as const)('%i s ahead is %s', ([seconds, result, words]) => {
    const finding = judgeKeystoneClock({ askedAt: noon(0), time: noon(seconds), answeredAt: noon(0) })
    assert.equal(finding.result, result)
    assert.match(`${finding.found} -> ${finding.advice}`, words)
  })
})

describe('roles in the pool’s project', () => {
  it.for([
    [['member', 'reader'], WALLABY, 'ok'],
    [['Member'], XENA, 'ok'],
    [['_member_'], WALLABY, 'ok'],
    [['_member_'], XENA, 'warning'],
    [['_member_'], undefined, 'warning'],
    [['reader'], WALLABY, 'warning'],
    [['reader'], XENA, 'failed'],
    [['reader'], undefined, 'failed'],
    [[], WALLABY, 'failed'],
    [['admin'], WALLABY, 'warning']
  ] as const)('%j with %o is %s', ([roles, release, result]) => {
    assert.equal(judgePoolRoles(roles, release).result, result)
  })
})

describe('the quota', () => {
  const image = anImage({ volumeType: 'ceph-ssd', sizeGib: 20 })
  const NAMES = ['volumes', 'gigabytes', 'volumes_ceph-ssd', 'gigabytes_ceph-ssd']

  it('is judged by its limits and what others use, however much of the stock is there', () => {
    const counts = tuple(nat(10), nat(20), nat(20), nat(3))
    check(
      property(counts, tuple(nat(40), nat(800), nat(40), nat(800)), ([target, have, others, more], limits) => {
        const sizeGib = 20 + more
        const used = new Map(resourcesOf('ceph-ssd', sizeGib).map(([name, one]) => [name, one * (have + others)]))
        const quota = new Map(NAMES.map((name, index) => [name, (limits[index] ?? 0) - (used.get(name) ?? 0)]))
        const wanted = { targets: [{ os: image.os, type: image.type, target, sizeGib }], imageOf: () => image }
        const ours = Array.from({ length: have }, () => ({ volumeType: 'ceph-ssd', sizeGib }))
        const { result, found } = judgeQuota(wanted, ours, quota)
        const fits = resourcesOf('ceph-ssd', sizeGib).every(
          ([name, one]) => target === 0 || one * (target + others) <= (limits[NAMES.indexOf(name)] ?? 0)
        )
        assert.equal(result, fits ? 'ok' : 'failed', JSON.stringify({ found, limits }))
      })
    )
  })

  it('has no limit where none is told', () => {
    const targets = [{ os: image.os, type: image.type, target: 100_000, sizeGib: undefined }]
    const wanted = { targets, imageOf: () => image }
    const quota = judgeQuota(wanted, [], new Map())
    assert.deepEqual([quota.result, judgeBudget(wanted, undefined).result], ['ok', 'ok'])
    assert.match(quota.found, /volumes no limit/)
  })
})
