/** What is made of measured times, which are in milliseconds, one or more of them, everywhere. */

export function medianOf(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]]
  if (low === undefined || high === undefined) throw new Error('nothing was measured')
  return (low + high) / 2
}

export const meanOf = (times: readonly number[]): number => times.reduce((sum, time) => sum + time, 0) / times.length

export const firstOf = (times: readonly number[]): number => Math.min(...times)
export const lastOf = (times: readonly number[]): number => Math.max(...times)

/** As a person would say it. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  return `${(ms / 1_000).toFixed(ms < 9_995 ? 2 : 1)} s`
}

/** The median, and what it lies between. */
export const spread = (times: readonly number[]): string =>
  times.length > 1
    ? `${duration(medianOf(times))} (${duration(firstOf(times))} to ${duration(lastOf(times))})`
    : duration(medianOf(times))

/** First, median and last of those that were asked for at the same moment. */
export const procession = (times: readonly number[]): string =>
  [firstOf(times), medianOf(times), lastOf(times)].map(duration).join(' / ')

export const ratio = (value: number): string => (value < 10 ? value.toFixed(2) : String(Math.round(value)))

/** A table in Markdown. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [titles, titles.map(() => '---'), ...rows]
  return `${lines.map(cells => `| ${cells.join(' | ')} |`).join('\n')}\n`
}
