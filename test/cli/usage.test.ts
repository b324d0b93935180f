import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'vitest'
import { aConfigFile, aFolder, runCommand } from '../support/command-line.ts'

const COMMANDS = ['serve', 'migrate', 'doctor', 'sandbox', 'stats', 'plan', 'claim', 'sync']
const CLAIM = ['claim', '--hostname', 'web-01', '--os', 'debian12', '--type', 'ssd']
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

describe('spare-pool', () => {
  it('shows every command, and its version', async t => {
    const [help, versionShown] = await Promise.all([runCommand(t, ['--help']), runCommand(t, ['--version'])])
    assert.equal(help.code, 0)
    for (const command of COMMANDS) assert.match(help.stdout, new RegExp(`^ {2}${command} .{10}`, 'm'))
    assert.deepEqual([versionShown.code, versionShown.stdout], [0, `${version}\n`])
  })

  it.for(COMMANDS)('explains %s with --help', async (command, t) => {
    const { code, stdout, stderr } = await runCommand(t, [command, '--help'])
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, new RegExp(`^Usage: spare-pool ${command} \\[options\\]\n\n\\S.{10,}`))
    if (command !== 'sandbox') assert.match(stdout, /-c, --config <file> .*\n?.*SPARE_POOL_CONFIG/)
  })

  it.for([
    [[], /Usage: spare-pool/],
    [['refill'], /unknown command 'refill'/],
    [['stats', '--colour'], /unknown option '--colour'/],
    [['stats', 'now'], /too many arguments/],
    [['claim', '--os', 'debian12'], /required option '--hostname <name>' not specified/],
    [[...CLAIM, '--size', 'big'], /'--size <gib>' argument 'big' is invalid/],
    [[...CLAIM, '--on-empty', 'wait'], /Allowed choices are create, fail/],
    [['sync', '--purge', 'some'], /Allowed choices are all, stale, none/],
    [['sandbox', '--port', 'x'], /argument 'x' is invalid/],
    [['stats', '--url', 'not an address'], /--url/],
    [['migrate'], /--config: is missing/],
    [['doctor'], /--config: is missing/]
  ] as const)('exits with 2 and says why after wrong usage: %j', async ([args, words], t) => {
    const { code, stdout, stderr } = await runCommand(t, args)
    assert.deepEqual([code, stdout], [2, ''], stderr)
    assert.match(stderr, words)
    assert.doesNotMatch(stderr, /\n {4}at /, 'a stack trace is no explanation')
  })

  it.for(['stats', 'plan', 'sync'])('exits with 1 when %s reaches no service', async (command, t) => {
    const { code, stdout, stderr } = await runCommand(t, [command, '--url', 'http://127.0.0.1:1'])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^spare-pool: No answer from http:\/\/127\.0\.0\.1:1: .*Is the service running\?/)
  })
})

describe('a wrong configuration', () => {
  it.for(['serve', 'migrate', 'doctor', 'stats'])(
    'keeps %s from starting anything, with exit code 2',
    async (command, t) => {
      const cwd = aFolder(t)
      const file = aConfigFile(t, {
        database: { embedded: {} },
        pools: [{ os: 'debian12' }],
        ticks: { replenish: 'never' }
      })
      const { code, stdout, stderr } = await runCommand(t, [command, '--config', file], { cwd })
      assert.deepEqual([code, stdout], [2, ''])
      for (const path of ['pools[0].type', 'pools[0].target', 'ticks.replenish'])
        assert.ok(stderr.includes(`  ${path}: `), stderr)
      assert.deepEqual(readdirSync(cwd), [])
    }
  )

  it('has the login and the secret among its faults when a service is to start', async t => {
    const cwd = aFolder(t)
    const file = aConfigFile(t, { database: { embedded: {} }, log: { level: 'loud' } })
    const env = { SPARE_POOL_CONFIG: file, SPARE_POOL_SECRET: 'hunter2', OS_USERNAME: 'pool-svc' }
    const { code, stderr } = await runCommand(t, ['serve'], { cwd, env })
    assert.equal(code, 2)
    assert.match(stderr, / {2}log\.level: must be one of/)
    assert.match(stderr, / {2}openstack\.auth\.auth_url \(or OS_AUTH_URL\): missing/)
    assert.match(stderr, / {2}SPARE_POOL_SECRET must hold 32 bytes/)
    assert.doesNotMatch(stderr, /hunter2|OS_USERNAME/)
    assert.deepEqual(readdirSync(cwd), [])
  })

  it('may be the environment of the demonstration', async t => {
    const cwd = aFolder(t)
    const env = { PORT: 'http', SPARE_POOL_SECRET: 'short', SANDBOX_PORT: '0' }
    const { code, stderr } = await runCommand(t, ['serve'], { cwd, env })
    assert.equal(code, 2)
    assert.match(stderr, /server\.port \(from PORT\)[\s\S]*SPARE_POOL_SECRET/)
    const other = await runCommand(t, ['serve'], { cwd, env: { SANDBOX_PORT: 'x' } })
    assert.equal(other.code, 2)
    assert.match(other.stderr, /SANDBOX_PORT: must be a whole number/)
    assert.deepEqual(readdirSync(cwd), [])
  })
})
