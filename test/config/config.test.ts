import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'vitest'
import { parseConfig, readConfig } from '../../src/config/config.ts'
import { ConfigError } from '../../src/config/config-faults.ts'
import type { Config } from '../../src/config/schema.ts'
import { serviceProblems } from '../../src/service.ts'

const DATABASE = { database: { url: 'postgres://pool@db.example/pool' } }
const TOKEN = { name: 'api', sha256: 'a'.repeat(64) }
const AUTH = {
  auth_url: 'http://127.0.0.1:5000/v3',
  username: 'pool-svc',
  password: 'hunter2',
  project_name: 'pool',
  user_domain_name: 'Default',
  project_domain_name: 'Default'
}

const given = (document: object, env: Record<string, string> = {}): Config =>
  parseConfig({ ...DATABASE, ...document }, env, 'the test')

function problemsOf(work: () => unknown): readonly string[] {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.problems
  }
  return []
}

const problems = (document: object, env: Record<string, string> = {}): readonly string[] =>
  problemsOf(() => given(document, env))

/** As a service that is about to start reads it: with its login and its secret. */
const startProblems = (document: object, env: Record<string, string> = {}): readonly string[] =>
  problemsOf(() => parseConfig(document, env, 'the test', (config, isSound) => serviceProblems(config, env, isSound)))

function aFile(t: TestContext, text: string, name = 'config.yaml'): string {
  const folder = mkdtempSync(join(tmpdir(), 'config-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

describe('a configuration', () => {
  it('needs no more than a database: everything else has a default', () => {
    const config = given({})
    assert.equal(config.server.port, 8790)
    assert.equal(config.claims.volume_name, '{hostname}_{category}')
    assert.deepEqual(config.limits, {
      creating_max: 4,
      creating_max_per_snapshot: 2,
      creating_max_per_project: 4,
      surplus_seconds: 600
    })
    assert.deepEqual(config.access.roles.claimer, ['member'])
    assert.equal(config.access.mode, 'keystone')
    assert.deepEqual(config.pools, [])
  })

  it('takes a section or a key with nothing after it for one that is not there', () => {
    const config = given({ server: null, log: { level: null }, pools: null })
    assert.equal(config.server.port, 8790)
    assert.equal(config.log.level, 'info')
  })

  it("knows a pool's disk type in lower case", () => {
    assert.equal(given({ pools: [{ os: 'debian12', type: 'SSD', target: 1 }] }).pools[0]?.type, 'ssd')
  })

  it('leaves the document that it was read from as it was', () => {
    const document = { ...DATABASE, pools: [{ os: 'debian12', type: 'SSD', target: 1 }] }
    const before = structuredClone(document)
    parseConfig(document, { PORT: '1' }, 'the test')
    assert.deepEqual(document, before)
  })
})

describe('the environment', () => {
  it('beats the file', () => {
    const env = { DATABASE_URL: 'postgresql://other/db', PORT: '9000', HOST: '127.0.0.2', LOG_LEVEL: 'debug' }
    const config = given({ server: { port: 1, shutdown_seconds: 5 }, log: { level: 'warn' } }, env)
    assert.deepEqual(config.database, { url: 'postgresql://other/db' })
    assert.equal(config.server.port, 9000)
    assert.equal(config.server.host, '127.0.0.2')
    assert.equal(config.server.shutdown_seconds, 5)
    assert.equal(config.log.level, 'debug')
  })

  it('replaces an embedded database by one with an address', () => {
    const config = parseConfig({ database: { embedded: {} } }, { DATABASE_URL: 'postgres://db/pool' }, 'the test')
    assert.deepEqual(config.database, { url: 'postgres://db/pool' })
  })

  it('is not heard where it is set but empty', () => {
    assert.equal(given({ server: { port: 1 } }, { PORT: '', DATABASE_URL: '', HOST: '', LOG_LEVEL: '' }).server.port, 1)
  })

  it('is named as the source of what is wrong', () => {
    const env = { PORT: 'http', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://root:hunter2@db/pool' }
    assert.deepEqual(
      new Set(problems({}, env)),
      new Set([
        'server.port (from PORT): must be a whole number',
        'log.level (from LOG_LEVEL): must be one of fatal, error, warn, info, debug, trace, silent',
        'database.url (from DATABASE_URL): must be an address such as postgres://user:password@host/database'
      ])
    )
  })
})

describe('what is wrong', () => {
  it('is named all at once, with its path and what is allowed', () => {
    const found = problems({
      database: { url: 'postgres://db/pool', embedded: {} },
      deployment: 'two words',
      server: { prot: 1, port: 70_000 },
      images: { snapshot_name: '^(?<os>.+)$', source: 'guess' },
      claims: { volume_name: '{host}', prearm: 'yes', keep_days: 0 },
      pools: [{ os: 'a', type: 'ssd' }, { os: 'b', type: 'ssd', target: -1 }, 5],
      limits: { creating_max: 1.5 },
      ticks: { replenish: '* * * * *', reconcile: 5 },
      access: { mode: 'token' },
      log: { level: 'loud' },
      nonsense: true
    })
    const expected = [
      /^nonsense: unknown key; known here: deployment, server, /,
      /^deployment: must be 1 to 64 letters/,
      /^server\.prot: unknown key; known here: host, port, /,
      /^server\.port: must be 65535 or less$/,
      /^database: give url or embedded, not both$/,
      /^images\.snapshot_name: must have the named groups type, version$/,
      /^images\.source: must be one of os_table, cinder, os_table_then_cinder$/,
      /^claims\.volume_name: unknown part \{host\}; known: \{hostname\}, \{category\}, \{os\}, \{type\}$/,
      /^claims\.volume_name: must contain \{hostname\}/,
      /^claims\.prearm: must be true or false$/,
      /^claims\.keep_days: must be 1 or more$/,
      /^pools\[0\]\.target: is missing$/,
      /^pools\[1\]\.target: must be 0 or more$/,
      /^pools\[2\]: must be a mapping of keys$/,
      /^limits\.creating_max: must be a whole number$/,
      /^ticks\.replenish: must be a cron expression of six fields/,
      /^ticks\.reconcile: must be a text/,
      /^access\.tokens: is empty/,
      /^log\.level: must be one of/
    ]
    for (const words of expected)
      assert.ok(
        found.some(problem => words.test(problem)),
        `${words} in\n${found.join('\n')}`
      )
    assert.equal(found.length, expected.length, found.join('\n'))
  })

  it('is told in one message that names the source', () => {
    assert.throws(
      () => parseConfig({}, {}, 'config.yaml'),
      /^ConfigError: config\.yaml cannot be used:\n {2}database: is missing/
    )
  })

  it.each([[5], ['text'], [[1]], [null]])('is a document that is no mapping: %j', document => {
    assert.match(problemsOf(() => parseConfig(document, {}, 'the test')).join(), /must be a mapping of keys/)
  })

  it.each([[{ database: {} }], [{ database: { url: null } }]])('is a database that is not named: %j', document => {
    assert.match(problems(document).join(), /^database: is missing: give url .*or embedded/)
  })

  it.each(['', '*/10 * * * *', '61 * * * * *', 'every minute', '* * * * * * *'])('is the cron expression %j', cron => {
    assert.match(
      problems({ ticks: { check_state: cron } }).join(),
      /^ticks\.check_state: must be a cron expression of six/
    )
  })

  it('is a naming rule that is no regular expression', () => {
    assert.match(
      problems({ images: { snapshot_name: '(' } }).join(),
      /^images\.snapshot_name: is no regular expression/
    )
  })

  it.each(['{hostname}_{}', '{hostname}{disk}', '{hostname} {host name}'])('is the volume name %j', volumeName => {
    assert.match(problems({ claims: { volume_name: volumeName } }).join(), /^claims\.volume_name: unknown part/)
  })

  it.each(['{hostname}😀', '{hostname}\n', '\ud83d{hostname}'])(
    'is a volume name that Cinder cannot keep: %j',
    volumeName => {
      assert.match(problems({ claims: { volume_name: volumeName } }).join(), /^claims\.volume_name: .* beyond U\+FFFF/)
    }
  )

  it('is a pool that is there twice, in whatever case its type is written', () => {
    const pools = [
      { os: 'debian12', type: 'ssd', target: 1 },
      { os: 'Debian12', type: 'ssd', target: 1 },
      { os: 'debian12', type: 'SSD', target: 2 }
    ]
    assert.deepEqual(problems({ pools }), ['pools[2]: debian12 on ssd is there twice (pools[0])'])
  })

  it('is a target by hit rate, which this version does not have, and the rest is checked all the same', () => {
    const target = { min: 2, max: 40, hit_rate: 0.99, mode: 'advise' }
    const pools = [
      { os: 'debian12', type: 'ssd', target },
      { os: 'debian12', type: 'ssd', target: -1 }
    ]
    assert.deepEqual(
      new Set(problems({ pools })),
      new Set([
        'pools[0].target: must be a whole number; targets by hit rate are not available in this version',
        'pools[1].target: must be 0 or more',
        'pools[1]: debian12 on ssd is there twice (pools[0])'
      ])
    )
  })

  it('is a list with entries of nothing', () => {
    const found = problems({ pools: [null], access: { tokens: [null, 5] } })
    assert.deepEqual(
      found.map(problem => problem.split(':')[0]),
      ['pools[0]', 'access.tokens[0]', 'access.tokens[1]']
    )
  })

  it('is mode "none" on an address that others can reach', () => {
    const found = problems({ access: { mode: 'none' }, server: { host: '0.0.0.0' } })
    assert.deepEqual(found, [
      'access.mode: "none" is for a loopback server.host only, not 0.0.0.0; use keystone or token'
    ])
    assert.match(problems({ access: { mode: 'none' } }, { HOST: '10.0.0.1' }).join(), /loopback/)
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) {
      assert.deepEqual(problems({ access: { mode: 'none' }, server: { host } }), [])
    }
  })

  it('is an allowed host with more to it than its name', () => {
    const NAMED = 'a host name or address alone, such as pool.example: no scheme, port or path, and no wildcard'
    const more = ['https://pool.example', 'pool.example:8790', 'pool.example/', '*.example', '[::1]:8790', 'a b', '']
    assert.deepEqual(
      problems({ server: { allowed_hosts: more } }),
      more.map((_, index) => `server.allowed_hosts[${index}]: must be ${NAMED}`)
    )
    assert.deepEqual(problems({ server: { allowed_hosts: 'pool.example' } }), ['server.allowed_hosts: must be a list'])
    const names = ['pool.example', 'Pool_1.example.', '10.0.0.1', '[fd00::1]', 'fd00::1', '::1', '::ffff:10.0.0.1']
    assert.deepEqual(problems({ server: { allowed_hosts: names } }), [])
  })

  it('is a trusted proxy that is neither an address nor a network, or is everybody', () => {
    const wrong = [
      'haproxy',
      'loopback',
      '10.0.0.0/33',
      '10.0.0.0/0',
      '::/0',
      'fd00::/129',
      '10.0.0/8',
      '10.0.0.5:80',
      '',
      '/8'
    ]
    const found = problems({ server: { trusted_proxies: wrong } })
    assert.deepEqual(
      found.map(problem => problem.split(': must')[0]),
      wrong.map((_, index) => `server.trusted_proxies[${index}]`)
    )
    assert.match(
      problems({ server: { trusted_proxies: ['haproxy'] } }).join(),
      /address or a network, such as 10\.0\.0\.5/
    )
    const proxies = ['10.0.0.5', '10.0.0.0/8', '10.0.0.5/32', '::1', 'fd00::/64', '::ffff:10.0.0.0/104', 'fe80::1%eth0']
    assert.deepEqual(problems({ server: { trusted_proxies: proxies } }), [])
  })

  it('is a token without a hash, a known role, or the project that its role needs', () => {
    const tokens = [
      { ...TOKEN, role: 'claimer' },
      { ...TOKEN, sha256: 'hunter2', role: 'service' },
      { ...TOKEN, role: 'king' },
      { ...TOKEN, role: 'claimer', project_id: 'p' }
    ]
    const found = problems({ access: { mode: 'token', tokens } })
    assert.deepEqual(
      found.map(problem => problem.split(':')[0]),
      ['access.tokens[1].sha256', 'access.tokens[2].role', 'access.tokens[0].project_id']
    )
  })
})

describe('the login and the secret', () => {
  it('are checked with all the rest when a service is to start', () => {
    const found = startProblems({ ticks: { replenish: 'never' } }, { SPARE_POOL_SECRET: 'short' })
    const paths = found.map(problem => problem.split(/[: ]/)[0])
    assert.deepEqual(paths.slice(0, 2), ['ticks.replenish', 'database'])
    assert.ok(paths.includes('openstack.auth.auth_url'), found.join('\n'))
    assert.ok(paths.includes('openstack.auth.password'), found.join('\n'))
    assert.ok(paths.includes('SPARE_POOL_SECRET'), found.join('\n'))
  })

  it('may come from the environment', () => {
    const env = Object.fromEntries(Object.entries(AUTH).map(([key, value]) => [`OS_${key.toUpperCase()}`, value]))
    assert.deepEqual(startProblems(DATABASE, { ...env, SPARE_POOL_SECRET: 'a'.repeat(64) }), [])
  })

  it('are not asked about where their own keys are of a wrong kind', () => {
    const found = startProblems({ ...DATABASE, openstack: { auth: { ...AUTH, password: 12 } } })
    assert.deepEqual(found, ['openstack.auth.password: must be a text; put quotes around it'])
  })

  it('fail for a secret file that holds something else, and make none', t => {
    const file = aFile(t, 'hunter2', 'secret')
    const found = startProblems({ ...DATABASE, openstack: { auth: AUTH }, secret_file: file })
    assert.equal(found.length, 1)
    assert.match(found.join(), /^secret_file: .*must hold 32 bytes in hex/)
    assert.doesNotMatch(found.join(), /hunter2/)
  })
})

describe('a file', () => {
  it('is read as YAML', t => {
    const file = aFile(t, 'database: { url: postgres://db/pool }\npools:\n  - { os: debian12, type: ssd, target: 3 }\n')
    assert.equal(readConfig(file, {}).pools[0]?.target, 3)
  })

  it('gives the microversion as it is written there, with quotes or without', t => {
    const read = (version: string) => {
      const text = `database: ${JSON.stringify(DATABASE.database)}\nopenstack: { volume_api_version: ${version} }\n`
      return readConfig(aFile(t, text), {}).openstack.volume_api_version
    }
    assert.deepEqual(['3.50', '"3.50"', '3.5', '3.0', 'auto'].map(read), ['3.50', '3.50', '3.5', '3.0', 'auto'])
    for (const version of ['3', '4.1', '2.0', '3.x', '"3.1000"']) {
      assert.deepEqual(
        problemsOf(() => read(version)),
        ['openstack.volume_api_version: must be auto, or a microversion of Cinder such as 3.50']
      )
    }
  })

  it('that is empty lacks only what has no default', t => {
    assert.deepEqual(
      problemsOf(() => readConfig(aFile(t, ''), {})).map(one => one.split(':')[0]),
      ['database']
    )
  })

  it('that is not there is named', () => {
    assert.match(problemsOf(() => readConfig('nowhere.yaml', {})).join(), /nowhere\.yaml/)
  })

  it('with faults of YAML has all of them named by line, without the line', t => {
    const found = problemsOf(() => readConfig(aFile(t, 'log: { level: info }\nlog: 1\nserver: @hunter2\n'), {}))
    assert.equal(found.length, 2)
    assert.match(found.join('\n'), /^line 2, column 1: this key is there twice$/m)
    assert.match(found.join('\n'), /^line 3, column 9: is no YAML .*quotes/m)
  })

  it.for([
    'openstack: { auth: { password: *hunter2 } }',
    'openstack: { auth: { password: !hunter2 x } }',
    'openstack: { auth: { password: @hunter2 } }',
    'openstack: { auth: { password: "hunter2 } }',
    'openstack: { auth: { password: a: hunter2 } }',
    'openstack: { auth: { password:"hunter2" } }',
    'openstack: { auth: password=hunter2 }',
    'openstack: { auth: { password: [hunter2] } }',
    'database: { url: "mysql://pool:hunter2@db/pool" }',
    'secret_file: { hunter2: 1 }',
    'access: { tokens: [ { name: a, sha256: hunter2, role: service } ] }'
  ])('never has a secret repeated in what is wrong with it: %s', (text, t) => {
    const file = aFile(t, `${text}\n`)
    const found = problemsOf(() => readConfig(file, {}, (config, isSound) => serviceProblems(config, {}, isSound)))
    assert.notDeepEqual(found, [])
    assert.doesNotMatch(found.join('\n'), /hunter2/)
  })
})
