import { anyRoleWrites, type Release } from '../pool/release.ts'
import { failed, type Outcome, ok, warning } from './finding.ts'

/** An admin works, but a member cannot harm other projects, whatever happens. */
export function judgePoolRoles(roles: readonly string[], release: Release | undefined): Outcome {
  if (!roles.includes('admin')) return judgeRoles(roles, "the pool's project", release)
  const advice =
    "give the service's user the role member there instead: Cinder lets an admin change every project's volumes, so the " +
    'service looks once more before each change, and hands over in one step less at a time'
  return warning(`in the pool's project: ${roles.join(', ')}`, advice)
}

/** Whether roles let a user create, rename and transfer volumes. `release` undefined: Cinder could not be asked. */
export function judgeRoles(roles: readonly string[], where: string, release: Release | undefined): Outcome {
  const found = `in ${where}: ${roles.join(', ') || 'none'}`
  const advice = `give the service's user the role member in ${where}`
  const names = roles.map(role => role.toLowerCase())
  if (names.includes('member') || names.includes('admin')) return ok(found)
  const isReader = names.every(name => name === 'reader')
  if (names.length > 0 && release && anyRoleWrites(release)) {
    const later = `${advice}: Cinder lets any role write up to Wallaby, and refuses a reader from Xena on`
    return isReader ? warning(found, later) : ok(found)
  }
  if (isReader) return failed(found, advice)
  return warning(found, `see that Cinder's policy lets one of these roles create and transfer volumes, or ${advice}`)
}
