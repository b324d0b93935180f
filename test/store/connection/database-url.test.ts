import assert from 'node:assert/strict'
import { userInfo } from 'node:os'
import { describe, it } from 'vitest'
import { databaseUrlProblems, readDatabaseUrl } from '../../../src/store/connection/database-url.ts'

const hostsOf = (url: string, env: Record<string, string> = {}): string[] =>
  readDatabaseUrl(url, env).hosts.map(({ host, port }) => `${host} ${port}`)

describe('database.url', () => {
  it.for([
    ['postgres://db.example/pool', ['db.example 5432']],
    ['postgresql://pool@db.example:6432/pool', ['db.example 6432']],
    ['postgres://pool@[fd00::1]:6432/pool', ['fd00::1 6432']],
    ['postgres://pool@[::1]/pool', ['::1 5432']],
    ['postgres://db-1,db-2:6432,[fd00::3]/pool', ['db-1 5432', 'db-2 6432', 'fd00::3 5432']],
    ['postgres://pool@%2Fvar%2Frun%2Fpostgresql/pool', ['/var/run/postgresql 5432']],
    ['postgres://pool@/pool?host=/run/pg&port=6432', ['/run/pg 6432']],
    ['postgres://pool@/pool?host=%2Frun%2Fpg', ['/run/pg 5432']],
    ['postgres://pool@db-1/pool?host=db-2,db-3&port=1,2', ['db-2 1', 'db-3 2']],
    ['postgres://pool@db-1,db-2/pool?port=6432', ['db-1 6432', 'db-2 6432']],
    ['postgres://', ['/var/run/postgresql 5432', 'localhost 5432']],
    ['postgres://:6432', ['/var/run/postgresql 6432', 'localhost 6432']],
    ['postgres:///pool', ['/var/run/postgresql 5432', 'localhost 5432']]
  ] as const)('%s leads to %s', ([url, hosts]) => {
    assert.deepEqual(hostsOf(url), hosts)
  })

  it('is filled in by the variables that every client knows', () => {
    const env = {
      PGHOST: 'db-1,db-2',
      PGPORT: '6432',
      PGUSER: 'pool',
      PGDATABASE: 'spares',
      PGPASSWORD: 'a',
      PGAPPNAME: 'b'
    }
    const { user, database, parameters } = readDatabaseUrl('postgres://', env)
    assert.deepEqual([user, database], ['pool', 'spares'])
    assert.deepEqual([parameters.password, parameters.application_name], ['a', 'b'])
    assert.deepEqual(hostsOf('postgres://', env), ['db-1 6432', 'db-2 6432'])
    const said = readDatabaseUrl('postgres://me:p@db-3:1/mine?application_name=c', env)
    assert.deepEqual([said.user, said.database], ['me', 'mine'])
    assert.deepEqual([said.parameters.password, said.parameters.application_name], ['p', 'c'])
    assert.deepEqual(said.hosts, [{ host: 'db-3', port: 1 }])
  })

  it('means by default what libpq means: our own name for user and database', () => {
    const { user, database, parameters } = readDatabaseUrl('postgres://db.example', {})
    assert.deepEqual([user, database, parameters.password], [userInfo().username, userInfo().username, undefined])
    assert.equal(readDatabaseUrl('postgres://pool@db.example', {}).database, 'pool')
  })

  it.for([
    ['postgres://pool:a%40b%3Ac%2Fd%3Fe%25f%23g@db/pool', 'a@b:c/d?e%f#g'],
    ['postgres://pool:a:b?c#d&e=f@db/pool', 'a:b?c#d&e=f'],
    ['postgres://pool@db/pool?password=a%26b', 'a&b'],
    ['postgres://pool:%C3%A9t%C3%A9@db/pool', 'été']
  ] as const)('reads a password as libpq does: %s', ([url, password]) => {
    assert.equal(readDatabaseUrl(url, {}).parameters.password, password)
    assert.deepEqual(hostsOf(url), ['db 5432'])
  })

  it.for([
    ['postgres://db/pool', false],
    ['postgres://db/pool?target_session_attrs=read-write', true],
    ['postgres://db/pool?target_session_attrs=primary', true],
    ['postgres://db-1,db-2/pool', true], // The service only writes: a standby is of no use to it.
    ['postgres://db-1,db-2/pool?target_session_attrs=any', false],
    ['postgres:///pool', false]
  ] as const)('passes over servers that take no writes where it should: %s %s', ([url, writable]) => {
    assert.equal(readDatabaseUrl(url, {}).writable, writable)
  })

  it('takes options, a time to connect, and what changes nothing', () => {
    const url =
      'postgres://db/pool?options=-c%20search_path%3Dpool&connect_timeout=7&client_encoding=UTF8&gssencmode=disable' +
      '&channel_binding=prefer&keepalives=1&load_balance_hosts=disable'
    assert.deepEqual(databaseUrlProblems(url, {}), [])
    const { parameters, connectSeconds } = readDatabaseUrl(url, {})
    assert.deepEqual([parameters.options, connectSeconds], ['-c search_path=pool', 7])
    assert.equal(readDatabaseUrl('postgres://db/pool?connect_timeout=0', {}).connectSeconds, undefined)
  })
})

describe('what is wrong with database.url', () => {
  it.for([
    ['sslmode=on', /^database\.url: sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full$/],
    ['sslmode=no-verify', /^database\.url: sslmode must be one of/],
    ['sslmode=VERIFY-FULL', /^database\.url: sslmode must be one of/], // Not `prefer` in silence.
    ['ssl=false', /^database\.url: ssl must be true; else use sslmode$/],
    ['target_session_attrs=standby', /^database\.url: target_session_attrs must be .*: the service writes$/],
    ['target_session_attrs=prefer-standby', /^database\.url: target_session_attrs must be/],
    ['connect_timeout=soon', /^database\.url: connect_timeout must be a number of seconds/],
    ['port=5432,5433', /^database\.url: port must be one for all hosts, or one for each$/],
    ['port=http', /^database\.url: port must be a number/],
    ['host=a%20b', /^database\.url: host must be a name/],
    ['sslnegotiation=direct', /^database\.url: sslnegotiation=direct needs sslmode require/],
    ['channel_binding=require', /^database\.url: channel_binding must be disable or prefer; sslmode=verify-full/],
    ['client_encoding=latin1', /^database\.url: client_encoding must be/],
    ['load_balance_hosts=random', /^database\.url: load_balance_hosts must be/],
    ['hostaddr=10.0.0.1', /^database\.url: hostaddr is not supported here: put the address in place of the host$/],
    ['service=pool', /^database\.url: service is not supported here: take it out; supported are host, port, /],
    ['tcp_user_timeout=5', /^database\.url: tcp_user_timeout is not supported here/],
    ['pgbouncer=true', /^database\.url: pgbouncer is not needed/],
    ['sslmod=require', /^database\.url: sslmod is not supported here: take it out; supported are host, port, /]
  ] as const)('is named by its parameter: %s', ([parameter, problem]) => {
    const [found = '', ...more] = databaseUrlProblems(`postgres://pool:hunter2@db.example/pool?${parameter}`, {})
    assert.match(found, problem)
    assert.deepEqual(more, [])
  })

  it('is all named at once', () => {
    const url = 'postgres://db/pool?sslmode=on&service=a&connect_timeout=b'
    assert.deepEqual(
      databaseUrlProblems(url, {}).map(problem => problem.split(' ')[1]),
      ['sslmode', 'service', 'connect_timeout']
    )
  })

  it('is named by the variable where it comes from one', () => {
    assert.match(
      databaseUrlProblems('postgres://db/pool', { PGSSLMODE: 'on' }).join(),
      /sslmode must be .* \(from PGSSLMODE\)$/
    )
    assert.deepEqual(databaseUrlProblems('postgres://db/pool?sslmode=prefer', { PGSSLMODE: 'on' }), [])
  })

  it.for([
    'postgres://pool:hunter2@hunter2@db/pool',
    'postgres://pool:hunter2/hunter2@db/pool',
    'postgres://pool:hun%ter2@db/pool',
    'postgres://pool:hunter2%00@db/pool',
    'postgres://pool:hunter2@db:hunter2/pool',
    'postgres://pool:hunter2@[::1/pool',
    'postgres://pool:hunter2@d b/pool',
    'postgres://pool:5/hunter2?hunter2=hunter2@db/pool',
    'postgres://pool:hunter2@db/pool?Hunter2=hunter2',
    'postgres://pool:hunter2@db/pool?sslmode=hunter2',
    'postgres://pool:hunter2@db/pool?sslrootcert=/nowhere'
  ])('never has a password in it: %s', url => {
    const found = databaseUrlProblems(url, {})
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found.join(), /^database\.url: /)
    assert.doesNotMatch(found.join(), /hunter2/i)
  })
})
