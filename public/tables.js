/** What an answer of the service looks like on the page. Everything is set as text, never as markup. */

/** How far the service's clock is ahead of this machine's, so that ages are right on a laptop whose clock is wrong. */
export const clock = { aheadMs: 0 }

// Words

const isNumber = value => value !== null && value !== undefined
const words = name => name.replaceAll('_', ' ')
const gib = size => (isNumber(size) ? `${size} GiB` : '–')
const percent = rate => `${Math.floor(rate * 1000) / 10} %` // Not 100 % after a single miss.
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`

function age(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`
  if (seconds < 6_000) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}

function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`
  return seconds < 100 ? `${seconds.toFixed(1)} s` : age(seconds)
}

const bothDurations = (times, first, second) => (times ? `${duration(times[first])} / ${duration(times[second])}` : '–')

export const ago = seconds => (seconds < 2 ? 'just now' : `${age(seconds)} ago`)
const secondsSince = iso => (Date.now() + clock.aheadMs - Date.parse(iso)) / 1000

// Parts of a cell

/** Writes only what has changed, so that what somebody is just selecting stays selected. */
export function write(element, text, title = '') {
  if (element.textContent !== text) element.textContent = text
  if (element.title !== title) element.title = title
}

/** The child of an element that has this class; made when it is first asked for. */
function part(parent, name, tag = 'span') {
  const found = [...parent.children].find(child => child.classList.contains(name))
  if (found) return found
  const made = document.createElement(tag)
  made.classList.add(name)
  parent.append(made)
  return made
}

/** A word with a colour, which says nothing that the word does not. */
function showBadge(parent, word, tone) {
  const badge = part(parent, 'badge')
  badge.dataset.tone = tone
  write(badge, word)
}

const showText = textOf => (cell, item) => {
  const text = textOf(item) ?? '–'
  cell.classList.toggle('none', text === '–')
  write(cell, text)
}

const showTime = timeOf => (cell, item) => {
  const iso = timeOf(item)
  const time = part(cell, 'time', 'time')
  if (iso) time.dateTime = iso
  write(time, iso ? ago(secondsSince(iso)) : 'never', iso ?? '')
}

// Pools. A condition's tone; the worst come first.
const TONES = {
  empty: 'bad',
  no_image: 'bad',
  image_gone: 'bad',
  backing_off: 'warn',
  paused: 'quiet',
  filling: 'busy',
  full: 'good'
}

/** How many pools there are in each condition; first what needs looking at. */
export function summary(pools) {
  const count = condition => pools.filter(pool => pool.condition === condition).length
  const parts = Object.keys(TONES).filter(count)
  return parts.map(condition => `${count(condition)} ${words(condition)}`).join(', ')
}

function showLevel(cell, { spares, stale_spares: stale, target }) {
  const { available, reserved, retiring } = spares
  const inFlight = spares.requested + spares.creating
  const bar = part(cell, 'bar', 'div')
  bar.ariaHidden = 'true' // The line below says it all.
  const missing = Math.max(0, target - available - inFlight)
  for (const [name, length] of Object.entries({ fresh: available - stale, stale, coming: inFlight, missing })) {
    part(bar, name).style.flexGrow = length
  }
  const staleNote = stale > 0 ? ` (${stale} stale)` : ''
  const more = Object.entries({ reserved, retiring }).filter(([, count]) => count > 0)
  const extra = more.map(([name, count]) => `, ${count} ${name}`).join('')
  const levels = `${available} available${staleNote}, ${inFlight} in flight, target ${target}${extra}`
  write(part(cell, 'small', 'div'), levels)
}

function showImage(cell, { image }) {
  const newer = image?.newer_in_cinder
  write(part(cell, 'version', 'div'), image?.version ?? 'none', image ? `snapshot ${image.snapshot_id}` : '')
  write(part(cell, 'newer', 'div'), newer ? `newer in Cinder: ${newer}` : '')
}

function showHits(cell, { claims: { hits, misses, existing, hit_rate: rate } }) {
  const missed = Object.values(misses).reduce((sum, count) => sum + count, 0)
  const reasons = Object.entries(misses).map(([reason, count]) => `${words(reason)} ${count}`)
  const why = missed > 0 ? ` (${reasons.join(', ')})` : ''
  const also = existing > 0 ? `, ${existing} existing` : ''
  write(part(cell, 'rate', 'div'), isNumber(rate) ? percent(rate) : '–')
  write(part(cell, 'small', 'div'), `${counted(hits, 'hit')}, ${counted(missed, 'miss', 'misses')}${why}${also}`)
}

const POOLS = [
  showText(({ os, type }) => `${os} ${type}`),
  (cell, { condition, paused }) => {
    showBadge(cell, words(condition), TONES[condition])
    write(part(cell, 'small', 'div'), paused && condition !== 'paused' ? 'refilling is paused' : '')
  },
  showLevel,
  showText(({ oldest_spare_seconds: seconds }) => (isNumber(seconds) ? age(seconds) : '–')),
  showImage,
  showHits,
  showText(pool => bothDurations(pool.lead_time_seconds, 'p50', 'p95')),
  showText(pool => bothDurations(pool.claim_seconds, 'p50', 'p99')),
  showText(pool => pool.last_error)
]

const CLAIMS = [
  showText(claim => claim.name),
  showTime(claim => claim.created_at),
  showText(claim => `${claim.os} ${claim.type}`),
  showText(claim => claim.source),
  showText(claim => claim.miss_reason && words(claim.miss_reason)),
  showText(claim => claim.status),
  showText(claim => gib(claim.size)),
  showText(claim => claim.volume_id),
  showText(claim => claim.project_id)
]

function showTickState(cell, [, tick]) {
  if (tick.last_error) showBadge(cell, 'failing', 'bad')
  else if (tick.last_run_at) showBadge(cell, 'ok', 'good')
  else showBadge(cell, 'not run yet', 'quiet')
}

const TICKS = [
  showText(([name]) => words(name)),
  showTickState,
  showTime(([, tick]) => tick.last_ok_at),
  showTime(([, tick]) => tick.last_run_at),
  showText(([, { seconds }]) => (isNumber(seconds) ? duration(seconds) : '–')),
  showText(([, tick]) => tick.last_error)
]

// Tables

/** Makes a table's rows those of `items`. Rows that stay are kept, and only their cells are written. */
function showRows(id, items, keyOf, columns) {
  const table = document.getElementById(id)
  const [body] = table.tBodies
  const keys = items.map(keyOf)
  const gone = [...body.rows].filter(row => !keys.includes(row.dataset.key))
  for (const row of gone) row.remove()
  items.forEach((item, index) => {
    const known = [...body.rows].find(row => row.dataset.key === keys[index])
    const row = known ?? newRow(keys[index], [...table.tHead.rows[0].cells])
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null)
    columns.forEach((show, column) => {
      show(row.cells[column], item)
    })
  })
  table.hidden = items.length === 0
  table.nextElementSibling.hidden = items.length > 0
}

function newRow(key, headings) {
  const row = document.createElement('tr')
  row.dataset.key = key
  headings.forEach((heading, column) => {
    const cell = document.createElement(column === 0 ? 'th' : 'td')
    if (column === 0) cell.scope = 'row'
    cell.className = heading.className
    cell.dataset.label = heading.textContent // Stands beside the cell where the screen is too narrow for columns.
    row.append(cell)
  })
  return row
}

export function showAll({ stats, claims }) {
  const { reachable, last_error: error } = stats.cloud
  const cloud = document.getElementById('cloud')
  showBadge(cloud, reachable ? 'reachable' : 'not reachable', reachable ? 'good' : 'bad')
  write(part(cloud, 'detail'), error ? `${reachable ? 'last error: ' : ''}${error}` : '')
  showBadge(document.getElementById('orphans'), String(stats.orphans), stats.orphans > 0 ? 'warn' : 'good')
  showRows('pools', stats.pools, ({ os, type }) => JSON.stringify([os, type]), POOLS)
  showRows('claims', claims, claim => claim.claim_id, CLAIMS)
  showRows('ticks', Object.entries(stats.ticks), ([name]) => name, TICKS)
}
