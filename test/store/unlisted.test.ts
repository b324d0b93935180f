import assert from 'node:assert/strict'
import { asyncProperty, assert as check, integer, uniqueArray, uuid } from 'fast-check'
import { describe, it } from 'vitest'
import type { Stretch } from '../../src/pool/stores.ts'
import { anImage, aSpare, NOON } from '../support/samples.ts'
import { seed } from '../support/seed.ts'
import { aStore } from '../support/store.ts'
import { empty } from '../support/tables.ts'

const store = await aStore()
const { spares, images } = store
const EVERYWHERE: Stretch = { after: undefined, upTo: undefined }

async function inStock(volumeIds: readonly string[]): Promise<void> {
  await images.add([anImage()])
  for (const volumeId of volumeIds) {
    const transfer = { id: `transfer-of-${volumeId}`, sealedKey: 'sealed' }
    assert.ok(await spares.adopt(aSpare({ volumeId, transfer })))
  }
}

const volumesOf = (found: readonly { volumeId: string | undefined }[]): (string | undefined)[] =>
  found.map(({ volumeId }) => volumeId)

describe('spares in stock that Cinder does not list', () => {
  it('are found once each by stretches that follow one another, whatever their length', async () => {
    const property = asyncProperty(
      uniqueArray(uuid(), { maxLength: 12 }),
      uniqueArray(uuid(), { maxLength: 6 }),
      integer({ min: 1, max: 5 }),
      integer({ min: 0, max: 2 }),
      async (held, foreign, length, leftOut) => {
        await empty(store.db)
        await inStock(held)
        const listed = [...held.filter((_, n) => n % 3 !== leftOut), ...foreign].toSorted(byText)
        const found: (string | undefined)[] = []
        let after: string | undefined
        for (let from = 0; from <= listed.length; from += length) {
          const page = listed.slice(from, from + length)
          const upTo = from + length < listed.length ? page.at(-1) : undefined
          found.push(...volumesOf(await spares.unlisted({ what: 'volume', ids: page, after, upTo }, 100)))
          if (upTo === undefined) break
          after = upTo
        }
        const expected = held.filter((_, n) => n % 3 === leftOut && !foreign.includes(held[n] ?? ''))
        assert.deepEqual(found, expected.toSorted(byText))
      }
    )
    await check(property, { seed, numRuns: 40 })
  })

  it('come in order of their volumes, at most so many', async () => {
    await inStock(['c', 'a', 'd', 'b'])
    const first = await spares.unlisted({ what: 'volume', ids: ['b'], ...EVERYWHERE }, 2)
    assert.deepEqual(volumesOf(first), ['a', 'c'])
    const rest = await spares.unlisted({ what: 'volume', ids: ['b'], after: 'c', upTo: undefined }, 2)
    assert.deepEqual(volumesOf(rest), ['d'])
  })

  it('are by their transfers those that wait in one which is not listed', async () => {
    await inStock(['a', 'b'])
    await spares.adopt(aSpare({ volumeId: 'c', transfer: undefined })) // It waits in none.
    const found = await spares.unlisted({ what: 'transfer', ids: ['transfer-of-a', 'other'], ...EVERYWHERE }, 10)
    assert.deepEqual(volumesOf(found), ['b'])
  })

  it('are in stock: what is on its way in or out is not', async () => {
    await inStock(['a'])
    const [spare] = (await spares.list({ limit: 1 })).rows
    await spares.retire(spare?.id ?? '', 'available', NOON)
    assert.deepEqual(await spares.unlisted({ what: 'volume', ids: [], ...EVERYWHERE }, 10), [])
  })
})

const byText = (a: string, b: string): number => (a < b ? -1 : 1)
