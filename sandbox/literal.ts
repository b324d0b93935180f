const TOKEN = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|[A-Za-z_]\w*|[()]/g
const WORDS: Record<string, string> = { True: 'true', False: 'false', None: 'null', '(': '[', ')': ']' }

/** The value of a Python literal, as Cinder reads filters: `{'a': 'b'}`, `['x', "y"]`, `20`. Any other text is itself. */
export function literal(text: string): unknown {
  try {
    return JSON.parse(text.replace(TOKEN, asJson))
  } catch {
    return text
  }
}

function asJson(token: string, single?: string, double?: string): string {
  const quoted = single ?? double
  // An unknown word stays bare, so that it is no JSON; `true` and `null` are none to Python either.
  if (quoted === undefined) return WORDS[token] ?? `?${token}`
  return JSON.stringify(quoted.replace(/\\(.)/g, '$1'))
}

/** A value as Python prints it: in Cinder's messages. */
export function python(value: unknown): string {
  if (value === null || value === undefined) return 'None'
  if (value === true) return 'True'
  if (value === false) return 'False'
  if (typeof value === 'string') return value.includes("'") ? JSON.stringify(value) : `'${value}'`
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`
  if (typeof value !== 'object') return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, item]) => `${python(key)}: ${python(item)}`)
    .join(', ')}}`
}
