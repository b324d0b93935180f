import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'vitest'
import { sandboxCommand } from '../../src/cli/sandbox.ts'

const LAUNCHER = "import('./src/cli/sandbox.ts').then(({ sandboxCommand }) => sandboxCommand().parseAsync())"

async function stateAt(welcome = ''): Promise<unknown> {
  const url = welcome.slice(welcome.indexOf('http'))
  const { release, locale, list_max } = (await (await fetch(`${url}/sandbox/state`)).json()) as Record<string, unknown>
  return { release, locale, list_max }
}

describe('spare-pool sandbox', () => {
  it('says where it is, writes a clouds.yaml, and stops on SIGTERM', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'sandbox-'))
    t.onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'clouds.yaml')
    const cloud = ['--release', 'mitaka', '--locale', 'zh_CN', '--list-max', '100']
    const options = ['--port', '0', '--delays', 'none', ...cloud, '--clouds-yaml', file]
    const child = spawn(process.execPath, ['--import', 'tsx', '-e', LAUNCHER, '--', ...options], { stdio: 'pipe' })
    const exited = once(child, 'exit')
    const said: string[] = []
    let state: unknown
    for await (const line of createInterface(child.stdout)) {
      said.push(line)
      if (!line.startsWith('Stop it')) continue
      state = await stateAt(said[0])
      child.kill('SIGTERM')
    }
    assert.deepEqual(await exited, [0, null])
    const [, url] = /up at (http:\/\/127\.0\.0\.1:\d+)$/.exec(said[0] ?? '') ?? []
    assert.ok(url)
    assert.deepEqual(state, { release: 'mitaka', locale: 'zh_CN', list_max: 100 })
    assert.ok(readFileSync(file, 'utf8').includes(`auth_url: ${url}/identity/v3`))
  }, 20_000)

  it('refuses options that make no sense', async () => {
    const nonsense = ['--port x', '--delays some', '--release kilo', '--locale tlh', '--list-max many', '--nonsense']
    for (const options of nonsense.map(text => text.split(' '))) {
      const command = sandboxCommand()
        .exitOverride()
        .configureOutput({ writeErr: () => undefined })
      await assert.rejects(command.parseAsync(options, { from: 'user' }), { name: 'CommanderError' })
    }
  })
})
