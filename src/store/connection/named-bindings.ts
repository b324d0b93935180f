import { createHash } from 'node:crypto'

/** An SQL text as PostgreSQL takes it: `:name` turned into `$1`, `$2`, … */
export interface Statement {
  /** The same for the same text in every process, so that a pooler may share what was prepared under it. */
  readonly name: string
  readonly text: string
  /** Which binding is `$1`, which is `$2`, … */
  readonly bindings: readonly string[]
}

/** What may hold a colon that starts no binding comes first: strings, quoted names, comments, casts. */
const TOKEN = new RegExp(
  [
    String.raw`\b[eE]'(?:[^'\\]|\\.|'')*'`,
    "'(?:[^']|'')*'",
    '"(?:[^"]|"")*"',
    String.raw`\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$`,
    String.raw`--[^\n]*`,
    String.raw`\/\*[\s\S]*?\*\/`,
    '::',
    String.raw`:([A-Za-z]\w*)`
  ].join('|'),
  'g'
)

/** Every text comes from our own source, so there are a few dozen and the cache needs no limit. */
const statements = new Map<string, Statement>()

/** Translates an SQL text, once. */
export function toStatement(sql: string): Statement {
  let statement = statements.get(sql)
  if (!statement) {
    statement = translate(sql)
    statements.set(sql, statement)
  }
  return statement
}

function translate(sql: string): Statement {
  const bindings: string[] = []
  const text = sql.replace(TOKEN, (token: string, _tag: unknown, binding: string | undefined) => {
    if (binding === undefined) return token
    if (!bindings.includes(binding)) bindings.push(binding)
    return `$${bindings.indexOf(binding) + 1}`
  })
  return { name: createHash('sha256').update(text).digest('hex').slice(0, 32), text, bindings }
}

/** A statement's values in their order. A binding may be undefined, which is null, but must be named. */
export function valuesOf(statement: Statement, bindings: object): unknown[] {
  const given = bindings as Readonly<Record<string, unknown>>
  return statement.bindings.map(name => {
    if (!(name in given)) throw new Error(`No value for :${name} in: ${statement.text}`)
    return given[name]
  })
}
