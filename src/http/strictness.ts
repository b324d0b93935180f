import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifyInstance } from 'fastify'
import { SHARED_SCHEMAS } from './schemas.ts'

/** The `format` lets `urn:uuid:…` pass, which PostgreSQL does not. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const strict = { removeAdditional: false, useDefaults: true, allErrors: true } as const
const validators = (coerceTypes: boolean | 'array'): Ajv =>
  addFormats.default(new Ajv({ ...strict, coerceTypes })).addFormat('uuid', UUID)

/** They remember what they have compiled, for as long as the process lives. */
const exactly = validators(false).addSchema([...SHARED_SCHEMAS])
const coercing = validators('array')

/** Fastify would drop unknown fields and turn "3" into 3, and a typo would pass in silence. */
export function validateStrictly(app: FastifyInstance): void {
  app.setValidatorCompiler(({ schema, httpPart }) => {
    const exact = exactly.compile(schema as object)
    return httpPart === 'body' ? exact : inTurn(coercing.compile(schema as object), exact)
  })
}

/** What Ajv has made of a text it does not look at again: 1e400 is an integer to it. */
function inTurn(coerce: ValidateFunction, exact: ValidateFunction) {
  const check = (data: unknown): boolean => {
    const fits = coerce(data) && exact(data)
    validate.errors = coerce.errors ?? exact.errors ?? null
    return fits
  }
  const validate: typeof check & { errors: ErrorObject[] | null } = Object.assign(check, { errors: null })
  return validate
}

/** Nothing but JSON. An empty body is none, also from clients that call each of their bodies JSON. */
export function takeOnlyJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else void parse(request, String(body), done)
  })
}
