import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { loginAs } from '../support/cloud.ts'
import { aService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const { CI, CHROMIUM = '/usr/bin/chromium' } = process.env
const isMissing = !existsSync(CHROMIUM)
const mayBeMissing = CI === undefined || CI === ''
const ARGS = [
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

/** A page that somebody looks at. */
interface Visit {
  readonly page: Page
  /** What must not happen: errors in the console, violations of the content policy, requests to another host. */
  readonly wrong: string[]
  /** The paths that the page has asked for. */
  readonly asked: string[]
}

let browser: Browser

/** Opens a page. The browser itself reports refused requests as errors: `expected` are those that a test provokes. */
async function aVisit(
  t: Lifetime,
  url: string,
  expected?: RegExp,
  options: BrowserContextOptions = {}
): Promise<Visit> {
  const context = await browser.newContext(options)
  t.onTestFinished(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const visit: Visit = { page, wrong: [], asked: [] }
  page.on('console', message => {
    const text = message.text()
    if (['error', 'warning'].includes(message.type()) && !expected?.test(text)) visit.wrong.push(text)
  })
  page.on('pageerror', error => visit.wrong.push(String(error)))
  page.on('request', request => {
    const { origin, pathname } = new URL(request.url())
    visit.asked.push(pathname)
    if (origin !== new URL(url).origin) visit.wrong.push(`asks ${request.url()}`)
  })
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', event => console.error('policy', event.blockedURI, event.violatedDirective))"
  )
  await page.goto(url)
  return visit
}

const row = (page: Page, table: RegExp, heading: string): Locator =>
  page.getByRole('table', { name: table }).locator('tbody tr').filter({ hasText: heading })

/** Waits until an element says all of it. */
async function says(element: Locator, ...texts: (string | RegExp)[]): Promise<void> {
  await texts.reduce((found, hasText) => found.and(element.filter({ hasText })), element).waitFor()
}

const pool = (page: Page): Locator => row(page, /^Pools/, 'debian12 ssd')

/** As a client on the network does it. */
async function claimOver({ service, clock }: TestService, hostname: string): Promise<void> {
  const body = JSON.stringify({ hostname, os: 'debian12', type: 'ssd' })
  const headers = { 'content-type': 'application/json' }
  const answer = await clock.during(fetch(`${service.url}/pool/claim`, { method: 'POST', headers, body }))
  assert.equal(answer.status, 200)
}

/** What the page asks for when it asks for levels. */
const polls = ({ asked }: Visit): number => asked.filter(path => path === '/pool/stats').length

const setHidden = (page: Page, hidden: boolean): Promise<unknown> =>
  page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'))`)

const accessByToken = (token: string, role: string) => ({
  mode: 'token',
  tokens: [{ name: 'ops', sha256: createHash('sha256').update(token).digest('hex'), role }]
})

async function enter(page: Page, token: string): Promise<void> {
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Show the pools' }).click()
}

const WHY_SKIPPED = isMissing && mayBeMissing ? `, skipped: there is no ${CHROMIUM} (set CHROMIUM to another)` : ''
if (WHY_SKIPPED) process.stdout.write(`The ops page${WHY_SKIPPED}.\n`)

describe.skipIf(WHY_SKIPPED)(`the ops page${WHY_SKIPPED}`, () => {
  beforeAll(async () => {
    assert.ok(!isMissing, `there is no ${CHROMIUM}, and CI must not pass without it: apt-get install chromium`)
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS })
  })
  afterAll(async () => {
    await browser?.close()
  })

  it('shows the pools, and a claim and the refill as they happen', async t => {
    const service = await aService(t, { createSeconds: 10 })
    const visit = await aVisit(t, service.service.url)
    const { page } = visit
    await says(pool(page), 'full', '5 available, 0 in flight, target 5', '20261101', '0 hits')
    await says(page.locator('#state'), '1 pool: 1 full')
    await says(page.locator('#cloud'), /^reachable/)
    await says(row(page, /^Ticks/, 'replenish'), 'ok')
    await page.getByText('No claims yet.').waitFor()
    await page.evaluate("document.body.dataset.opened = 'once'")

    await claimOver(service, 'web-01')
    const volumeId = (await service.claims())[0]?.volume_id
    assert.ok(volumeId)
    await says(row(page, /^Latest claims/, 'web-01_sys'), 'pool', volumeId, '20 GiB', service.project('pool'))
    await says(pool(page), 'filling', '4 available, 0 in flight, target 5', '100 %', '1 hit')
    await row(page, /^Latest claims/, 'web-01_sys')
      .getByText(volumeId)
      .selectText()
    await service.call('POST', '/pool/replenish')
    await says(pool(page), '4 available, 1 in flight, target 5')
    service.clock.pass(30)
    await service.call('POST', '/pool/check')
    await says(pool(page), 'full', '5 available, 0 in flight, target 5')

    assert.equal(await page.evaluate('getSelection().toString()'), volumeId, 'what was selected stays selected')
    assert.equal(await page.evaluate('document.body.dataset.opened'), 'once', 'without loading the page again')
    assert.deepEqual(visit.wrong, [])
  })

  it('gives each time as an age, with the time itself in the title', async t => {
    const service = await aService(t)
    await claimOver(service, 'web-01')
    const [claim] = await service.claims()
    const { page, wrong } = await aVisit(t, service.service.url)
    const time = row(page, /^Latest claims/, 'web-01_sys').locator('time')
    await says(time, /ago|just now/)
    assert.equal(await time.getAttribute('title'), claim?.created_at)
    assert.equal(await time.getAttribute('datetime'), claim?.created_at)
    assert.deepEqual(wrong, [])
  })

  it('shows what names and errors say as text, whatever they say', async t => {
    const service = await aService(t)
    const hostname = '<img src=http://elsewhere.example onerror=alert(1)>'
    await claimOver(service, hostname)
    const visit = await aVisit(t, service.service.url)
    await says(row(visit.page, /^Latest claims/, hostname), 'pool')
    assert.equal(await visit.page.locator('main img').count(), 0)
    assert.deepEqual(visit.wrong, [])
  })

  it('says what is wrong with a pool and with the cloud', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.faults.add({ operation: 'volume_create', kind: 'status', status: 500, message: 'no backend' })
    await service.call('POST', '/pool/replenish')
    const { page, wrong } = await aVisit(t, service.service.url)
    await says(pool(page), 'backing off', '0 available', 'no backend')
    service.sandbox.cloud.faults.add({ kind: 'status', status: 503 })
    await service.call('POST', '/pool/reconcile')
    await says(page.locator('#cloud'), 'not reachable', 'cinder: ')
    await says(page.locator('#state'), 'Cloud not reachable')
    await says(row(page, /^Ticks/, 'reconcile'), 'failing')
    assert.deepEqual(wrong, [])
  })

  it('says when the service does not answer, and goes on when it does again', async t => {
    const first = await aService(t)
    const visit = await aVisit(t, first.service.url, /^Failed to load resource: net::ERR_/)
    const { page } = visit
    await says(pool(page), '5 available')
    await first.clock.during(first.service.stop())
    await says(page.locator('#state'), 'The service does not answer')
    await says(page.locator('#seen'), /^last seen \d+ s ago, trying again$/)
    await says(pool(page), '5 available')
    await page.locator('body[data-state=silent]').waitFor()

    const port = Number(new URL(first.service.url).port)
    const config = { ...first.config, server: { ...first.config.server, port } } // Where the page looks for it.
    const second = await aService(t, { beside: { ...first, config }, filled: false })
    await says(page.locator('#state'), '1 pool: 1 full')
    await claimOver(second, 'web-02')
    await says(pool(page), '4 available')
    assert.deepEqual(visit.wrong, [])
  })

  it('asks for a token where one is needed, and keeps it in the tab', async t => {
    const service = await aService(t, { config: { access: accessByToken('top-secret', 'reader') }, filled: false })
    const visit = await aVisit(t, service.service.url, /^Failed to load resource: .* status of 401/)
    const { page } = visit
    await page.getByLabel('Token').waitFor()
    assert.equal(await page.locator('main').isVisible(), false)
    await enter(page, 'wrong')
    await page.getByText('The token is not in access.tokens.').waitFor()
    await enter(page, 'top-secret')
    await says(pool(page), '0 available, 0 in flight, target 5')
    assert.equal(await page.getByLabel('Token').isVisible(), false)
    await page.reload()
    await says(pool(page), '0 available')
    await page.getByRole('button', { name: 'Forget the token' }).click()
    await page.getByLabel('Token').waitFor()
    assert.equal(await page.evaluate('sessionStorage.length'), 0)
    assert.deepEqual(visit.wrong, [])
  })

  it("takes a Keystone token of the pool's project, and says which role it lacks", async t => {
    const service = await aService(t, { config: { access: { mode: 'keystone' } }, filled: false })
    const visit = await aVisit(t, service.service.url, /^Failed to load resource: .* status of 40[13]/)
    await enter(visit.page, await loginAs(service, 'tenant-a-user', 'tenant-a'))
    await visit.page.getByText('This needs the role admin or reader.').waitFor()
    await enter(visit.page, await loginAs(service, 'pool-svc', 'pool'))
    await says(pool(visit.page), '0 available')
    assert.deepEqual(visit.wrong, [])
  })

  it('needs no token in mode none, and drops one that was left over', async t => {
    const service = await aService(t)
    const visit = await aVisit(t, service.service.url, /^Failed to load resource: .* status of 401/)
    await says(pool(visit.page), '5 available')
    await visit.page.evaluate("sessionStorage.setItem('spare-pool-token', 'old')")
    await visit.page.reload()
    await says(pool(visit.page), '5 available')
    assert.equal(await visit.page.getByLabel('Token').isVisible(), false)
    assert.equal(await visit.page.evaluate('sessionStorage.length'), 0)
    assert.deepEqual(visit.wrong, [])
  })

  it('asks every two seconds, never twice at once, and not while nobody looks', async t => {
    const service = await aService(t)
    const visit = await aVisit(t, service.service.url)
    const { page } = visit
    await says(pool(page), '5 available')
    await page.clock.install()
    await page.reload()
    await says(pool(page), '5 available')

    await page.route('**/pool/stats', () => undefined, { times: 1 }) // It hangs.
    const before = polls(visit)
    await page.clock.runFor(2_000)
    await until(() => polls(visit) === before + 1)
    await page.clock.runFor(8_000)
    assert.equal(polls(visit), before + 1, 'the one under way is waited for')
    await page.clock.runFor(2_000)
    await says(page.locator('#state'), 'The service does not answer')
    await page.clock.runFor(2_000)
    await says(page.locator('#seen'), 'live')

    await setHidden(page, true)
    await page.clock.runFor(4_000)
    const hidden = polls(visit)
    await page.clock.runFor(60_000)
    assert.equal(polls(visit), hidden, 'nothing is asked while the tab is hidden')
    await setHidden(page, false)
    await until(() => polls(visit) > hidden)
    await says(page.locator('#seen'), 'live')
    assert.deepEqual(visit.wrong, [])
  })

  it.for([
    [400, 'light'],
    [400, 'dark'],
    [1600, 'light'],
    [1600, 'dark']
  ] as const)('fits a screen of %i pixels, %s', async ([width, colorScheme], t) => {
    const service = await aService(t)
    await claimOver(service, 'a-host-of-somebody-with-a-name-that-is-very-long-indeed.example.internal'.repeat(3))
    const viewport = { width, height: 800 }
    const { page, wrong } = await aVisit(t, service.service.url, undefined, { viewport, colorScheme })
    await says(pool(page), '4 available')
    assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true)
    assert.deepEqual(wrong, [])
  })
})
