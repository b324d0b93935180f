import { LineCounter, parseDocument, type ScalarTag } from 'yaml'

/** What a file for Python's OpenStack clients holds. Throws an error that says what is wrong and quotes nothing. */
export const parseFor = (path: string, text: string): unknown =>
  path.endsWith('json') ? parseJson(text) : parseYaml(text)

/**
 * Reads YAML as PyYAML does: 1.1, but neither the letters y and n, nor `08`, nor `1e3` mean anything (the library's own
 * schema yaml-1.1 takes them for values, and a password is then another one). Numbers become text, as the clients write them
 * in the end: `0123` is 83 there, octal. The parser's own messages show the lines around a mistake, and with them passwords.
 */
function parseYaml(text: string): unknown {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    merge: true,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
    customTags: tags => [...tags, ...PYTHON_SCALARS],
    lineCounter
  })
  const [error] = [...document.errors, ...document.warnings] // Warnings: tags that PyYAML does not know either.
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

const PYTHON_SCALARS = [
  scalar('null', /^(?:~|null|Null|NULL|)$/, () => null),
  scalar('bool', WORDS, text => /^(?:yes|true|on)$/i.test(text)),
  scalar('int', INTEGERS, integer),
  scalar('float', FRACTIONS, text => fraction(Number(text.replaceAll('_', ''))))
]

function integer(text: string): string {
  const [, sign, digits = ''] = /^([-+]?)(.*)$/.exec(text.replaceAll('_', '')) ?? []
  const octal = digits.replace(/^0(?=[0-7])/, '0o')
  const value = octal.split(':').reduce((sum, part) => sum * 60n + BigInt(part), 0n) // 1:30 is 90: base sixty.
  return String(sign === '-' ? -value : value)
}

/** Python writes a whole number with `.0`, and very large and very small ones with an exponent of two digits. */
function fraction(value: number): string {
  const [mantissa = '', exponent = ''] = value.toExponential().split('e')
  if (Math.abs(value) < 1e16 && Number(exponent) >= -4) return Number.isInteger(value) ? `${value}.0` : String(value)
  return `${mantissa}e${exponent.slice(0, 1)}${exponent.slice(1).padStart(2, '0')}`
}

function parseJson(text: string): unknown {
  let content: unknown
  const tooLong: number[] = []
  try {
    content = JSON.parse(text, (_key, value: unknown) => {
      if (typeof value !== 'number') return value
      if (!Number.isInteger(value)) return fraction(value)
      if (!Number.isSafeInteger(value)) tooLong.push(value)
      return String(value)
    })
  } catch {
    throw new Error('it is not valid JSON')
  }
  if (tooLong.length > 0) throw new Error('a number in it is too long; put quotes around it')
  return content
}
