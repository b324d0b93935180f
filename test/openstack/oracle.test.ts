import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sample } from 'fast-check'
import { beforeAll, describe, it } from 'vitest'
import { parse } from 'yaml'
import type { Files } from '../../src/openstack/client-files.ts'
import { loginBody } from '../../src/openstack/login.ts'
import { cloudSettings, SettingsError } from '../../src/openstack/settings.ts'
import { clientConfigs } from '../support/client-configs.ts'

/*
 * Each case of the corpus is read by us and by openstacksdk. Its answers are recorded, so that we are held against them on a
 * machine without it too; where it is there, the recording is held against it. A new case is recorded by
 *
 *   /usr/bin/python3 test/support/programs/openstacksdk.py test/openstack/clouds-corpus > test/openstack/openstacksdk.json
 */
const CORPUS = fileURLToPath(new URL('clouds-corpus', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../support/programs/openstacksdk.py', import.meta.url))
const RECORDING = new URL('openstacksdk.json', import.meta.url)

const { CI, PYTHON = '/usr/bin/python3' } = process.env
const isMissing = spawnSync(PYTHON, ['-c', 'import openstack']).status !== 0
const mayBeMissing = CI === undefined || CI === ''
const WHY_SKIPPED = isMissing && mayBeMissing ? `, skipped: ${PYTHON} has no openstacksdk (set PYTHON to another)` : ''
if (WHY_SKIPPED) process.stdout.write(`The recording of openstacksdk${WHY_SKIPPED}.\n`)

interface Case {
  readonly why: string
  readonly env?: Readonly<Record<string, string>>
  readonly files?: Readonly<Record<string, string>>
}

interface Answer {
  readonly login_url: string
  readonly login: unknown
  readonly region: string | null
  readonly interface: string
  readonly endpoint: string | null
  readonly verify: string | boolean
  readonly cert: string | null
  readonly key: string | null
}

type Refusal = { readonly refused: string }

const recorded = JSON.parse(readFileSync(RECORDING, 'utf8')) as Readonly<Record<string, Answer | Refusal>>
const names = readdirSync(CORPUS).map(file => file.replace(/\.yaml$/, ''))
const isRefusal = (answer: Answer | Refusal): answer is Refusal => 'refused' in answer

/** Block storage's endpoints are public, internal and admin; `publicURL` and so on are other words for it. */
const inShort = (answer: Answer): Answer => ({ ...answer, interface: answer.interface.replace(/URL$/, '') })

/** A folder that is nowhere but in the test. */
const FOLDER = '/case'
const placed = (text: string): string => text.replaceAll('$CASE', FOLDER)

const caseOf = (name: string): Case => parse(readFileSync(join(CORPUS, `${name}.yaml`), 'utf8')) as Case

function ours({ env = {}, files = {} }: Omit<Case, 'why'>): Answer | Refusal {
  const home = `${FOLDER}/home`
  const contents = new Map(
    Object.entries(files).map(([path, text]) => [resolve(FOLDER, path.replace('~', home)), placed(text)])
  )
  const virtual: Files = { home, read: path => contents.get(resolve(FOLDER, path)) }
  const variables = Object.fromEntries(Object.entries(env).map(([variable, value]) => [variable, placed(value)]))
  try {
    const { authUrl, login, tls, ...rest } = cloudSettings({}, variables, virtual)
    return {
      login_url: `${authUrl}/auth/tokens`,
      login: loginBody(login),
      region: rest.regionName ?? null,
      interface: rest.interface,
      endpoint: rest.blockStorageUrl ?? null,
      verify: tls.insecure ? false : (tls.ca ?? true),
      cert: tls.cert ?? null,
      key: (tls.key === tls.cert ? undefined : tls.key) ?? null
    }
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error))
    return { refused: error.message }
  }
}

const password = (user: object, scope: object): object => ({
  login: { identity: { methods: ['password'], password: { user: { ...user, password: 'hush' } } }, scope }
})
const DEFAULT = { id: 'default' }

/** What we refuse with; or what is otherwise in our answer, which is all of it where the SDK refuses. */
type Difference = { readonly why: string } & ({ readonly refusal: RegExp } | { readonly answer: Partial<Answer> })

const V2 = { why: "Keystone's old API is gone; the SDK finds that out when it logs in." }
const ASKED = {
  why: 'The SDK finds out when it logs in, or asks the user, who is not there.'
}

/** Where we mean to differ from the SDK; in all other cases we accept what it accepts, with the same meaning. */
const DIFFERENCES: Readonly<Record<string, Difference>> = {
  'env-v2-url': {
    ...V2,
    refusal: /^ {2}OS_AUTH_URL: ends in Keystone's version 2, .* end it in \/v3, or in no version/m
  },
  'file-v2-url': { ...V2, refusal: /^ {2}clouds\.c\.auth\.auth_url in clouds\.yaml: ends in Keystone's version 2/m },
  'env-identity-2': { ...V2, refusal: /^ {2}OS_IDENTITY_API_VERSION: version 2 .*; set it to 3, or leave it out/m },
  'file-identity-2': { ...V2, refusal: /^ {2}clouds\.c\.identity_api_version in clouds\.yaml: version 2 of Keystone/m },
  'env-no-user': { ...ASKED, refusal: /username \(or OS_USERNAME\): missing/ },
  'env-no-password': { ...ASKED, refusal: /password \(or OS_PASSWORD\): missing/ },
  'env-no-project': { ...ASKED, refusal: /project_name \(or OS_PROJECT_NAME\): missing/ },
  'env-domain-scope': { ...ASKED, refusal: /project_name \(or OS_PROJECT_NAME\): missing/ },
  'env-no-domain': {
    why: "The SDK asks Keystone whether it has the old API, which knows the domain 'default' only; so that is meant.",
    answer: password({ name: 'pool-svc', domain: DEFAULT }, { project: { name: 'pool', domain: DEFAULT } })
  },
  'env-type-v3totp': {
    why: 'A passcode is good for half a minute: no service can log in again with it.',
    refusal:
      /^ {2}OS_AUTH_TYPE: "v3totp" is not supported; use password \(v3password\), v3applicationcredential or token/m
  },
  'env-application-credential-without-type': {
    why: 'The SDK logs in as nobody, which no one can mean.',
    answer: {
      login: {
        identity: { methods: ['application_credential'], application_credential: { id: 'ac1', secret: 'hush' } }
      }
    }
  },
  'env-token-without-type': {
    why: 'The SDK refuses what can mean one thing only.',
    answer: {
      login_url: 'https://k.example/v3/auth/tokens',
      login: { identity: { methods: ['token'], token: { id: 'gAAAA' } }, scope: { project: { id: 'p1' } } },
      region: null,
      interface: 'public',
      endpoint: null,
      verify: true,
      cert: null,
      key: null
    }
  },
  'file-auth-url-without-region': {
    why: 'The SDK goes to https://.example.',
    refusal: /auth_url in clouds\.yaml: \{region_name\} stands for no other key/
  },
  'env-over-a-file': {
    why: 'Variables beat files, as we promise; to the SDK they are another cloud, and the command line mixes the two.',
    answer: password(
      { name: 'other', domain: { name: 'Default' } },
      { project: { name: 'pool', domain: { name: 'Default' } } }
    )
  },
  'file-region-other-in-variable': {
    why: 'Variables beat files; only a list of regions is closed. Whether the region exists, the catalogue says.',
    answer: {
      login_url: 'https://k.example/v3/auth/tokens',
      ...password(
        { name: 'pool-svc', domain: { name: 'Default' } },
        { project: { name: 'pool', domain: { name: 'Default' } } }
      ),
      region: 'south',
      interface: 'public',
      endpoint: null,
      verify: true,
      cert: null,
      key: null
    }
  },
  'file-project-named-no': {
    why: 'The SDK looks for a project that is called False.',
    refusal: /project_name in clouds\.yaml: must be text; put quotes around it/
  },
  'profile-built-in': {
    why: 'The vendors that the SDK brings along change with its versions; we have no such list.',
    refusal:
      /^ {2}clouds\.c\.profile in clouds\.yaml: there is no profile "ovh" .*; write auth_url and the other settings/m
  },
  'profile-unknown': {
    why: 'We cannot tell it from a vendor that the SDK brings along.',
    refusal: /^ {2}clouds\.c\.profile in clouds\.yaml: there is no profile "nobody"/m
  }
}

describe('what clients of OpenStack accept, and with which meaning', () => {
  it('is recorded for each case of the corpus', () => {
    assert.deepEqual(Object.keys(recorded).toSorted(), names.toSorted())
    assert.ok(names.length >= 100, `${names.length} cases`)
    assert.deepEqual(
      Object.keys(DIFFERENCES).filter(name => !names.includes(name)),
      []
    )
  })

  it.for(names)('holds for us too: %s', name => {
    const theirs = recorded[name]
    assert.ok(theirs)
    const answer = ours(caseOf(name))
    const difference = DIFFERENCES[name]
    if (isRefusal(answer)) {
      assert.doesNotMatch(answer.refused, /hush|gAAAA/)
      if (!difference) return assert.ok(isRefusal(theirs), answer.refused)
      assert.ok('refusal' in difference && !isRefusal(theirs), answer.refused)
      return assert.match(answer.refused, difference.refusal)
    }
    const expected = isRefusal(theirs) ? {} : inShort(theirs)
    const otherwise = difference && 'answer' in difference ? difference.answer : undefined
    assert.deepEqual(answer, { ...expected, ...otherwise })
    if (difference) assert.notDeepEqual(answer, expected, 'this is no difference any more')
  })
})

describe.skipIf(WHY_SKIPPED)(`the recording of openstacksdk${WHY_SKIPPED}`, () => {
  beforeAll(() => {
    assert.ok(
      !isMissing,
      `${PYTHON} has no openstacksdk, and CI must not pass without: apt-get install python3-openstacksdk`
    )
  })

  it('is what openstacksdk answers', () => {
    assert.deepEqual(answersTo(CORPUS), recorded)
  })

  it('leaves no difference to find by chance', t => {
    const folder = mkdtempSync(join(tmpdir(), 'clouds-'))
    t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const configs = sample(clientConfigs, 100)
    for (const [index, config] of configs.entries())
      writeFileSync(join(folder, `${index}.yaml`), JSON.stringify(config))
    const answers = answersTo(folder)
    const accepted = configs.filter((config, index) => {
      const [theirs, answer] = [answers[index], ours(config)]
      assert.ok(theirs)
      // What it refuses may be plain to us; what we refuse besides is what it would find out when it logs in.
      if (isRefusal(answer)) assert.ok(isRefusal(theirs) || /: missing, /.test(answer.refused), answer.refused)
      if (isRefusal(answer) || isRefusal(theirs)) return false
      assert.deepEqual(withoutDefaults(answer), withoutDefaults(inShort(theirs)), JSON.stringify(config, null, 2))
      return true
    })
    assert.ok(accepted.length > 30, `only ${accepted.length} were accepted`)
  })
})

const answersTo = (corpus: string): Readonly<Record<string, Answer | Refusal>> =>
  JSON.parse(execFileSync(PYTHON, [PROGRAM, corpus], { maxBuffer: 64 * 1024 * 1024 }).toString())

/** Where no domain is said, we mean `default`; see 'env-no-domain'. */
const withoutDefaults = (answer: Answer): unknown =>
  JSON.parse(JSON.stringify(answer), (key, value) => (key === 'domain' && value.id === 'default' ? undefined : value))
