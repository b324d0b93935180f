import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aStore } from '../support/store.ts'

const { rows, open } = await aStore()

const SPARE = {
  os: "'debian12'",
  type: "'ssd'",
  snapshot_id: "'s'",
  image_version: "'1'",
  volume_type: "'ceph-ssd'",
  size: '20',
  volume_id: "'v'",
  name: "'spare-1'",
  status: "'available'",
  allocated: 'false',
  claim_id: 'null',
  transfer_id: 'null',
  auth_key: 'null',
  available_at: 'now()'
}

const insert = (table: string, values: Record<string, string>) => {
  const all = { id: 'gen_random_uuid()', created_at: 'now()', updated_at: 'now()', ...values }
  return rows(`insert into ${table} (${Object.keys(all).join()}) values (${Object.values(all).join()})`)
}
const A_CLAIM = '(select id from claims limit 1)'

describe('table backup_volumes', () => {
  it('takes a spare in each status with what belongs to it', async () => {
    await open()
    await insert('backup_volumes', { ...SPARE, volume_id: "'1'" })
    await insert('backup_volumes', { ...SPARE, volume_id: 'null', status: "'requested'", available_at: 'null' })
    await insert('backup_volumes', { ...SPARE, volume_id: "'2'", status: "'creating'", available_at: 'null' })
    await insert('backup_volumes', {
      ...SPARE,
      volume_id: "'3'",
      status: "'reserved'",
      allocated: 'true',
      claim_id: A_CLAIM
    })
    await insert('backup_volumes', { ...SPARE, volume_id: 'null', status: "'retiring'", available_at: 'null' })
  })

  it.for([
    ['an unknown status', { status: "'lost'" }],
    ['stock without a volume', { volume_id: 'null' }],
    ['stock that was never finished', { available_at: 'null' }],
    ['a volume on its way that is not known', { status: "'creating'", volume_id: 'null' }],
    ['a reserved one without its claim', { status: "'reserved'", allocated: 'true' }],
    ['a reserved one that is not allocated', { status: "'reserved'", claim_id: A_CLAIM }],
    ['stock that is allocated', { allocated: 'true' }],
    ['stock with a claim', { claim_id: A_CLAIM }],
    ['a retiring one with a claim', { status: "'retiring'", claim_id: A_CLAIM }],
    ['a claim that does not exist', { status: "'reserved'", allocated: 'true', claim_id: 'gen_random_uuid()' }],
    ['a transfer without its key', { transfer_id: "'t'" }],
    ['a key without its transfer', { auth_key: "'k'" }],
    ['a type in capitals', { type: "'SSD'" }],
    ['a size of nothing', { size: '0' }],
    ['no snapshot', { snapshot_id: 'null' }]
  ] as const)('refuses %s', async ([, differs]) => {
    await open()
    await assert.rejects(insert('backup_volumes', { ...SPARE, ...differs }), /violates/)
  })

  it('refuses the same volume twice, and a claim’s second spare', async () => {
    await open()
    await insert('backup_volumes', SPARE)
    await assert.rejects(insert('backup_volumes', SPARE), /backup_volumes_volume_id_key/)
    const reserved = { ...SPARE, status: "'reserved'", allocated: 'true', claim_id: A_CLAIM }
    await insert('backup_volumes', { ...reserved, volume_id: "'2'" })
    await assert.rejects(insert('backup_volumes', { ...reserved, volume_id: "'3'" }), /backup_volumes_claim_id_key/)
  })
})

const CLAIM = {
  fingerprint: "''",
  project_id: "'p'",
  name: "'n'",
  hostname: "'h'",
  category: "'sys'",
  os: "'debian12'",
  type: "'ssd'",
  status: "'available'",
  source: "'pool'",
  volume_id: "'v'"
}

describe('table claims', () => {
  it.for([
    ['an unknown status', { status: "'lost'" }],
    ['an unknown source', { source: "'thin air'" }],
    ['an unknown reason of a miss', { miss_reason: "'bad luck'" }],
    ['a settled claim without a disk', { volume_id: 'null' }],
    ['a settled claim without a source', { source: 'null' }]
  ] as const)('refuses %s', async ([, differs]) => {
    await assert.rejects(insert('claims', { ...CLAIM, ...differs }), /violates check constraint/)
  })

  it('refuses a second living claim for a name or a key in a project, and a volume given twice', async () => {
    await insert('claims', { ...CLAIM, idempotency_key: "'k'" })
    await assert.rejects(insert('claims', { ...CLAIM, volume_id: "'w'" }), /claims_by_name/)
    const sameKey = { ...CLAIM, name: "'m'", volume_id: "'w'", idempotency_key: "'k'" }
    await assert.rejects(insert('claims', sameKey), /claims_by_key/)
    await assert.rejects(insert('claims', { ...CLAIM, name: "'m'" }), /claims_by_given_volume/)
  })
})

const IMAGE = {
  name: "'debian12'",
  type: "'ssd'",
  snapshot_id: "'s'",
  volume_id: "'v'",
  volume_type: "'ceph-ssd'",
  size: '20',
  version: "'1'"
}

describe('table os', () => {
  it.for([
    ['a type in capitals', { type: "'SSD'" }],
    ['an empty type', { type: "''" }],
    ['an empty name', { name: "''" }],
    ['a size of nothing', { size: '0' }]
  ] as const)('refuses %s', async ([, differs]) => {
    await assert.rejects(insert('os', { ...IMAGE, ...differs }), /violates check constraint/)
  })

  it('refuses a second image for an os on a type', async () => {
    await insert('os', IMAGE)
    await assert.rejects(insert('os', IMAGE), /os_name_type_key/)
  })
})
