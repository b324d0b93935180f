import type { FastifyInstance } from 'fastify'
import type { Cloud } from './cloud.ts'
import { requireToken } from './identity.ts'
import { badRequest, noSuchPath, Refusal } from './refusal.ts'
import type { ApiVersion } from './releases.ts'
import { header, originOf, type Request, send } from './wire.ts'

/** What a request is answered as. */
export interface Version {
  /** The N of 3.N. */
  readonly minor: number
  /** As the answer names it: older versions count as 1.0 and 2.0. */
  readonly said: string
}

const ALL: readonly ApiVersion[] = ['v1', 'v2', 'v3']

/** Which of the versions there are have been left served. */
export const serves = ({ traits, variant }: Cloud, version: ApiVersion): boolean =>
  version === 'v3' ? !variant.withoutV3 : traits.oldVersions.includes(version)

/**
 * The header decides, where `v3` stands anywhere in the URL: in the path as a rule, but a query or the host's name does,
 * too. Without it older releases look for other versions in the same way.
 */
export function versionOf({ traits }: Cloud, request: Request): Version {
  const url = originOf(request) + request.url
  const asked = header(request, 'openstack-api-version')
  if (asked !== undefined && url.includes('v3')) {
    const minor = microversion(asked, traits.maxMinor)
    return { minor, said: `3.${minor}` }
  }
  const old = traits.versionsSoughtInUrl.find(version => url.includes(version))
  return { minor: 0, said: `${old?.slice(1) ?? '3'}.0` }
}

/** The N of `OpenStack-API-Version: volume 3.N`. */
function microversion(text: string, maxMinor: number): number {
  const versions = text.split(',').map(part => part.trim().split(/\s+/))
  const version = versions.find(([service]) => service === 'volume')?.[1]
  if (version === undefined) return 0
  if (version === 'latest') return maxMinor
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(version) ?? []
  if (major === undefined) {
    throw badRequest(`API Version String ${version} is of invalid format. Must be of format MajorNum.MinorNum.`)
  }
  if (major === '3' && Number(minor) <= maxMinor) return Number(minor)
  throw new Refusal(406, `Version ${version} is not supported by the API. Minimum is 3.0 and maximum is 3.${maxMinor}.`)
}

/** The lists of versions, and nothing below a version that is not served. */
export function versionRoutes(app: FastifyInstance, cloud: () => Cloud): void {
  app.addHook('onRequest', async ({ url }) => {
    const version = ALL.find(name => new RegExp(`^/volume/${name}(/|\\?|$)`).test(url))
    if (version && !serves(cloud(), version)) throw noSuchPath()
  })
  app.get('/', (request: Request, reply) => {
    const { traits, variant } = cloud()
    const listed = ALL.filter(version =>
      version === 'v3' ? !variant.hidesV3 : traits.listsAllVersions || traits.oldVersions.includes(version)
    )
    return send(reply, 300, versionsView(cloud(), request, listed))
  })
  for (const version of ALL) {
    app.get(`/${version}`, (request: Request, reply) => reply.redirect(`${originOf(request)}/volume/${version}/`, 302))
    // Even this is asked with the header: without it the host's name may decide which version is shown.
    app.get(`/${version}/`, (request: Request, reply) => {
      requireToken(cloud(), header(request, 'x-auth-token'))
      const { said } = versionOf(cloud(), request)
      return send(
        reply,
        200,
        versionsView(
          cloud(),
          request,
          ALL.filter(name => said.startsWith(name.slice(1)))
        )
      )
    })
  }
}

function versionsView({ traits }: Cloud, request: Request, listed: readonly ApiVersion[]): object {
  const view = (version: ApiVersion): object => {
    const isCurrent = version === 'v3'
    const type = `application/vnd.openstack.volume+json;version=${version.slice(1)}`
    return {
      id: `${version}.0`,
      status: isCurrent ? 'CURRENT' : 'DEPRECATED',
      version: isCurrent ? `3.${traits.maxMinor}` : '',
      min_version: isCurrent ? '3.0' : '',
      updated: '2022-08-31T00:00:00Z',
      links: [{ rel: 'self', href: `${originOf(request)}/volume/${version}/` }],
      'media-types': [{ base: 'application/json', type }]
    }
  }
  return { versions: listed.map(view) }
}
