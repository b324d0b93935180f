import { Ajv, type ErrorObject } from 'ajv'
import { type Static, type TProperties, type TSchema, Type } from 'typebox'
import { DELAY_NAMES, type DelayChange, OPERATIONS, type Operation } from './delays.ts'
import { FAULT_KINDS } from './faults.ts'
import { python } from './literal.ts'
import { badRequest, invalidInput } from './refusal.ts'
import type { Traits } from './releases.ts'

const UUID = '^[0-9a-fA-F-]{32,36}$'
const UUID_OR_NULL = `(${UUID})`
const FLAG = '^(1|0|[Tt]rue|TRUE|[Ff]alse|FALSE|[Oo]n|ON|[Oo]ff|OFF|[Yy]es|YES|[Nn]o|NO|[ytnf])$'

const strict = { additionalProperties: false }
const uuid = Type.String({ pattern: UUID })
const uuidOrNull = Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], pattern: UUID_OR_NULL }))
const text = Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 255 }))
const flagValue = Type.Unsafe<string | boolean>({ type: ['boolean', 'string'], pattern: FLAG })
const flag = Type.Optional(flagValue)
const key = Type.Unsafe<string | number>({ type: ['string', 'integer'] })
const POSITIVE = '^0*[1-9][0-9]*$'
const SIZE = { pattern: POSITIVE, minimum: 1, maximum: 0x7fffffff }
const size = Type.Unsafe<string | number>({ type: ['integer', 'string'], ...SIZE })
const sizeOrNull = Type.Optional(Type.Unsafe<string | number | null>({ type: ['integer', 'string', 'null'], ...SIZE }))
const PAIRS = {
  patternProperties: { '^[a-zA-Z0-9-_:. /]{1,255}$': { type: 'string', maxLength: 255 } },
  additionalProperties: false
}
const pairs = Type.Unsafe<Record<string, string>>({ type: 'object', ...PAIRS })
const pairsOrNull = Type.Optional(Type.Unsafe<Record<string, string> | null>({ type: ['object', 'null'], ...PAIRS }))

const newVolume = {
  name: text,
  description: text,
  display_name: text,
  display_description: text,
  volume_type: text,
  metadata: pairsOrNull,
  snapshot_id: uuidOrNull,
  source_volid: uuidOrNull,
  consistencygroup_id: uuidOrNull,
  group_id: text,
  backup_id: uuidOrNull,
  size: sizeOrNull,
  availability_zone: text,
  multiattach: Type.Optional(Type.Unknown()),
  image_id: text,
  imageRef: text
}
const hints = { 'OS-SCH-HNT:scheduler_hints': Type.Optional(Type.Unknown()) }
const change = { name: text, description: text, display_name: text, display_description: text }
const changes = { ...change, metadata: Type.Optional(pairs) }
const anyChange = { anyOf: Object.keys(changes).map(name => ({ required: [name] })) }
const transfer = { volume_id: uuid, name: text }
const snapshot = { name: text, description: text, volume_id: uuid, force: flag, metadata: pairsOrNull }
const access = Type.Optional(Type.Object({ project: Type.String() }))
const attachment = { instance_uuid: uuidOrNull, host_name: text, mountpoint: Type.String({ minLength: 1 }), mode: text }

const ajv = new Ajv({ strict: false, verbose: true })

/** What checks a body and gives it its type; `explain` makes the refusal of one that does not fit. */
function body<T extends TSchema>(schema: T, explain: (error: ErrorObject) => Error): (given: unknown) => Static<T> {
  const validate = ajv.compile<Static<T>>(schema)
  return given => {
    if (validate(given)) return given
    const { errors } = validate
    const error = errors?.find(({ keyword }) => keyword === 'anyOf') ?? errors?.[0]
    throw error ? explain(error) : badRequest('Malformed request body')
  }
}
/** A call with a body, and how it is checked. */
interface Given {
  readonly body: unknown
  readonly cloud: { readonly traits: Pick<Traits, 'checksBodies'> }
}

/** One of Cinder's: a key that wraps the rest, and no others. Releases without schemas look only at what they need. */
function cinder<P extends TProperties>(properties: P) {
  const schema = Type.Object(properties, strict)
  const check = body(schema, pythonRefusal)
  let checkLoosely: typeof check | undefined
  return ({ body: given, cloud }: Given) => {
    if (cloud.traits.checksBodies) return check(given)
    checkLoosely ??= body<typeof schema>(loosened(schema), looseRefusal)
    return checkLoosely(given)
  }
}

/** The same without what only schemas refuse: unknown keys, and ids that look like none. */
function loosened<T>(schema: T): T {
  if (Array.isArray(schema) || typeof schema !== 'object' || schema === null) return schema
  const isObject = 'properties' in schema
  const kept = Object.entries(schema).filter(
    ([key, value]) =>
      !(key === 'additionalProperties' && isObject) &&
      !(key === 'pattern' && (value === UUID || value === UUID_OR_NULL)) &&
      key !== 'anyOf'
  )
  return Object.fromEntries(kept.map(([key, value]) => [key, loosened(value)])) as T
}

/** Bodies as Cinder's own schemas describe them. From 3.53 on it refuses keys of a volume that it does not know. */
export const newVolumeBody = cinder({ volume: Type.Object(newVolume), ...hints })
export const newVolumeBody353 = cinder({ volume: Type.Object(newVolume, strict), ...hints })
export const volumeBody = cinder({ volume: Type.Object(changes, strict) })
export const volumeBody353 = cinder({ volume: Type.Object(changes, { ...strict, ...anyChange }) })
export const metadataBody = cinder({ metadata: pairs })
export const metaBody = cinder({ meta: pairs })
export const transferBody = cinder({ transfer: Type.Object(transfer, strict) })
export const transferBody355 = cinder({ transfer: Type.Object({ ...transfer, no_snapshots: flag }, strict) })
export const acceptBody = cinder({ accept: Type.Object({ auth_key: key }, strict) })
export const newSnapshotBody = cinder({ snapshot: Type.Object(snapshot, strict) })
export const snapshotBody = cinder({ snapshot: Type.Object(change, strict) })
export const quotaBody = cinder({ quota_set: Type.Record(Type.String(), Type.Unknown(), { minProperties: 1 }) })
export const extendBody = cinder({ 'os-extend': Type.Object({ new_size: size }, strict) })
export const bootableBody = cinder({ 'os-set_bootable': Type.Object({ bootable: flagValue }, strict) })
export const resetBody = cinder({ 'os-reset_status': Type.Object({ status: Type.Optional(Type.String()) }) })
export const attachBody = cinder({ 'os-attach': Type.Object(attachment, strict) })
const volumeType = { name: Type.Optional(Type.String()), is_public: flag, 'os-volume-type-access:is_public': flag }
export const typeBody = cinder({ volume_type: Type.Object(volumeType) })
export const accessBody = cinder({ addProjectAccess: access, removeProjectAccess: access })

/** Keystone's, as far as they are read. */
const named = { id: Type.Optional(Type.String()), name: Type.Optional(Type.String()) }
const domain = { domain: Type.Optional(Type.Object(named)) }
const user = { ...named, ...domain }
const credential = { ...named, secret: Type.String(), user: Type.Optional(Type.Object(user)) }
const identity = {
  methods: Type.Array(Type.String()),
  password: Type.Optional(Type.Object({ user: Type.Object({ ...user, password: Type.String() }) })),
  token: Type.Optional(Type.Object({ id: Type.String() })),
  application_credential: Type.Optional(Type.Object(credential))
}
const scope = Type.Object({ project: Type.Optional(Type.Object(user)) })
const keystone = <P extends TProperties>(properties: P) =>
  body(Type.Object(properties), error => badRequest(saidOf(error)))
export const authBody = keystone({
  auth: Type.Object({ identity: Type.Object(identity), scope: Type.Optional(Type.Union([scope, Type.String()])) })
})
export type Auth = ReturnType<typeof authBody>['auth']
const nameable = Type.Object(user)
/** Something that is meant by its id, or by its name in a domain. */
export type Named = Static<typeof nameable>
export const projectBody = keystone({ project: Type.Object({ name: Type.String({ minLength: 1 }) }) })
export const credentialBody = keystone({
  application_credential: Type.Object({ name: Type.String(), secret: Type.Optional(Type.String()) })
})

/** The sandbox's own. */
const own = <T extends TSchema>(schema: T) => body(schema, plainRefusal)
const milliseconds = Type.Optional(Type.Number({ minimum: 0 }))
export const faultBody = own(
  Type.Object(
    {
      operation: Type.Optional(Type.Unsafe<Operation | '*'>({ enum: ['*', ...OPERATIONS] })),
      kind: Type.Enum([...FAULT_KINDS]),
      count: Type.Optional(Type.Integer({ minimum: 1 })),
      after: Type.Optional(Type.Integer({ minimum: 1 })),
      probability: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
      status: Type.Optional(Type.Integer({ minimum: 400, maximum: 599 })),
      message: Type.Optional(Type.String()),
      ms: milliseconds,
      acts: Type.Optional(Type.Boolean())
    },
    strict
  )
)
export const delaysBody = own(
  Type.Unsafe<DelayChange>({
    type: 'object',
    properties: {
      preset: { enum: ['measured', 'none'] },
      ...Object.fromEntries(DELAY_NAMES.map(name => [name, { type: 'number', minimum: 0 }]))
    },
    additionalProperties: false
  })
)

function plainRefusal({ instancePath, message = 'is not valid', params }: ErrorObject): Error {
  const { allowedValues = [], additionalProperty = allowedValues }: Record<string, unknown> = params
  const hint = [additionalProperty].flat().map(String).join(', ')
  return badRequest(`${instancePath.slice(1) || 'body'}: ${message}${hint && `: ${hint}`}`)
}

function looseRefusal(error: ErrorObject): Error {
  const { instancePath, keyword, params } = error
  if (keyword !== 'required') return pythonRefusal(error)
  const missing = String(Object(params).missingProperty)
  return badRequest(
    instancePath === '' ? `Missing required element '${missing}' in request body.` : 'Incorrect request body format'
  )
}

/** In the words of Python's validator, as Cinder passes them on. */
function pythonRefusal(error: ErrorObject): Error {
  const { instancePath, keyword, data } = error
  const field = instancePath.split('/').at(-1)
  if (keyword === 'maxLength' && typeof data === 'string' && (field === 'name' || field === 'description')) {
    return invalidInput(`${field} has ${data.length} characters, more than 255.`)
  }
  const said = saidOf(error)
  const value = typeof data === 'string' ? data : python(data)
  return badRequest(field ? `Invalid input for field/attribute ${field}. Value: ${value}. ${said}` : said)
}

const saidOf = ({ keyword, data, params, message, parentSchema }: ErrorObject): string =>
  PYTHON[keyword]?.(python(data), { ...params, ...parentSchema }) ?? `${python(data)} ${message}`

const noneFits = (data: string): string => `${data} is not valid under any of the given schemas`

const PYTHON: Record<string, (data: string, params: Readonly<Record<string, unknown>>) => string> = {
  required: (_data, { missingProperty }) => `${python(missingProperty)} is a required property`,
  additionalProperties: (_data, { additionalProperty, patternProperties }) =>
    patternProperties
      ? `${python(additionalProperty)} does not match any of the regexes: ${python(Object.keys(patternProperties)[0])}`
      : `Additional properties are not allowed (${python(additionalProperty)} was unexpected)`,
  type: (data, { type }) => `${data} is not of type ${[type].flat().map(python).join(', ')}`,
  pattern: (data, { pattern }) =>
    pattern === UUID_OR_NULL
      ? noneFits(data)
      : pattern === UUID
        ? `${data} is not a 'uuid'`
        : `${data} does not match ${python(pattern === POSITIVE ? '^[0-9]+$' : pattern)}`,
  minimum: (data, { limit }) => `${data} is less than the minimum of ${python(limit)}`,
  maximum: (data, { limit }) => `${data} is greater than the maximum of ${python(limit)}`,
  maxLength: data => `${data} is too long`,
  minLength: data => `${data} is too short`,
  enum: (data, { allowedValues }) => `${data} is not one of ${python(allowedValues)}`,
  anyOf: noneFits,
  minProperties: data => `${data} does not have enough properties`
}
