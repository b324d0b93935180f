import {
  BACKGROUND_CALLS_MAX,
  type Call,
  type Cloud,
  type CloudFacts,
  type Identity,
  type Project,
  type Transfer
} from '../pool/ports.ts'
import { type Release, releaseOf } from '../pool/release.ts'
import { type Authorised, Cinder } from './cinder.ts'
import { type Endpoint, Endpoints, type Notice } from './endpoint.ts'
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

/** Whether the cloud answers, as its last answers show. */
interface CloudState {
  readonly reachable: boolean
  readonly lastError: string | undefined
}

/** Asks nothing of the cloud before the first call. */
export function connect(options: ConnectOptions): OpenStack {
  return new OpenStack(options)
}

export class OpenStack implements Cloud, CloudFacts {
  /** What will end the login. */
  readonly warnings: CloudSettings['login']['warnings']
  #state: CloudState = { reachable: true, lastError: undefined }
  readonly #http: Http
  readonly #keystone: Keystone
  readonly #endpoints: Endpoints
  readonly #identities: Identities
  /** Of the service's own user, for all who ask at the same time. */
  readonly #transferLists = new NextRun<Transfer[]>()

  constructor({
    settings,
    timeoutSeconds = 70,
    connectionsMax = 2 * BACKGROUND_CALLS_MAX,
    onNotice = () => undefined,
    ...options
  }: ConnectOptions) {
    const onRequest = (report: RequestReport): void => {
      options.onRequest?.(report)
      this.#note(report)
    }
    this.warnings = settings.login.warnings
    this.#http = new Http({ ...options, tls: settings.tls, timeoutSeconds, connectionsMax, onRequest })
    this.#keystone = new Keystone(settings, this.#http)
    this.#endpoints = new Endpoints(this.#keystone, onNotice)
    this.#identities = new Identities(this.#keystone)
  }

  get state(): CloudState {
    return this.#state
  }

  async poolProject(call: Call): Promise<Project> {
    try {
      return await this.#ownUserIn('own', call)
    } catch (error) {
      this.#state = { reachable: false, lastError: messageOf(error) }
      throw error
    }
  }

  async project(projectId: string, call: Call): Promise<Project> {
    const poolProject = await this.#ownUserIn('own', call)
    return poolProject.id === projectId ? poolProject : await this.#ownUserIn({ projectId }, call)
  }

  withToken({ token, projectId, roles }: Identity): Project {
    return this.#project(projectId, roles, (_call, work) => work(token), new NextRun())
  }

  async identify(token: string, call: Call): Promise<Identity | undefined> {
    return await this.#identities.identify(token, call)
  }

  async release(call: Call): Promise<Release> {
    return releaseOf((await this.#endpoint(call)).highestMinor)
  }

  async microversion(call: Call): Promise<string> {
    const { version, minor } = await this.#endpoint(call)
    return version === 'v3' ? `3.${minor}` : '2.0'
  }

  async projects(call: Call): Promise<readonly { id: string; name: string }[]> {
    return await this.#http.within(call, limited => this.#keystone.projects(limited))
  }

  async keystoneTime(call: Call): Promise<Date> {
    return await this.#http.within(call, limited => this.#keystone.time(limited))
  }

  /** Cuts the connections. Call it when no operation is under way any more. */
  async close(): Promise<void> {
    await this.#http.close()
  }

  async #endpoint(call: Call): Promise<Endpoint> {
    return await this.#http.within(call, limited => this.#endpoints.endpoint(limited))
  }

  /** A refusal is an answer too. Only the service's own login must not be refused. */
  #note({ service, operation, outcome }: RequestReport): void {
    if (outcome === 'ok') this.#state = { ...this.#state, reachable: true }
    if (!['unavailable', 'timeout', 'failed'].includes(outcome)) return
    this.#state = { reachable: false, lastError: `${service}: ${operation}: ${outcome}` }
  }

  async #ownUserIn(scope: Scope, call: Call): Promise<Project> {
    const held = this.#keystone.held(scope, call.requestId)
    const { projectId, roles } =
      held ?? (await this.#http.within(call, limited => this.#keystone.token(scope, limited)))
    const authorised: Authorised = (limited, work) =>
      this.#keystone.withToken(scope, limited, token => work(token.value))
    return this.#project(projectId, roles, authorised, this.#transferLists)
  }

  #project(id: string, roles: readonly string[], authorised: Authorised, transferLists: NextRun<Transfer[]>): Project {
    const cinder = new Cinder({ id, roles }, this.#http, this.#endpoints, authorised)
    return {
      id,
      roles,
      isConfined: cinder.isConfined,
      volumes: volumesOf(cinder),
      transfers: transfersOf(cinder, transferLists),
      snapshots: snapshotsOf(cinder)
    }
  }
}
