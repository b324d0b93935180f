import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { it } from 'vitest'
import { aService } from '../support/service.ts'

const FILE = new URL('../../openapi/openapi.yaml', import.meta.url)

it('openapi/openapi.yaml is what the routes say: `npm run openapi` writes it anew', async t => {
  const { service } = await aService(t, { filled: false })
  const document = service.app.swagger({ yaml: true })
  if (process.env['UPDATE_OPENAPI']) writeFileSync(FILE, document)
  assert.equal(readFileSync(FILE, 'utf8'), document)
})
