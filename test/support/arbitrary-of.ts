import {
  type Arbitrary,
  boolean,
  constant,
  constantFrom,
  integer,
  jsonValue,
  oneof,
  record,
  string,
  stringMatching,
  uuid
} from 'fast-check'

/** As much of JSON schema as our requests use; what it does not know is an error, not an arbitrary value. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly anyOf?: readonly Schema[]
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly format?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean
}

export interface Context {
  /** What a `$ref` names. */
  readonly resolve: (ref: string) => Schema
  /** By a field's name: values that mean something to the service. Whatever has none gets any value that fits. */
  readonly meaningful: Readonly<Record<string, readonly string[]>>
  /** By a field's name: how far its numbers go, where larger ones fit but take too long. */
  readonly largest: Readonly<Record<string, number>>
}

export const nasty = constantFrom(
  '',
  ' ',
  '\u0000',
  '\ud800',
  '\ufeff',
  "'; drop table os; --",
  '%',
  '{os}',
  '$1',
  '../..',
  '__proto__',
  'constructor',
  '-1',
  'null',
  '1e400',
  '🐘',
  'a'.repeat(256)
)

const anything = oneof(nasty, string({ unit: 'binary', maxLength: 300 }), jsonValue({ maxDepth: 2 }))

/** Values that fit a schema. */
export function arbitraryOf(schema: Schema, context: Context, name = ''): Arbitrary<unknown> {
  const { $ref, type, anyOf, enum: words, properties = {}, required = [] } = schema
  if ($ref !== undefined) return arbitraryOf(context.resolve($ref), context, name)
  if (anyOf) return oneof(...anyOf.map(one => arbitraryOf(one, context, name)))
  if (words) return constantFrom(...words)
  switch (type ?? '') {
    case 'string':
      return texts(schema, context.meaningful[name] ?? [])
    case 'integer':
      return integer({ min: schema.minimum ?? -(2 ** 31), max: context.largest[name] ?? schema.maximum ?? 2 ** 31 })
    case 'boolean':
      return boolean()
    case 'null':
      return constant(null)
    case 'object':
      return record(
        Object.fromEntries(Object.entries(properties).map(([key, one]) => [key, arbitraryOf(one, context, key)])),
        { requiredKeys: [...required], noNullPrototype: true }
      )
    default:
      throw new Error(`no arbitrary for ${JSON.stringify(schema)}`)
  }
}

function texts(
  { pattern, format, minLength = 0, maxLength }: Schema,
  meaningful: readonly string[]
): Arbitrary<string> {
  if (format !== undefined && format !== 'uuid') throw new Error(`no arbitrary for the format ${format}`)
  const fitting =
    format === 'uuid'
      ? uuid()
      : pattern === undefined
        ? string({ unit: 'binary', minLength, ...(maxLength === undefined ? {} : { maxLength }) })
        : stringMatching(new RegExp(pattern, 'u')).filter(text => isLong(text, minLength, maxLength))
  if (meaningful.length === 0) return fitting
  return oneof({ arbitrary: constantFrom(...meaningful), weight: 9 }, { arbitrary: fitting, weight: 1 })
}

const isLong = (text: string, min: number, max = Number.POSITIVE_INFINITY): boolean => {
  const length = Array.from(text).length
  return length >= min && length <= max
}

/** Values that are near to fitting a schema, or far from it; now and then one that fits all the same. */
export function against(schema: Schema, context: Context): Arbitrary<unknown> {
  const { $ref, anyOf, type, enum: words, maxLength, minimum, maximum } = schema
  if ($ref !== undefined) return against(context.resolve($ref), context)
  if (anyOf) return oneof(...anyOf.map(one => against(one, context)))
  if (words)
    return oneof(
      constantFrom(...words).map(word => word.toUpperCase()),
      constantFrom(...words).map(nested),
      anything
    )
  if (type === 'object') return againstObject(schema, context)
  const edges: unknown[] = [null, [], {}, true]
  if (type === 'string') edges.push(0, ['a'], ...(maxLength === undefined ? [] : ['a'.repeat(maxLength + 1)]))
  if (minimum !== undefined) edges.push(minimum - 1, minimum + 0.5, String(minimum), `${minimum}x`)
  if (maximum !== undefined) edges.push(maximum + 1, maximum * 2 ** 40, [maximum])
  if (type === 'boolean') edges.push('true', 1)
  return oneof(constantFrom(...edges), anything)
}

const nested = (word: string): unknown => [word]

type Fields = Readonly<Record<string, unknown>>

/** A whole one with one thing wrong, or nothing like it. */
function againstObject(schema: Schema, context: Context): Arbitrary<unknown> {
  const whole = arbitraryOf(schema, context) as Arbitrary<Fields>
  const extra = record({ whole, key: oneof(constantFrom('extra', 'OS', 'hostname '), nasty), value: anything }).map(
    ({ whole: fields, key, value }) => withField(fields, key, value)
  )
  const names = Object.keys(schema.properties ?? {})
  if (names.length === 0) return oneof({ arbitrary: extra, weight: 3 }, { arbitrary: anything, weight: 1 })
  const wrong = constantFrom(...names).chain(key =>
    record({ whole, value: against(schema.properties?.[key] ?? {}, context) }).map(({ whole: fields, value }) =>
      withField(fields, key, value)
    )
  )
  const lacking = record({ whole, key: constantFrom(...names) }).map(({ whole: { ...fields }, key }) => {
    delete (fields as Record<string, unknown>)[key]
    return fields
  })
  return oneof(
    { arbitrary: wrong, weight: 6 },
    { arbitrary: lacking, weight: 2 },
    { arbitrary: extra, weight: 2 },
    { arbitrary: anything, weight: 1 }
  )
}

/** Also a field called `__proto__`, which an assignment would lose. */
const withField = (fields: Fields, key: string, value: unknown): Fields =>
  Object.fromEntries([...Object.entries(fields).filter(([name]) => name !== key), [key, value]])
