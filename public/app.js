/** The ops page: asks the service every two seconds, shows its answers, and says so when there are none. */
import { ago, clock, counted, showAll, summary, write } from './tables.js'

const POLL_MS = 2_000
const ANSWER_MS_MAX = 10_000
const LATE_MS = 6_000
const TOKEN_KEY = 'spare-pool-token'

/** The last good answers and when they came: `{ stats, claims, at }`. Undefined: none yet. */
let seen
/** Why there is nothing newer: `{ kind: 'silent' | 'failing' | 'refused', text }`. Undefined: nothing is wrong. */
let trouble
let polling = false
let nextPoll

const find = id => document.getElementById(id)

class Refused extends Error {}
class Silent extends Error {}

/** Asks with the token of this tab, if there is one. Nobody answers: Silent. Not without another token: Refused. */
async function ask(path) {
  const token = sessionStorage.getItem(TOKEN_KEY)
  const answer = await request(path, token)
  const body = await answer.json().catch(() => ({}))
  if (answer.ok) return body
  const text = body.detail ?? `The service answers with status ${answer.status}`
  if (answer.status !== 401 && answer.status !== 403) throw new Error(text)
  if (!token) throw new Refused(text)
  sessionStorage.removeItem(TOKEN_KEY)
  return await ask(path).catch(error => {
    // In mode none, only a token left over from another mode stood in the way; else what was wrong with it counts.
    throw error instanceof Refused ? new Refused(text) : error
  })
}

/**
 * The token goes into X-Auth-Token, which every access mode reads. It must not stand in Authorization too: beside that
 * one, X-Auth-Token is taken for a Keystone token, and refused.
 */
async function request(path, token) {
  const headers = token ? { 'x-auth-token': token } : {}
  const signal = AbortSignal.timeout(ANSWER_MS_MAX)
  const answer = await fetch(path, { headers, signal, cache: 'no-store' }).catch(() => {
    throw new Silent('The service does not answer') // The browser's own words for it help nobody.
  })
  const aheadMs = Date.parse(answer.headers.get('date')) - Date.now()
  clock.aheadMs = Math.abs(aheadMs) > 2_000 ? aheadMs : 0 // Less is noise: the header has whole seconds.
  return answer
}

/** The next poll is planned when this one has ended: none while nobody looks, none while a token is asked for. */
async function poll() {
  clearTimeout(nextPoll)
  if (polling || document.hidden) return
  polling = true
  try {
    const stats = await ask('pool/stats')
    const { claims } = await ask('pool/claims?limit=20')
    seen = { stats, claims, at: Date.now() }
    trouble = undefined
  } catch (error) {
    const kind = error instanceof Refused ? 'refused' : error instanceof Silent ? 'silent' : 'failing'
    trouble = { kind, text: error.message }
    if (kind === 'refused') seen = undefined // Not for who may not see it.
  }
  polling = false
  render()
  if (trouble?.kind === 'refused') find('token').focus()
  else nextPoll = setTimeout(() => void poll(), POLL_MS)
}

/** How things are, in a word for the style sheet and a line for people. */
function state() {
  if (trouble) return trouble
  // Such as a tab that was hidden for an hour, until its first answer.
  if (Date.now() - seen.at > LATE_MS) return { kind: 'silent', text: 'Waiting for the service' }
  const { pools, cloud } = seen.stats
  const levels = pools.length > 0 ? `${counted(pools.length, 'pool')}: ${summary(pools)}` : 'No pools'
  return { kind: 'live', text: cloud.reachable ? levels : `Cloud not reachable. ${levels}` }
}

function render() {
  if (!seen && !trouble) return
  const { kind, text } = state()
  const refused = kind === 'refused'
  document.body.dataset.state = kind
  // Written only when it changes: it is read out to those who listen. The seconds that pass stand elsewhere.
  write(find('state'), refused ? 'The service asks for a token' : text)
  document.title = `${find('state').textContent} – Spare volume pool`
  const last = seen ? `last seen ${ago((Date.now() - seen.at) / 1000)}` : 'not seen yet'
  write(find('seen'), kind === 'live' ? 'live' : refused ? '' : `${last}, trying again`)
  find('token-form').hidden = !refused
  write(find('refusal'), refused ? text : '')
  find('forget').hidden = !sessionStorage.getItem(TOKEN_KEY)
  find('main').hidden = !seen
  if (seen) showAll(seen)
}

find('token-form').addEventListener('submit', event => {
  event.preventDefault()
  sessionStorage.setItem(TOKEN_KEY, find('token').value.trim())
  find('token').value = ''
  void poll()
})
find('forget').addEventListener('click', () => {
  sessionStorage.removeItem(TOKEN_KEY)
  location.reload()
})
document.addEventListener('visibilitychange', () => {
  if (document.hidden || trouble?.kind === 'refused') return
  render()
  void poll()
})
setInterval(render, 1_000) // Ages go on while nothing is answered.
void poll()
