/** What requests each route takes by the OpenAPI document, and whether a given one is such a request. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { type Arbitrary, constant, constantFrom, integer, oneof, option, record, string } from 'fast-check'
import type { App } from '../../src/http/app.ts'
import { against, arbitraryOf, type Context, nasty, type Schema } from './arbitrary-of.ts'

export type Method = 'GET' | 'POST' | 'DELETE'

interface Parameter {
  readonly in: 'path' | 'query' | 'header'
  readonly name: string
  readonly required?: boolean
  readonly schema: Schema
}

interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly required?: boolean; readonly content: Record<string, { readonly schema: Schema }> }
  readonly security?: readonly unknown[]
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

/** One route of the document. */
export interface Route {
  readonly method: Method
  readonly path: string
  readonly params: Schema
  readonly query: Schema
  readonly headers: Schema
  /** Undefined: it takes none, and whatever comes is not looked at. */
  readonly body: Schema | undefined
  readonly needsBody: boolean
  readonly needsCaller: boolean
}

export function routesOf(app: App): Route[] {
  const { paths } = app.swagger() as unknown as OpenApi
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { parameters = [], requestBody, security }]) => ({
      method: method.toUpperCase() as Method,
      path,
      params: objectOf(parameters, 'path'),
      query: objectOf(parameters, 'query'),
      headers: objectOf(parameters, 'header'),
      body: requestBody?.content['application/json']?.schema,
      needsBody: requestBody?.required ?? false,
      needsCaller: security?.length !== 0
    }))
  )
}

/** A query has the fields that are documented, and no others; there may be any other headers. */
function objectOf(parameters: readonly Parameter[], place: Parameter['in']): Schema {
  const these = parameters.filter(parameter => parameter.in === place)
  return {
    type: 'object',
    properties: Object.fromEntries(these.map(({ name, schema }) => [name, schema])),
    required: these.filter(({ required }) => required).map(({ name }) => name),
    additionalProperties: place !== 'query' || these.length === 0
  }
}

type Texts = Readonly<Record<string, string>>

/** As it goes out: in words. */
export interface Request {
  readonly params: Texts
  readonly query: Texts
  readonly headers: Texts
  readonly payload: string | undefined
  readonly contentType: string | undefined
}

/** Requests that fit, and others that nearly do or do not at all. */
export function requestsTo(route: Route, context: Context): Arbitrary<Request> {
  const part = (schema: Schema): Arbitrary<Texts> =>
    oneof(
      { arbitrary: arbitraryOf(schema, context), weight: 4 },
      { arbitrary: against(schema, context), weight: 1 }
    ).map(inWords)
  const sent = route.body ? bodies(route.body, context) : otherBodies(route.method)
  return record({
    params: part(route.params).filter(params => !Object.values(params).some(value => DOTS.includes(value))),
    query: Object.keys(route.query.properties ?? {}).length > 0 ? part(route.query) : constant({}),
    headers: record({ own: part(route.headers), others: strangeHeaders }).map(({ own, others }) => ({
      ...own,
      ...others
    })),
    sent
  }).map(({ sent: body, ...rest }) => ({ ...rest, ...body }))
}

/** Clients resolve them before they send anything: such a request goes to another address. */
const DOTS = ['.', '..']

const strangeHeaders: Arbitrary<Texts> = oneof(
  { arbitrary: constant({}), weight: 20 },
  record({ 'x-auth-token': constantFrom('unknown', 'ü', 'a b') }),
  record({ 'x-openstack-request-id': string() }),
  record({ authorization: oneof(nasty, string()) })
)

interface Sent {
  readonly payload: string | undefined
  readonly contentType: string | undefined
}

const JSON_TYPE = 'application/json'

/** As JSON, as text that is cut short, as something else, or none at all. */
function bodies(schema: Schema, context: Context): Arbitrary<Sent> {
  const [fitting, other] = [arbitraryOf(schema, context), against(schema, context)]
  const value = oneof({ arbitrary: fitting, weight: 2 }, { arbitrary: other, weight: 3 })
  const json = value.map(body => ({ payload: JSON.stringify(body), contentType: JSON_TYPE }))
  return oneof(
    { arbitrary: json, weight: 40 },
    {
      arbitrary: record({ whole: json, end: integer({ min: 0, max: 60 }) }).map(({ whole, end }) => ({
        ...whole,
        payload: whole.payload.slice(0, end)
      })),
      weight: 2
    },
    {
      arbitrary: record({
        payload: string({ unit: 'binary', minLength: 1, maxLength: 300 }),
        contentType: constant(JSON_TYPE)
      }),
      weight: 2
    },
    {
      arbitrary: record({ whole: json, contentType: constantFrom('text/plain', 'application/xml', 'a', 'json') }).map(
        ({ whole, contentType }) => ({ ...whole, contentType })
      ),
      weight: 2
    },
    { arbitrary: json.map(whole => ({ ...whole, payload: `${whole.payload}${' '.repeat(65_536)}` })), weight: 1 },
    { arbitrary: constant({ payload: undefined, contentType: undefined }), weight: 1 }
  )
}

/** Where no body is asked for, one may come all the same. */
function otherBodies(method: Method): Arbitrary<Sent> {
  const none = { payload: undefined, contentType: undefined }
  if (method === 'GET') return constant(none)
  const contentType = constantFrom(JSON_TYPE, 'text/plain')
  const some = record({ payload: constantFrom('{}', 'null', '{"a": 1}', '{'), contentType })
  return option(some, { nil: none })
}

/** As an address or a header says it; half a character does not get through either. */
function inWords(value: unknown): Texts {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
  const words = (one: unknown): string => Buffer.from(typeof one === 'string' ? one : JSON.stringify(one)).toString()
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [words(key), words(one)]))
}

export function addressOf({ path }: Route, { params, query }: Request): string {
  const place = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
  const pairs = Object.entries(query).map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
  return pairs.length === 0 ? place : `${place}?${pairs.join('&')}`
}

/** Whether a request is one that the document describes; undefined where it is not for the document to say. */
export type Judge = (route: Route, request: Request) => boolean | undefined

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function judgeOf(app: App): Judge {
  const { components } = app.swagger() as unknown as OpenApi
  const anAjv = (coerceTypes: false | 'array') =>
    addFormats
      .default(new Ajv2020({ strict: false, coerceTypes }))
      .addFormat('uuid', UUID)
      .addSchema({ $id: 'openapi', components })
  const ajv = { strict: anAjv(false), words: anAjv('array') }
  const compiled = { strict: new Map<Schema, ValidateFunction>(), words: new Map<Schema, ValidateFunction>() }
  const fits = (by: 'strict' | 'words', schema: Schema, value: unknown): boolean => {
    const check = compiled[by].get(schema) ?? ajv[by].compile(withIds(schema))
    compiled[by].set(schema, check)
    return check(value) && (by === 'strict' || fits('strict', schema, value)) // To Ajv, the text 1e400 is an integer.
  }
  return (route, request) => {
    const { params, query, headers } = request
    // Without a part, or with too long a one, an address never reaches its route.
    const parts = (route.params.required ?? []).map(name => params[name] ?? '')
    if (parts.some(part => part === '' || part.length > 255)) return undefined
    const rest = fits('words', route.params, { ...params }) && fits('words', route.query, copy(query))
    if (!rest || !fits('words', route.headers, { ...headers })) return false
    return bodyFits(route, request, (schema, value) => fits('strict', schema, value))
  }
}

/** Also of a field called `__proto__`. */
const copy = (fields: Texts): Texts => Object.fromEntries(Object.entries(fields))

const withIds = (schema: Schema): Schema =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components'))

function bodyFits(
  { method, body, needsBody }: Route,
  { payload, contentType }: Request,
  fits: (schema: Schema, value: unknown) => boolean
): boolean | undefined {
  if (method === 'GET') return true
  if (payload === undefined) return !needsBody
  const text = Buffer.from(payload).toString()
  if (contentType !== JSON_TYPE || Buffer.byteLength(text) > 64 * 1024) return false
  if (text === '') return !needsBody
  if (/__proto__|constructor/.test(text)) return undefined // Refused where it might poison an object.
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ''))
  } catch {
    return false
  }
  if (body === undefined || (value === null && !needsBody)) return true
  return fits(body, value)
}
