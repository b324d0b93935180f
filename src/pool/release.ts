/**
 * A release of Cinder, named by the highest microversion that it offers. The facts below, which its API does not tell, are from
 * Cinder's source at each release's last tag.
 */
export interface Release {
  /** Such as `Queens`. Releases with the same microversions are named together. */
  readonly name: string
  /** N of the highest microversion 3.N that it offers; 0 if it offers only /v2. */
  readonly highestMinor: number
}

/** N of the microversion 3.N that the service asks for. Newer ones bring it nothing. */
export const MINOR_WANTED = 60

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

/** The newest release that offers no more than that. Only unreleased states lie between two releases. */
export function releaseOf(highestMinor: number): Release {
  const [, name = 'Mitaka'] = RELEASES.findLast(([minor]) => minor <= highestMinor) ?? []
  return { name, highestMinor }
}

/** Up to Newton a restart of cinder-volume sets every volume in `creating` to `error`, and still makes those in its queue. */
export const mayRecoverFromError = ({ highestMinor }: Release): boolean => highestMinor <= 15

/** Up to Newton two accepts of one transfer at once may both be carried out, and the project's quota is charged twice. */
export const mayAcceptTwice = ({ highestMinor }: Release): boolean => highestMinor <= 15

/**
 * Whether cinder-volume does nothing else while it flattens a clone: up to Newton, and with Ocata before 10.0.3 (bug 1658037).
 * The API does not tell the third number of a version.
 */
export function blocksWhileFlattening({ highestMinor }: Release): 'always' | 'before_10.0.3' | 'never' {
  if (highestMinor <= 15) return 'always'
  return highestMinor <= 27 ? 'before_10.0.3' : 'never'
}

/** Up to Pike an encrypted volume is transferred without the key that opens it (refused since 12.0.0, bug 1735285). */
export const givesEncryptedAway = ({ highestMinor }: Release): boolean => highestMinor <= 43

/** Train before 15.4.0 and Ussuri before 16.2.0 make a volume of the default type where none is named (bug 1879578). */
export const mayTakeDefaultType = ({ highestMinor }: Release): boolean => highestMinor === 59 || highestMinor === 60

/** Up to Wallaby Cinder's default policy lets any role in a project change its volumes; since Xena, member. */
export const anyRoleWrites = ({ highestMinor }: Release): boolean => highestMinor <= 64

/**
 * How to read a list of transfers that is longer than Cinder's page. Up to Rocky: by offsets, in no order, unfiltered. Since
 * Stein: in order if asked with 3.59, else no further than the first page.
 */
export function transferPaging(
  { highestMinor }: Pick<Release, 'highestMinor'>,
  askedMinor: number
): 'in_order' | 'by_offset' | 'first_page' {
  if (askedMinor >= 59) return 'in_order'
  return highestMinor < 59 ? 'by_offset' : 'first_page'
}
