import { Ajv, type ErrorObject } from 'ajv'
import { python } from './literal.ts'
import { badRequest } from './refusal.ts'

/** Bodies as Cinder's own schemas describe them. */
const uuid = { type: 'string', pattern: '^[0-9a-fA-F-]{32,36}$' }
const uuidOrNull = { type: ['string', 'null'], pattern: uuid.pattern }
const text = { type: ['string', 'null'], maxLength: 255 }
const size = { type: ['integer', 'string'], pattern: '^0*[1-9][0-9]*$', minimum: 1, maximum: 0x7fffffff }
const flag = {
  type: ['boolean', 'string'],
  pattern: '^(1|0|[Tt]rue|TRUE|[Ff]alse|FALSE|[Oo]n|ON|[Oo]ff|OFF|[Yy]es|YES|[Nn]o|NO|[ytnf])$'
}
const metadata = {
  type: 'object',
  patternProperties: { '^[a-zA-Z0-9-_:. /]{1,255}$': { type: 'string', maxLength: 255 } },
  additionalProperties: false
}
const metadataOrNull = { ...metadata, type: ['object', 'null'] }

type Schema = Readonly<Record<string, unknown>>
const object = (properties: Schema, required: readonly string[] = [], more: Schema = {}): Schema => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
  ...more
})
const wrapped = (name: string, schema: Schema): Schema => object({ [name]: schema }, [name])
const action = (name: string, properties: Schema, required: readonly string[] = []): Schema =>
  wrapped(name, object(properties, required))

const newVolume = {
  name: text,
  description: text,
  display_name: text,
  display_description: text,
  volume_type: text,
  metadata: metadataOrNull,
  snapshot_id: uuidOrNull,
  source_volid: uuidOrNull,
  consistencygroup_id: uuidOrNull,
  group_id: text,
  backup_id: uuidOrNull,
  size: { ...size, type: ['integer', 'string', 'null'] },
  availability_zone: text,
  multiattach: { type: ['boolean', 'string', 'null'] },
  image_id: text,
  imageRef: text
}
const hints = { 'OS-SCH-HNT:scheduler_hints': { type: ['object', 'null'] } }
const changedVolume = { name: text, description: text, display_name: text, display_description: text, metadata }
const anyChange = { anyOf: Object.keys(changedVolume).map(name => ({ required: [name] })) }
const transfer = { volume_id: uuid, name: text }
const snapshot = { name: text, description: text, volume_id: uuid, force: flag, metadata: metadataOrNull }
const attach = {
  instance_uuid: uuid,
  host_name: text,
  mountpoint: { type: 'string', minLength: 1 },
  mode: { enum: ['rw', 'ro'] }
}

const SCHEMAS = {
  volume_create: object({ volume: { type: 'object', properties: newVolume }, ...hints }, ['volume']),
  volume_create_353: object({ volume: object(newVolume), ...hints }, ['volume']),
  volume_update: wrapped('volume', object(changedVolume)),
  volume_update_353: wrapped('volume', object(changedVolume, [], anyChange)),
  metadata: wrapped('metadata', metadata),
  meta: wrapped('meta', { ...metadata, minProperties: 1, maxProperties: 1 }),
  transfer_create: wrapped('transfer', object(transfer, ['volume_id'])),
  transfer_create_355: wrapped('transfer', object({ ...transfer, no_snapshots: flag }, ['volume_id'])),
  transfer_accept: wrapped('accept', object({ auth_key: { type: ['string', 'integer'] } }, ['auth_key'])),
  snapshot_create: wrapped('snapshot', object(snapshot, ['volume_id'])),
  snapshot_update: wrapped('snapshot', object({ name: text, description: text })),
  quota_update: wrapped('quota_set', { type: 'object', minProperties: 1 }),
  'os-extend': action('os-extend', { new_size: size }, ['new_size']),
  'os-set_bootable': action('os-set_bootable', { bootable: flag }, ['bootable']),
  'os-reset_status': action('os-reset_status', {
    status: { type: 'string' },
    attach_status: text,
    migration_status: text
  }),
  'os-attach': action('os-attach', attach, ['mountpoint'])
} as const satisfies Record<string, Schema>
export type SchemaName = keyof typeof SCHEMAS

const ajv = new Ajv({ strict: false, verbose: true, coerceTypes: false })
for (const [name, schema] of Object.entries(SCHEMAS)) ajv.addSchema(schema, name)

/** Refuses a body that does not fit, in the words of Python's validator. */
export function checkBody(name: SchemaName, body: unknown): void {
  const validate = ajv.getSchema(name)
  if (!validate || validate(body)) return
  const [error] = validate.errors ?? []
  if (error) throw badRequest(refusalText(error))
}

function refusalText(error: ErrorObject): string {
  const { instancePath, keyword, data, params } = error
  const field = instancePath.split('/').at(-1)
  if (keyword === 'maxLength' && typeof data === 'string' && (field === 'name' || field === 'description')) {
    return `${field} has ${data.length} characters, more than 255.`
  }
  const message =
    MESSAGES[keyword]?.(python(data), params, error.parentSchema) ??
    `${python(data)} ${error.message ?? 'is not valid'}`
  const value = typeof data === 'string' ? data : python(data)
  return field ? `Invalid input for field/attribute ${field}. Value: ${value}. ${message}` : message
}

type Params = Record<string, unknown>
const MESSAGES: Record<string, (data: string, params: Params, schema?: Params) => string> = {
  required: (_data, { missingProperty }) => `'${String(missingProperty)}' is a required property`,
  additionalProperties: (_data, { additionalProperty }) =>
    `Additional properties are not allowed ('${String(additionalProperty)}' was unexpected)`,
  type: (data, { type }) => `${data} is not of type ${[type].flat().map(python).join(', ')}`,
  pattern: (data, { pattern }) =>
    pattern === uuid.pattern ? `${data} is not a 'uuid'` : `${data} does not match ${python(pattern)}`,
  minimum: (data, { limit }) => `${data} is less than the minimum of ${String(limit)}`,
  maximum: (data, { limit }) => `${data} is greater than the maximum of ${String(limit)}`,
  maxLength: data => `${data} is too long`,
  minLength: data => `${data} is too short`,
  enum: (data, { allowedValues }) => `${data} is not one of ${python(allowedValues)}`,
  anyOf: data => `${data} is not valid under any of the given schemas`,
  minProperties: data => `${data} does not have enough properties`
}
