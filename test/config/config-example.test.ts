import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/config/config.ts'
import { ConfigSchema } from '../../src/config/schema.ts'

const text = readFileSync(new URL('../../config.example.yaml', import.meta.url), 'utf8')

/** With the keys that are commented out: those whose `#` stands right before the text. */
const whole = text.replace(/^( *)#(?=[^ \n]| {2})/gm, '$1')

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly default?: unknown
  readonly enum?: readonly string[]
}

interface Key {
  readonly path: readonly (string | number)[]
  readonly schema: Schema
}

/** Every key, those of the first entry of each list too. */
function keysOf({ properties = {}, items }: Schema, path: Key['path'] = []): Key[] {
  const own = Object.entries(properties).flatMap(([name, schema]) => [
    { path: [...path, name], schema },
    ...keysOf(schema, [...path, name])
  ])
  return items ? [...own, ...keysOf(items, [...path, 0])] : own
}

const valueAt = (document: unknown, path: Key['path']): unknown =>
  path.reduce<unknown>((value, key) => (value as Record<string | number, unknown> | undefined)?.[key], document)

const keys = keysOf(ConfigSchema as Schema)
/** Lists that only make sense with what somebody wants. */
const FREE = ['pools']

describe('config.example.yaml', () => {
  it('shows every key of the schema', () => {
    const document: unknown = parse(whole)
    const missing = keys.map(({ path }) => path).filter(path => valueAt(document, path) === undefined)
    assert.deepEqual(
      missing.map(path => path.join('.')),
      []
    )
    assert.ok(keys.length > 60, `${keys.length} keys were looked for`)
  })

  it('shows no key that the schema does not know', () => {
    const document = parse(whole) as Record<string, Record<string, unknown>>
    delete document['database']?.['embedded'] // It excludes `url`.
    parseConfig(document, {}, 'the example')
  })

  it('has exactly the default for each key that has one', () => {
    const document: unknown = parse(text)
    const defaults = parseConfig({ database: { embedded: {} } }, {}, 'nothing')
    const differing = keys
      .filter(
        ({ path, schema }) => schema.default !== undefined && !schema.properties && !FREE.includes(String(path[0]))
      )
      .filter(({ path }) => path[0] !== 'database')
      .filter(({ path }) => {
        const shown = valueAt(document, path)
        return shown !== undefined && JSON.stringify(shown) !== JSON.stringify(valueAt(defaults, path))
      })
    assert.deepEqual(
      differing.map(({ path }) => path.join('.')),
      []
    )
    const { pools: _, database: __, openstack, ...rest } = parseConfig(document, {}, 'the example')
    const { pools: ___, database: ____, openstack: noOpenstack, ...restOfDefaults } = defaults
    assert.deepEqual(rest, restOfDefaults)
    assert.deepEqual(openstack, { ...noOpenstack, cloud: 'mycloud' })
  })

  it('names every choice of a key that has a closed list of them', () => {
    for (const { path, schema } of keys) {
      if (!schema.enum) continue
      const name = String(path.at(-1))
      const around = text
        .split('\n')
        .flatMap((line, at, lines) => (line.includes(`${name}:`) ? lines.slice(at - 3, at + 1) : []))
      const unnamed = schema.enum.filter(choice => !around.some(line => line.includes(choice)))
      assert.deepEqual(unnamed, [], path.join('.'))
    }
  })
})
