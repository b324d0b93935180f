import assert from 'node:assert/strict'
import { array, assert as check, constantFrom, nat, oneof, property, record, stringMatching } from 'fast-check'
import { describe, it } from 'vitest'
import {
  chooseSnapshots,
  compareVersions,
  isCurrent,
  isGone,
  isGoneSnapshot,
  snapshotIdsOf,
  usableSnapshotIds
} from '../../src/pool/image.ts'
import { anImage, aSnapshot, noon } from '../support/samples.ts'

const RULE = /^(?<os>.+)_(?<type>ssd|sas)_(?<version>[0-9]+)$/
const REPLICAS = /^(?<os>.+)_(?<type>ssd|sas)_(?<version>[0-9]+)(-(?<replica>[a-z]))?$/

const named = (...names: string[]) => names.map(name => aSnapshot(name))
const reasonFor = (name: string, rule = RULE) => chooseSnapshots(named(name), rule).ignored[0]?.reason
const winners = (...names: string[]) =>
  chooseSnapshots(named(...names), RULE).candidates.map(({ snapshot }) => snapshot.name)

describe('an image whose snapshots are gone', () => {
  const image = anImage({ snapshotId: 'a', replicaSnapshotIds: ['b'] })

  it('is gone once all of them are', () => {
    assert.deepEqual(
      [[], ['a'], ['b', 'a']].map(goneSnapshotIds => isGone({ ...image, goneSnapshotIds })),
      [false, false, true]
    )
    assert.deepEqual(usableSnapshotIds({ ...image, goneSnapshotIds: ['a'] }), ['b'])
  })

  it('still decides which spares are current', () => {
    assert.ok(isCurrent('a', { ...image, goneSnapshotIds: ['a', 'b'] }))
  })

  it.for([
    [undefined, true],
    ['error', true],
    ['error_deleting', true],
    ['deleting', true],
    ['deleted', true],
    ['available', false],
    ['backing-up', false],
    ['creating', false]
  ] as const)('is told by the status of a snapshot: %s', ([status, expected]) => {
    assert.equal(isGoneSnapshot(status && aSnapshot('debian12_ssd_1', { status })), expected)
  })
})

describe('the naming rule', () => {
  it('makes an image of a snapshot whose name matches: os, type and version', () => {
    const [snapshot] = named('debian12_ssd_20261101')
    const { candidates, ignored } = chooseSnapshots(named('debian12_ssd_20261101'), RULE)
    assert.deepEqual(candidates, [{ os: 'debian12', type: 'ssd', version: '20261101', snapshot, replicas: [] }])
    assert.deepEqual(ignored, [])
  })

  it('lets an os have the separator in its name', () => {
    const [candidate] = chooseSnapshots(named('suse_15_sp6_sas_7'), RULE).candidates
    assert.deepEqual([candidate?.os, candidate?.type, candidate?.version], ['suse_15_sp6', 'sas', '7'])
  })

  it('takes the type in lower case, so that two spellings are one image', () => {
    const rule = /^(?<os>.+)_(?<type>ssd|SSD)_(?<version>[0-9]+)$/
    const { candidates, ignored } = chooseSnapshots(named('debian12_SSD_1', 'debian12_ssd_2'), rule)
    assert.deepEqual(
      candidates.map(({ type, version }) => [type, version]),
      [['ssd', '2']]
    )
    assert.deepEqual(
      ignored.map(({ name }) => name),
      ['debian12_SSD_1']
    )
  })

  it.for([
    ['backup of web-01', 'name does not match images.snapshot_name'],
    ['', 'name does not match images.snapshot_name'],
    ['debian12_nvme_1', 'name does not match images.snapshot_name'],
    ['debian12_SSD_20261101', 'name matches images.snapshot_name only when case is ignored'],
    [' debian12_ssd_20261101', undefined], // `.+` takes the space for a part of the os.
    ['debian12_ssd_20261101 ', 'name matches images.snapshot_name only without the spaces around it'],
    ['debian12-ssd-20261101', 'name matches images.snapshot_name only with "_" in place of "-"']
  ] as const)('says why "%s" is no image: %s', ([name, reason]) => {
    assert.equal(reasonFor(name), reason)
  })

  it('says that a part of a name is empty, if the rule allows that', () => {
    const rule = /^(?<os>.*)_(?<type>.*)_(?<version>.*)$/
    for (const name of ['_ssd_1', 'debian12__1', 'debian12_ssd_']) {
      assert.equal(reasonFor(name, rule), 'name matches images.snapshot_name, but os, type or version is empty in it')
    }
  })

  it.for(['creating', 'error', 'deleting', 'unmanaging'])('passes over a snapshot that is %s', status => {
    const { candidates, ignored } = chooseSnapshots([aSnapshot('debian12_ssd_2', { status })], RULE)
    assert.deepEqual(candidates, [])
    assert.equal(ignored[0]?.reason, `snapshot is ${status}, not available`)
  })

  it('takes the older snapshot while the newer is not available yet', () => {
    const newer = aSnapshot('debian12_ssd_2', { status: 'creating' })
    const { candidates } = chooseSnapshots([newer, aSnapshot('debian12_ssd_1')], RULE)
    assert.deepEqual(
      candidates.map(({ version }) => version),
      ['1']
    )
  })

  it('either chooses or ignores each snapshot, and gives each image once', () => {
    const name = oneof(stringMatching(/^(a|b)_(ssd|sas)_[0-9]{1,3}(-[a-c])?$/), stringMatching(/^[a-c_-]{0,6}$/))
    const snapshot = record({
      name,
      age: nat(3),
      sizeGib: constantFrom(10, 20),
      status: constantFrom('available', 'error')
    })
    check(
      property(array(snapshot), given => {
        const snapshots = given.map(({ name, age, ...rest }, n) =>
          aSnapshot(name, { ...rest, id: `id-${n}`, createdAt: noon(age) })
        )
        const { candidates, ignored } = chooseSnapshots(snapshots, REPLICAS)
        const chosen = candidates.flatMap(({ snapshot, replicas }) => [snapshot, ...replicas]).map(({ id }) => id)
        const seen = [...chosen, ...ignored.map(({ snapshotId }) => snapshotId)]
        assert.deepEqual(seen.toSorted(), snapshots.map(({ id }) => id).toSorted())
        const pools = candidates.map(({ os, type }) => `${os} ${type}`)
        assert.deepEqual(pools, [...new Set(pools)].toSorted())
        assert.ok(ignored.every(({ reason }) => reason !== ''))
      })
    )
  })

  it('chooses the same whatever order Cinder lists them in', () => {
    const snapshots = array(record({ version: nat(3), age: nat(2) }), { minLength: 1 })
    check(
      property(snapshots, given => {
        const all = given.map(({ version, age }, n) =>
          aSnapshot(`debian12_ssd_${version}`, { id: `id-${n}`, createdAt: noon(age) })
        )
        const [one] = chooseSnapshots(all, RULE).candidates
        const [other] = chooseSnapshots(all.toReversed(), RULE).candidates
        assert.equal(one?.snapshot.id, other?.snapshot.id)
      })
    )
  })
})

describe('of two snapshots for one image', () => {
  it('the higher version wins, and the other is ignored with the reason', () => {
    const older = aSnapshot('debian12_ssd_20261201', { createdAt: noon(-60) })
    const { candidates, ignored } = chooseSnapshots([aSnapshot('debian12_ssd_20261101'), older], RULE)
    assert.equal(candidates[0]?.version, '20261201')
    assert.deepEqual(ignored, [
      {
        snapshotId: 'id-of-debian12_ssd_20261101',
        name: 'debian12_ssd_20261101',
        reason: 'debian12_ssd_20261201 has a higher version'
      }
    ])
  })

  it('versions are compared as numbers, whatever their length', () => {
    assert.deepEqual(winners('debian12_ssd_99999999', 'debian12_ssd_100000000'), ['debian12_ssd_100000000'])
    assert.deepEqual(winners('debian12_ssd_20261101123059123457', 'debian12_ssd_20261101123059123456'), [
      'debian12_ssd_20261101123059123457'
    ])
    assert.deepEqual(winners('debian12_ssd_9', 'debian12_ssd_010'), ['debian12_ssd_010'])
  })

  it('the newer wins where the versions are equal', () => {
    const [a, b] = [
      aSnapshot('debian12_ssd_7', { id: 'a', createdAt: noon(0) }),
      aSnapshot('debian12_ssd_07', { id: 'b', createdAt: noon(1) })
    ]
    for (const snapshots of [
      [a, b],
      [b, a]
    ]) {
      const { candidates, ignored } = chooseSnapshots(snapshots, RULE)
      assert.equal(candidates[0]?.snapshot.id, 'b')
      assert.match(ignored[0]?.reason ?? '', /newer snapshot of the same image and version/)
    }
  })

  it('each type has an image of its own', () => {
    assert.deepEqual(winners('debian12_ssd_1', 'debian12_sas_2', 'debian13_ssd_3'), [
      'debian12_sas_2',
      'debian12_ssd_1',
      'debian13_ssd_3'
    ])
  })
})

describe('replicas', () => {
  const choose = (...snapshots: ReturnType<typeof aSnapshot>[]) => chooseSnapshots(snapshots, REPLICAS)
  const idsOf = ({ candidates }: ReturnType<typeof choose>) =>
    candidates.map(({ snapshot, replicas }) => [snapshot.name, ...replicas.map(({ name }) => name)].toSorted())

  it('of the winning version are used in turn with the winner', () => {
    const found = choose(...named('debian12_ssd_2', 'debian12_ssd_2-a', 'debian12_ssd_2-b'))
    assert.deepEqual(idsOf(found), [['debian12_ssd_2', 'debian12_ssd_2-a', 'debian12_ssd_2-b']])
    assert.deepEqual(found.ignored, [])
  })

  it('of a lower version are ignored', () => {
    const found = choose(...named('debian12_ssd_1-a', 'debian12_ssd_1-b', 'debian12_ssd_2-a'))
    assert.deepEqual(idsOf(found), [['debian12_ssd_2-a']])
    assert.equal(found.ignored.length, 2)
  })

  it('of another size are ignored: they are not identical', () => {
    const found = choose(
      aSnapshot('debian12_ssd_2-a', { createdAt: noon(1) }),
      aSnapshot('debian12_ssd_2-b', { sizeGib: 40 })
    )
    assert.deepEqual(idsOf(found), [['debian12_ssd_2-a']])
    assert.equal(found.ignored[0]?.reason, 'size differs from its replica debian12_ssd_2-a')
  })

  it('of one name are rivals, and the newer wins', () => {
    const found = choose(
      aSnapshot('debian12_ssd_2-a', { id: 'old' }),
      aSnapshot('debian12_ssd_2-a', { id: 'new', createdAt: noon(1) }),
      aSnapshot('debian12_ssd_2-b', { createdAt: noon(2) })
    )
    assert.deepEqual(idsOf(found), [['debian12_ssd_2-a', 'debian12_ssd_2-b']])
    assert.deepEqual(
      found.ignored.map(({ snapshotId }) => snapshotId),
      ['old']
    )
  })
})

describe('versions', () => {
  const version = oneof(stringMatching(/^[0-9]{1,30}$/), stringMatching(/^[0-9a-c.-]{0,8}$/))

  it.for([
    ['20261101', '20261201', -1],
    ['20261201', '100000000', -1],
    ['12.9', '12.10', -1],
    ['12', '12.1', -1],
    ['1.2-rc1', '1.2-rc2', -1],
    ['7', '007', 0],
    ['', '', 0],
    ['9007199254740993', '9007199254740992', 1]
  ] as const)('compare piece by piece: %s and %s: %i', ([a, b, order]) => {
    assert.equal(compareVersions(a, b), order)
    assert.equal(compareVersions(b, a), order === 0 ? 0 : -order)
  })

  it('are compared as numbers where both are whole numbers', () => {
    check(
      property(stringMatching(/^[0-9]{1,40}$/), stringMatching(/^[0-9]{1,40}$/), (a, b) => {
        const [left, right] = [BigInt(a), BigInt(b)]
        assert.equal(compareVersions(a, b), left === right ? 0 : left < right ? -1 : 1)
      })
    )
  })

  it('have one order: of three, none stands before and after another', () => {
    check(
      property(version, version, version, (a, b, c) => {
        assert.equal(compareVersions(a, b), 0 - compareVersions(b, a))
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) assert.ok(compareVersions(a, c) <= 0)
      })
    )
  })
})

describe('a spare’s snapshot is current', () => {
  const image = anImage({ snapshotId: 'a', replicaSnapshotIds: ['b', 'c'] })

  it('when it is the image’s or one of its replicas', () => {
    assert.deepEqual(snapshotIdsOf(image), ['a', 'b', 'c'])
    for (const id of ['a', 'b', 'c']) assert.ok(isCurrent(id, image))
  })

  it('not otherwise, nor when there is no image any more', () => {
    assert.ok(!isCurrent('d', image))
    assert.ok(!isCurrent('a', undefined))
  })
})
