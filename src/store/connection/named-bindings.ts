import { createHash } from 'node:crypto'

interface Translation {
  /** The same for the same text in every process, so that a pooler may share what was prepared under it. */
  readonly name: string
  readonly text: string
  /** Which binding is `$1`, which is `$2`, … */
  readonly bindings: readonly string[]
}

/** Strings, quoted names, comments and casts come first: a colon in them starts no binding. */
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|::|:([A-Za-z]\w*)/g

/** Every text comes from our own source, so there are a few dozen and the cache needs no limit. */
const translations = new Map<string, Translation>()

/** An SQL text as PostgreSQL takes it, with `$1` for `:name`. A binding may be undefined, which is null, but must be given. */
export function toStatement(sql: string, bindings: object): { name: string; text: string; values: unknown[] } {
  const translation = translations.get(sql) ?? translate(sql)
  translations.set(sql, translation)
  const { name, text } = translation
  const given = bindings as Readonly<Record<string, unknown>>
  const values = translation.bindings.map(binding => {
    if (!(binding in given)) throw new Error(`No value for :${binding} in: ${text}`)
    return given[binding]
  })
  return { name, text, values }
}

function translate(sql: string): Translation {
  const bindings: string[] = []
  const text = sql.replace(TOKEN, (token: string, binding: string | undefined) => {
    if (binding === undefined) return token
    if (!bindings.includes(binding)) bindings.push(binding)
    return `$${bindings.indexOf(binding) + 1}`
  })
  return { name: createHash('sha256').update(text).digest('hex').slice(0, 32), text, bindings }
}
