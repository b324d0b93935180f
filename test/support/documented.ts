import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { parse } from 'yaml'

type Schema = Record<string, unknown>
interface Document {
  readonly paths: Record<
    string,
    Record<string, { responses: Record<string, { content?: Record<string, { schema: Schema }> }> }>
  >
  readonly components: { schemas: Record<string, Schema> }
}

/** As it is written: `test/http/openapi.test.ts` holds it against the routes. */
const document = parse(readFileSync(new URL('../../openapi/openapi.yaml', import.meta.url), 'utf8')) as Document
const ajv = addFormats.default(new Ajv2020({ strict: false }))
ajv.addSchema({ $id: 'openapi', components: document.components })
const checks = new Map<string, ValidateFunction>()

/** Every answer is one that the OpenAPI document knows: its status, and the shape of its body. */
export function assertDocumented(method: string, path: string, status: number, body: unknown): void {
  const route = Object.keys(document.paths).find(pattern => matches(pattern, path.split('?')[0] ?? ''))
  const operation = route && document.paths[route]?.[method.toLowerCase()]
  if (!operation) {
    if (status < 400) return // A page, or the document itself.
    validate(document.components.schemas['Problem'] ?? {}, body, `${method} ${path}`)
    return
  }
  const response = operation.responses[String(status)]
  assert.ok(response, `${method} ${route} does not document ${status}: ${JSON.stringify(body)}`)
  const [content] = Object.values(response.content ?? {})
  if (content && typeof body === 'object') validate(content.schema, body, `${method} ${route} ${status}`)
}

const matches = (pattern: string, path: string): boolean =>
  new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)

function validate(schema: Schema, body: unknown, what: string): void {
  const text = JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components')
  const check = checks.get(text) ?? ajv.compile(JSON.parse(text) as Schema)
  checks.set(text, check) // To compile it takes far longer than to check an answer.
  assert.ok(check(body), `${what}: ${ajv.errorsText(check.errors)} in ${JSON.stringify(body).slice(0, 500)}`)
}
