import { Ajv } from 'ajv'
import type { FastifyInstance } from 'fastify'
import { SHARED_SCHEMAS } from './schemas.ts'

/** The usual format also takes `urn:uuid:…`, which PostgreSQL does not. */
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const strict = { allErrors: true, formats: { uuid } } as const

/** They keep what they have compiled for the life of the process. */
const exact = new Ajv(strict).addSchema([...SHARED_SCHEMAS])
const coercing = new Ajv({ ...strict, coerceTypes: 'array' })

/** Refuses what Fastify would let pass: it drops unknown fields and turns "3" into 3. */
export function validateStrictly(app: FastifyInstance): void {
  app.setValidatorCompiler(({ schema, httpPart }) => {
    const fits = exact.compile(schema as object)
    if (httpPart === 'body') return fits
    const coerce = coercing.compile(schema as object)
    // Ajv does not check again what it has coerced: the text 1e400 is an integer to it.
    return data => {
      if (!coerce(data)) return { error: coerce.errors ?? [] }
      return fits(data) || { error: fits.errors ?? [] }
    }
  })
}

/** Takes JSON only. An empty body is no body, also when its client calls it JSON. */
export function takeOnlyJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else void parse(request, String(body), done)
  })
  // Where all fields are optional, so is the body.
  app.addHook('preValidation', async request => {
    request.body ??= {}
  })
}
