import type { ErrorObject } from 'ajv'
import type { YAMLError } from 'yaml'

/** Everything that is wrong with a configuration, each with its path and what is allowed. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(source: string, problems: readonly string[]) {
    const distinct = [...new Set(problems.map(problem => problem.replace(/\.$/, '')))]
    super(`${source} cannot be used:\n${distinct.map(problem => `  ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = distinct
  }
}

/** Where, and which rule is broken. The parser's own words quote the line, where a password may stand. */
export function explainYaml({ code, linePos }: YAMLError): string {
  const [start] = linePos ?? []
  const what =
    code === 'DUPLICATE_KEY'
      ? 'this key is there twice'
      : `is no YAML (${code}); quotes around a text with special characters often help`
  return `line ${start?.line ?? '?'}, column ${start?.col ?? '?'}: ${what}`
}

/** Where a fault of the schema is: `pools[0].target`. A key may be half a password, so what is no word in it is left out. */
function pathOf({ instancePath }: ErrorObject, ...keys: string[]): string {
  return [...instancePath.split('/').slice(1), ...keys]
    .map(part => (/^\d+$/.test(part) ? `[${part}]` : `.${part.replace(/[^\w-].*$/s, '…')}`))
    .join('')
    .replace(/^\./, '')
}

const TYPES: Record<string, string> = {
  object: 'a mapping of keys',
  array: 'a list',
  integer: 'a whole number',
  boolean: 'true or false',
  string: 'a text; put quotes around it'
}

/** What is wrong, in words. */
export function explain(error: ErrorObject): string {
  const { keyword, params, parentSchema = {}, message } = error
  if (keyword === 'required') return `${pathOf(error, params['missingProperty'])}: is missing`
  if (keyword === 'additionalProperties') {
    const known = Object.keys(parentSchema['properties'] ?? {}).join(', ')
    return `${pathOf(error, params['additionalProperty'])}: unknown key; known here: ${known}`
  }
  const { description } = parentSchema
  const words: Record<string, string> = {
    enum: `must be one of ${[params['allowedValues']].flat().join(', ')}`,
    type: `must be ${(params['type'] !== 'string' && description) || TYPES[params['type']]}`,
    pattern: `must be ${description}`,
    format: `must be ${description}`,
    minLength: 'must not be empty',
    maxLength: `must have at most ${params['limit']} characters`,
    minimum: `must be ${params['limit']} or more`,
    maximum: `must be ${params['limit']} or less`
  }
  return `${pathOf(error) || 'the file'}: ${words[keyword] ?? message}`
}

/** Names the variable that a faulty key came from. */
export function withVariable(problem: string, variables: ReadonlyMap<string, string>): string {
  const [path = ''] = problem.split(':', 1)
  const variable = variables.get(path)
  return variable ? problem.replace(path, `${path} (from ${variable})`) : problem
}

/** Whether the schema found nothing wrong at a path, above it or below it. */
export type IsSound = (path: string) => boolean

export function soundness(errors: readonly ErrorObject[]): IsSound {
  // An unknown key is no fault of the keys beside it.
  const faulty = errors.filter(({ keyword }) => keyword !== 'additionalProperties').map(error => pathOf(error))
  const isWithin = (inner: string, outer: string): boolean =>
    outer === '' || inner === outer || (inner.startsWith(outer) && /[.[]/.test(inner.charAt(outer.length)))
  return path => !faulty.some(fault => isWithin(fault, path) || isWithin(path, fault))
}
