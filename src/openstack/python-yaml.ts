import { LineCounter, parseDocument, type ScalarTag, type Tags } from 'yaml'

/** What a file for Python's OpenStack clients holds; throws an error that says what is wrong and quotes nothing. */
export function parseFor(path: string, text: string): unknown {
  return path.endsWith('json') ? parseJson(text) : parseYaml(text)
}

/**
 * YAML as PyYAML reads it: 1.1 without the letters y and n. Numbers become text, as the clients write them out in the end:
 * `0123` is 83 there, octal. The parser's own messages show the lines around a mistake, and with them passwords.
 */
function parseYaml(text: string): unknown {
  const lineCounter = new LineCounter()
  const options = {
    schema: 'failsafe',
    merge: true,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent'
  } as const
  const document = parseDocument(text, { ...options, customTags: withPythonScalars, lineCounter })
  const [error] = [...document.errors, ...document.warnings] // Warned of: tags that PyYAML does not know either.
  if (error) throw new Error(`it is not valid YAML (${error.code} in line ${lineCounter.linePos(error.pos[0]).line})`)
  try {
    return document.toJS()
  } catch {
    throw new Error('it is not valid YAML (an alias or a merge key leads nowhere)')
  }
}

const scalar = (name: string, test: RegExp, resolve: (text: string) => unknown): ScalarTag => ({
  tag: `tag:yaml.org,2002:${name}`,
  default: true,
  test,
  resolve
})

const WORDS = /^(?:yes|no|true|false|on|off|Yes|No|True|False|On|Off|YES|NO|TRUE|FALSE|ON|OFF)$/
const INTEGERS = /^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*(?::[0-5]?[0-9])*)$/
const FRACTIONS = /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?)$/

const PYTHON_SCALARS: readonly ScalarTag[] = [
  scalar('null', /^(?:~|null|Null|NULL|)$/, () => null),
  scalar('bool', WORDS, text => /^(?:yes|true|on)$/i.test(text)),
  scalar('int', INTEGERS, integer),
  scalar('float', FRACTIONS, text => fraction(Number(text.replaceAll('_', ''))))
]

const withPythonScalars = (tags: Tags): Tags => [...tags, ...PYTHON_SCALARS]

function integer(text: string): string {
  const [, sign, digits = ''] = /^([-+]?)(.*)$/.exec(text.replaceAll('_', '')) ?? []
  const octal = digits.replace(/^0(?=[0-7])/, '0o')
  const value = octal.split(':').reduce((sum, part) => sum * 60n + BigInt(part), 0n) // 1:30 is 90: sixties.
  return String(sign === '-' ? -value : value)
}

/** Python writes a whole number with `.0`, and very large and very small ones with an exponent of two digits. */
function fraction(value: number): string {
  const [mantissa = '', exponent = ''] = value.toExponential().split('e')
  if (Math.abs(value) < 1e16 && Number(exponent) >= -4) return Number.isInteger(value) ? `${value}.0` : String(value)
  return `${mantissa}e${exponent.slice(0, 1)}${exponent.slice(1).padStart(2, '0')}`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text, (_key, value: unknown) => (typeof value === 'number' ? numberOfJson(value) : value))
  } catch (error) {
    throw error instanceof UnsafeNumber ? error : new Error('it is not valid JSON')
  }
}

class UnsafeNumber extends Error {}

function numberOfJson(value: number): string {
  if (!Number.isInteger(value)) return fraction(value)
  if (!Number.isSafeInteger(value)) throw new UnsafeNumber('a number in it is too long; put quotes around it')
  return String(value)
}
