/**
 * A release of Cinder, and what follows from it that its API does not tell. The highest microversion that it offers names it;
 * the facts are from Cinder's source at each release's last tag.
 */
export interface Release {
  /** Such as `Queens`; releases that offer the same microversions are named together. */
  readonly name: string
  /** N of the highest microversion 3.N that it offers; 0 where only /v2 is to be had. */
  readonly highestMinor: number
}

/** The highest microversion of each release, the oldest first. */
const RELEASES: readonly (readonly [highestMinor: number, name: string])[] = [
  [0, 'Mitaka'],
  [15, 'Newton'],
  [27, 'Ocata'],
  [43, 'Pike'],
  [50, 'Queens'],
  [55, 'Rocky'],
  [59, 'Stein or Train'],
  [60, 'Ussuri'],
  [62, 'Victoria'],
  [64, 'Wallaby'],
  [66, 'Xena'],
  [68, 'Yoga'],
  [70, 'Zed, 2023.1 or 2023.2'],
  [71, '2024.1 or newer']
]

/** The newest release that does not offer more than that. Between two of them lie only unreleased states of the newer one. */
export function releaseOf(highestMinor: number): Release {
  const [, name = 'Mitaka'] = RELEASES.findLast(([minor]) => minor <= highestMinor) ?? []
  return { name, highestMinor }
}

/**
 * Up to Newton: a restart of cinder-volume sets every volume in `creating` to `error`, also those whose turn had not come,
 * which are then made all the same.
 */
export const mayRecoverFromError = ({ highestMinor }: Release): boolean => highestMinor <= 15

/** Up to Newton: of two accepts of one transfer at once both may be carried out, and the project's quota is charged twice. */
export const mayAcceptTwice = ({ highestMinor }: Release): boolean => highestMinor <= 15
