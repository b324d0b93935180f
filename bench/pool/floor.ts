/**
 * The least that anything must do that serves claims as the service does: read and check the request, record the claim and
 * reserve a spare in one durable statement, make the three calls to the cloud, record the end in another, and answer.
 * There is no access control, no lease that another replica could take over, no repeat of what failed, no log, no metric,
 * no tick, no limit, and transfer keys are kept as they are. The tables are the service's own, with all their indexes.
 */
import { randomUUID } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify from 'fastify'
import { Pool as Connections } from 'pg'
import { Pool } from 'undici'
import { ClaimBody, type ClaimView } from '../../src/http/schemas.ts'

/** What it is told at its start. */
export interface FloorSettings {
  readonly databaseUrl: string
  /** Cinder's, without the project. */
  readonly cinderUrl: string
  readonly pool: { readonly id: string; readonly token: string }
  readonly destination: { readonly id: string; readonly token: string }
}

interface SpareRow {
  readonly id: string
  readonly volume_id: string
  readonly volume_type: string
  readonly size: number
  readonly snapshot_id: string
  readonly image_version: string
  readonly transfer_id: string
  readonly auth_key: string
  readonly created_at: Date
}

/** As many as the service has for requests, and for the cloud. */
const CONNECTIONS = { database: 10, cloud: 64 }

const RESERVE = `
  with opened as (
    insert into claims (id, fingerprint, project_id, name, hostname, category, os, type, wanted_size, status,
                        created_at, updated_at)
    values ($1, '', $2, $3, $4, $5, $6, $7, $8, 'open', $9, $9)
    on conflict do nothing
    returning id
  )
  update backup_volumes set status = 'reserved', allocated = true, claim_id = $1, updated_at = $9
   where id = (select id from backup_volumes where os = $6 and type = $7 and status = 'available'
                order by created_at, id limit 1 for update skip locked)
     and exists (select from opened)
  returning id, volume_id, volume_type, size, snapshot_id, image_version, transfer_id, auth_key, created_at`

const FINISH = `
  with handed_over as (delete from backup_volumes where id = $2)
  update claims set status = 'available', source = 'pool', volume_id = $3, volume_type = $4, size = $5, snapshot_id = $6,
                    image_version = $7, spare_age_seconds = $8, updated_at = $9
   where id = $1`

const settings: FloorSettings = JSON.parse(process.argv[2] ?? '')
const connections = new Connections({ connectionString: settings.databaseUrl, max: CONNECTIONS.database })
const { origin, pathname } = new URL(settings.cinderUrl)
const cloud = new Pool(origin, { connections: CONNECTIONS.cloud })

async function claim({ hostname, category = 'sys', os, type, size }: ClaimBody): Promise<ClaimView> {
  const { pool, destination } = settings
  const [id, name, at] = [randomUUID(), `${hostname}_${category}`, new Date()]
  const wish = [id, destination.id, name, hostname, category, os, type, size ?? null, at]
  const { rows } = await connections.query<SpareRow>({ name: 'reserve', text: RESERVE, values: wish })
  const [spare] = rows
  if (!spare) throw new Error('there is no spare')
  const rename = JSON.stringify({ volume: { name, metadata: {} } })
  const [existing] = await Promise.all([
    ask(destination, 'GET', `/volumes/detail?name=${encodeURIComponent(name)}`),
    ask(pool, 'PUT', `/volumes/${spare.volume_id}`, rename)
  ])
  if ((JSON.parse(existing) as { volumes: unknown[] }).volumes.length > 0) throw new Error(`${name} exists already`)
  const key = JSON.stringify({ accept: { auth_key: spare.auth_key } })
  await ask(destination, 'POST', `/volume-transfers/${spare.transfer_id}/accept`, key)
  const { volume_id, volume_type, snapshot_id, image_version } = spare
  const age = Math.round((Date.now() - spare.created_at.getTime()) / 1_000)
  const given = [id, spare.id, volume_id, volume_type, spare.size, snapshot_id, image_version, age, new Date()]
  await connections.query({ name: 'finish', text: FINISH, values: given })
  return {
    claim_id: id,
    volume_id,
    name,
    project_id: destination.id,
    source: 'pool',
    status: 'available',
    os,
    type,
    volume_type,
    size: spare.size,
    snapshot_id,
    image_version,
    miss_reason: null,
    spare_age_seconds: age
  }
}

async function ask(
  { id, token }: FloorSettings['pool'],
  method: 'GET' | 'PUT' | 'POST',
  path: string,
  body?: string
): Promise<string> {
  const headers = {
    'x-auth-token': token,
    'openstack-api-version': 'volume 3.70',
    ...(body === undefined ? {} : { 'content-type': 'application/json' })
  }
  const answer = await cloud.request({ path: `${pathname}/v3/${id}${path}`, method, headers, body: body ?? null })
  const text = await answer.body.text()
  if (answer.statusCode > 299) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`)
  return text
}

const app = fastify({ ajv: { customOptions: { removeAdditional: false } } }).withTypeProvider<TypeBoxTypeProvider>()
app.post('/pool/claim', { schema: { body: ClaimBody } }, async ({ body }) => await claim(body))
app.get('/healthz', async () => ({ status: 'ok' }))
process.on('disconnect', () => process.exit(0))
process.send?.({ url: await app.listen({ host: '127.0.0.1', port: 0 }) })
