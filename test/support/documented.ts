import assert from 'node:assert/strict'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { App } from '../../src/http/app.ts'

type Schema = Record<string, unknown>
interface Document {
  readonly paths: Record<
    string,
    Record<string, { responses: Record<string, { content?: Record<string, { schema: Schema }> }> }>
  >
  readonly components: { schemas: Record<string, Schema> }
}

const validators = new WeakMap<App, Ajv2020>()
const checks = new WeakMap<Ajv2020, Map<string, ValidateFunction>>()

/** Every answer is one that the OpenAPI document of the routes knows: its status, and the shape of its body. */
export function assertDocumented(app: App, method: string, path: string, status: number, body: unknown): void {
  const document = app.swagger() as unknown as Document
  const route = Object.keys(document.paths).find(pattern => matches(pattern, path.split('?')[0] ?? ''))
  const operation = route && document.paths[route]?.[method.toLowerCase()]
  if (!operation) {
    if (status < 400) return // A page, or the document itself.
    validate(app, document, document.components.schemas['Problem'] ?? {}, body, `${method} ${path}`)
    return
  }
  const response = operation.responses[String(status)]
  assert.ok(response, `${method} ${route} does not document ${status}: ${JSON.stringify(body)}`)
  const [content] = Object.values(response.content ?? {})
  if (content && typeof body === 'object') validate(app, document, content.schema, body, `${method} ${route} ${status}`)
}

const matches = (pattern: string, path: string): boolean =>
  new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)

function validate(app: App, document: Document, schema: Schema, body: unknown, what: string): void {
  let ajv = validators.get(app)
  if (!ajv) {
    ajv = addFormats.default(new Ajv2020({ strict: false }))
    ajv.addSchema({ $id: 'openapi', components: document.components })
    validators.set(app, ajv)
  }
  const check = compile(ajv, JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components'))
  assert.ok(check(body), `${what}: ${ajv.errorsText(check.errors)} in ${JSON.stringify(body).slice(0, 500)}`)
}

/** Once a schema: that takes far longer than the check itself. */
function compile(ajv: Ajv2020, text: string): ValidateFunction {
  const known = checks.get(ajv) ?? new Map<string, ValidateFunction>()
  checks.set(ajv, known)
  const check = known.get(text) ?? ajv.compile(JSON.parse(text) as Schema)
  known.set(text, check)
  return check
}
