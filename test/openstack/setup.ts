import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Before the run: brings the cloud up, or mends what is missing of it. It stays: `test/openstack/down` ends it. */
export default async function setup(): Promise<void> {
  const up = spawn(fileURLToPath(new URL('up', import.meta.url)), { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await once(up, 'exit')
  if (code !== 0)
    throw new Error(`test/openstack/up failed (${code}): without a cloud there is nothing to test against.`)
}
