import {
  BACKGROUND_CALLS_MAX,
  type Call,
  type Cloud,
  type CloudFacts,
  type Project,
  type Transfer
} from '../pool/ports.ts'
import { releaseOf } from '../pool/release.ts'
import { type Authorised, type Cinder, cinderIn } from './cinder.ts'
import { endpointsOf, type Notice } from './endpoint.ts'
import type { RequestReport } from './exchange.ts'
import { messageOf } from './failures.ts'
import { Http, type HttpOptions } from './http.ts'
import { Identities } from './identities.ts'
import { Keystone, type Scope } from './keystone.ts'
import type { CloudSettings } from './settings.ts'
import { snapshotsOf } from './snapshots.ts'
import { transfersOf } from './transfers.ts'
import { volumesOf } from './volumes.ts'
import { NextRun } from './waiting.ts'

export interface ConnectOptions extends Pick<HttpOptions, 'clock' | 'onRequest' | 'carrier'> {
  readonly settings: CloudSettings
  /** For one call with its logins and repeats. Should exceed the 60 s that Cinder itself may take to accept. */
  readonly timeoutSeconds?: number | undefined
  /** Requests under way at once, to Keystone and to Cinder each. The background may have half of them. */
  readonly connectionsMax?: number | undefined
  /** Told once of each fault of the cloud that the client works around. */
  readonly onNotice?: Notice | undefined
}

export interface OpenStack extends Cloud, CloudFacts {
  /** What will end the login. */
  readonly warnings: CloudSettings['login']['warnings']
  /** Whether the cloud answers, as its last answers show. */
  readonly state: { readonly reachable: boolean; readonly lastError: string | undefined }
  /** Cuts the connections. Call it when no operation is under way any more. */
  close(): Promise<void>
}

/** Asks nothing of the cloud before the first call. */
export function connect({
  settings,
  timeoutSeconds = 70,
  connectionsMax = 2 * BACKGROUND_CALLS_MAX,
  onNotice = () => undefined,
  ...options
}: ConnectOptions): OpenStack {
  let state: OpenStack['state'] = { reachable: true, lastError: undefined }
  const onRequest = (report: RequestReport): void => {
    options.onRequest?.(report)
    state = stateAfter(report, state)
  }
  const http = new Http({ ...options, tls: settings.tls, timeoutSeconds, connectionsMax, onRequest })
  const keystone = new Keystone(settings, http)
  const endpoints = endpointsOf(keystone, onNotice)
  const identities = new Identities(keystone)
  /** Of the service's own user, for all who ask at the same time. */
  const transferLists = new NextRun<Transfer[]>()

  const ownUserIn = async (scope: Scope, call: Call): Promise<Project> => {
    const held = keystone.held(scope, call.requestId)
    const token = held ?? (await http.within(call, limited => keystone.token(scope, limited)))
    const authorised: Authorised = (limited, work) => keystone.withToken(scope, limited, ({ value }) => work(value))
    return toProject(cinderIn(token, http, endpoints, authorised), transferLists)
  }
  const endpoint = (call: Call) => http.within(call, limited => endpoints.endpoint(limited))

  return {
    warnings: settings.login.warnings,
    get state() {
      return state
    },
    async poolProject(call) {
      try {
        return await ownUserIn('own', call)
      } catch (error) {
        state = { reachable: false, lastError: messageOf(error) }
        throw error
      }
    },
    async project(projectId, call) {
      const poolProject = await ownUserIn('own', call)
      return poolProject.id === projectId ? poolProject : await ownUserIn({ projectId }, call)
    },
    withToken(identity) {
      const cinder = cinderIn(identity, http, endpoints, (_call, work) => work(identity.token))
      return toProject(cinder, new NextRun())
    },
    identify: (token, call) => identities.identify(token, call),
    release: async call => releaseOf((await endpoint(call)).highestMinor),
    async microversion(call) {
      const { version, minor } = await endpoint(call)
      return version === 'v3' ? `3.${minor}` : '2.0'
    },
    projects: call => http.within(call, limited => keystone.projects(limited)),
    keystoneTime: call => http.within(call, limited => keystone.time(limited)),
    close: () => http.close()
  }
}

const toProject = (cinder: Cinder, transferLists: NextRun<Transfer[]>): Project => ({
  id: cinder.projectId,
  roles: cinder.roles,
  isConfined: cinder.isConfined,
  volumes: volumesOf(cinder),
  transfers: transfersOf(cinder, transferLists),
  snapshots: snapshotsOf(cinder)
})

/** A refusal is an answer too. Only the service's own login must not be refused. */
function stateAfter({ service, operation, outcome }: RequestReport, before: OpenStack['state']): OpenStack['state'] {
  if (outcome === 'ok') return { ...before, reachable: true }
  if (!['unavailable', 'timeout', 'failed'].includes(outcome)) return before
  return { reachable: false, lastError: `${service}: ${operation}: ${outcome}` }
}
