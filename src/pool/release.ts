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

/** N of the highest microversion 3.N that the service asks for: it has all that is of use to it. */
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

/**
 * Whether a snapshot's clone that is made flat keeps cinder-volume from all other work meanwhile: up to Newton, and with Ocata
 * before 10.0.3 (bug 1658037). The third number of a version cannot be asked for.
 */
export function blocksWhileFlattening({ highestMinor }: Release): 'always' | 'before_10.0.3' | 'never' {
  if (highestMinor <= 15) return 'always'
  return highestMinor <= 27 ? 'before_10.0.3' : 'never'
}

/** Up to Pike an encrypted volume is transferred, and the key that opens it stays the donor's (refused since 12.0.0, bug 1735285). */
export const givesEncryptedAway = ({ highestMinor }: Release): boolean => highestMinor <= 43

/** Train before 15.4.0 and Ussuri before 16.2.0 make a volume of the default type where none is named (bug 1879578). */
export const mayTakeDefaultType = ({ highestMinor }: Release): boolean => highestMinor === 59 || highestMinor === 60

/** Up to Wallaby Cinder's default policy lets any role in a project change its volumes; since Xena, member. */
export const anyRoleWrites = ({ highestMinor }: Release): boolean => highestMinor <= 64

/**
 * How a list of transfers that is longer than Cinder's page is read. Up to Rocky by offsets, in no order; since Stein in order when
 * asked with 3.59, and below that no further than its first page. What is read by offsets is not filtered either.
 */
export function transferPaging(
  { highestMinor }: Pick<Release, 'highestMinor'>,
  askedMinor: number
): 'in_order' | 'by_offset' | 'first_page' {
  if (askedMinor >= 59) return 'in_order'
  return highestMinor < 59 ? 'by_offset' : 'first_page'
}
