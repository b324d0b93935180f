import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  documentsLeadSomewhere,
  FILE_LINES_MAX,
  FUNCTION_LINES_MAX,
  fileAt,
  filesAreShort,
  filesBelow,
  functionsAreShort,
  importsPointOneWay,
  linesOf,
  migrationsSayWhy,
  namesSayWhat,
  nothingIsAny,
  nothingIsIgnored,
  nothingIsLeftToDo,
  type Rule,
  type SourceFile,
  sqlIsInTheStore,
  timeIsPassedIn
} from './support/tidy.ts'

/** Lower this whenever something goes. Raise it only for something that users get, and say so in the commit. */
const LINES_MAX = { service: 14_715, sandbox: 4_140 }

const service = filesBelow('src', '.ts')
const sandbox = filesBelow('sandbox', '.ts')
const sources = [...service, ...sandbox]
const tests = filesBelow('test', '.ts').filter(({ path }) => !path.includes('tidy'))
const benches = filesBelow('bench', '.ts')
const migrations = filesBelow('migrations', '.sql')
const documents = ['README.md', 'CHANGELOG.md', 'docs', 'test'].flatMap(place =>
  place.endsWith('.md') ? [fileAt(place)] : filesBelow(place, '.md')
)

const aFile = (path: string, text: string): SourceFile => ({ path, text })
const statements = (count: number) => '  work()\n'.repeat(count)

interface Sample {
  readonly rule: Rule
  readonly files: readonly SourceFile[]
  readonly bad: readonly SourceFile[]
  readonly good: readonly SourceFile[]
}

const RULES: Readonly<Record<string, Sample>> = {
  'imports point one way': {
    rule: importsPointOneWay,
    files: sources,
    bad: [
      aFile('src/pool/spare.ts', "import { ok } from 'node:assert'"),
      aFile('src/pool/spare.ts', "import type { Spares } from '../store/spares.ts'"),
      aFile('src/operations/spare/arm.ts', "const { query } = await import('../../store/spares.ts')"),
      aFile('src/operations/spare/arm.ts', "import { handOver } from '../claim/hand-over.ts'"),
      aFile('src/store/spares.ts', "export { Volumes } from '../openstack/volumes.ts'"),
      aFile('src/openstack/volumes.ts', "export * from '../store/spares.ts'"),
      aFile('src/openstack/volumes.ts', "type Spares = import('../store/spares.ts').Spares"),
      aFile('sandbox/cloud.ts', "import { mayBecome } from '../src/pool/spare.ts'"),
      aFile('src/cli/stats.ts', "import { SeededCloud } from '../sandbox/seed.ts'"),
      aFile('src/http/claims.ts', "import { query } from '../store/connection/database.ts'"),
      aFile('src/new.ts', "import { startService } from './service.ts'")
    ],
    good: [
      aFile('src/pool/spare.ts', "import type { Image } from './image.ts'"),
      aFile('src/operations/spare/arm.ts', "import type { Volumes } from '../../pool/ports.ts'"),
      aFile('src/cli/sandbox.ts', "import { startSandbox } from '../../sandbox/server.ts'"),
      aFile('src/service.ts', "import { query } from './store/connection/database.ts'\nimport { Agent } from 'undici'")
    ]
  },
  'functions are short': {
    rule: functionsAreShort,
    files: [...sources, ...benches],
    bad: [
      aFile('src/a.ts', `function f () {\n${statements(FUNCTION_LINES_MAX - 1)}}`),
      aFile('src/a.ts', `const f = async () => {\n${statements(FUNCTION_LINES_MAX - 1)}}`),
      aFile('src/a.ts', `class A { f () {\n${statements(FUNCTION_LINES_MAX - 1)}} }`)
    ],
    good: [aFile('src/a.ts', `function f () { // { {\n${statements(FUNCTION_LINES_MAX - 2)}}\n${statements(100)}`)]
  },
  'files are short': {
    rule: filesAreShort,
    files: [...sources, ...benches],
    bad: [aFile('src/a.ts', statements(FILE_LINES_MAX + 1))],
    good: [aFile('src/a.ts', statements(FILE_LINES_MAX))]
  },
  'time and chance are passed in': {
    rule: timeIsPassedIn,
    files: sources,
    bad: [
      'Date.now()',
      'const now = Date.now',
      'new Date()',
      'new Date',
      'Date()',
      'Math.random()',
      'performance.now()',
      'setTimeout(f, 1)',
      'globalThis.setInterval(f, 1)',
      "import { setTimeout as wait } from 'node:timers/promises'"
    ].map(text => aFile('src/pool/spare.ts', text)),
    good: [
      aFile('src/clock.ts', 'new Date()'),
      aFile('src/pool/spare.ts', "new Date(0); clock.now() // Date.now()\nconst text = 'Date.now()'")
    ]
  },
  'nothing is any': {
    rule: nothingIsAny,
    files: [...sources, ...tests, ...benches],
    bad: [aFile('src/a.ts', 'let a: any'), aFile('src/a.ts', 'const a = b as any[]'), aFile('src/a.ts', 'f<any>()')],
    good: [aFile('src/a.ts', 'const any: unknown = "any" // as any')]
  },
  'nothing is ignored': {
    rule: nothingIsIgnored,
    files: [...sources, ...tests, ...benches],
    bad: [
      '// @ts-ignore',
      '// @ts-expect-error: x',
      '// biome-ignore lint: x',
      '/* eslint-disable */',
      '// oxlint-disable'
    ]
      .concat('/* v8 ignore next */')
      .map(text => aFile('src/a.ts', text)),
    good: [aFile('src/a.ts', '// Errors are ignored here.')]
  },
  'nothing is left to do': {
    rule: nothingIsLeftToDo,
    files: [...sources, ...tests, ...benches, ...migrations],
    bad: [aFile('src/a.ts', '// TODO: more'), aFile('src/a.ts', '/* FIXME */')],
    good: [aFile('src/a.ts', '// To do is to be.')]
  },
  'names say what a file is': {
    rule: namesSayWhat,
    files: [...sources, ...tests, ...benches],
    bad: ['src/claimDisk.ts', 'src/Claim.ts', 'src/utils.ts', 'src/http-common.ts', 'src/pool-manager.ts'].map(path =>
      aFile(path, '')
    ),
    good: ['src/claim-disk.ts', 'test/tidy.test.ts', 'src/uncommon.ts'].map(path => aFile(path, ''))
  },
  'SQL is in the store': {
    rule: sqlIsInTheStore,
    files: sources,
    bad: [
      "'select id from os'",
      '`\n  insert into os (id) values (:id)`',
      '"UPDATE claims SET status = 1"',
      "'delete from os'",
      "'create table x (id int)'"
    ].map(text => aFile('src/operations/arm.ts', `query(db, ${text})`)),
    good: [
      aFile('src/store/spares.ts', "query(db, 'select id from os')"),
      aFile('src/operations/arm.ts', "throw new Error('Update the setting') // select id from os")
    ]
  },
  'documents lead somewhere': {
    rule: documentsLeadSomewhere,
    files: documents,
    bad: [aFile('docs/a.md', '[a](b.md)'), aFile('README.md', 'see `src/nothing.ts`')],
    good: [aFile('docs/a.md', '[a](guarantees.md#b), [c](https://d.example), `src/service.ts`, `docs/`')]
  },
  'migrations say why': {
    rule: migrationsSayWhy,
    files: migrations,
    bad: [aFile('migrations/0001-a.sql', 'create table a (id int);')],
    good: [aFile('migrations/0001-a.sql', '-- Because.\ncreate table a (id int);')]
  }
}

describe.each(Object.entries(RULES))('%s', (_name, { rule, files, bad, good }) => {
  it('holds everywhere', () => {
    assert.ok(files.length > 0)
    assert.deepEqual(
      files.flatMap(file => rule(file).map(problem => `${file.path} ${problem}`)),
      []
    )
  })

  it('would be seen if it did not', () => {
    for (const file of bad) assert.notDeepEqual(rule(file), [], `${file.path}: ${file.text}`)
    for (const file of good) assert.deepEqual(rule(file), [], `${file.path}: ${file.text}`)
  })
})

describe('the whole', () => {
  it.each([
    ['src', service, LINES_MAX.service],
    ['sandbox', sandbox, LINES_MAX.sandbox]
  ] as const)('does not grow unnoticed: %s', (_folder, files, linesMax) => {
    const lines = files.reduce((sum, file) => sum + linesOf(file), 0)
    assert.ok(lines <= linesMax, `it has ${lines}`)
  })
})
