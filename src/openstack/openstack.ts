import {
  BACKGROUND_CALLS_MAX,
  type Call,
  type Clock,
  type Cloud,
  type CloudFacts,
  type Identity,
  type Project,
  type Transfer
} from '../pool/ports.ts'
import { type Release, releaseOf } from '../pool/release.ts'
import { type Authorised, Cinder } from './cinder.ts'
import { Endpoints, type Notice } from './endpoint.ts'
import type { RequestReport } from './exchange.ts'
import { type Carrier, Http } from './http.ts'
import { Identities } from './identities.ts'
import { Keystone, type Scope, withRenewal } from './keystone.ts'
import type { CloudSettings } from './settings.ts'
import { CinderSnapshots } from './snapshots.ts'
import { CinderTransfers } from './transfers.ts'
import { CinderVolumes } from './volumes.ts'
import { NextRun } from './waiting.ts'

/** Of which the background has half. */
const CONNECTIONS_MAX = 2 * BACKGROUND_CALLS_MAX

export interface ConnectOptions {
  readonly settings: CloudSettings
  readonly clock: Clock
  /** For one call with its logins and repeats; should exceed the 60 s that Cinder itself may take to accept. */
  readonly timeoutSeconds?: number | undefined
  /** Requests under way at once, to Keystone and to Cinder each. */
  readonly connectionsMax?: number | undefined
  /** Told of each request, for metrics. */
  readonly onRequest?: ((report: RequestReport) => void) | undefined
  /** Told of what an operator should know though the client got around it, once each. */
  readonly onNotice?: Notice | undefined
  /** What carries the requests; default: sockets of our own. */
  readonly carrier?: Carrier | undefined
}

/** Nothing is asked of the cloud before the first call. */
export function connect(options: ConnectOptions): OpenStack {
  return new OpenStack(options)
}

export class OpenStack implements Cloud, CloudFacts {
  readonly #http: Http
  readonly #keystone: Keystone
  readonly #endpoints: Endpoints
  readonly #identities: Identities
  /** Of the service's own user, for all who ask at the same time. */
  readonly #transferLists = new NextRun<Transfer[]>()

  constructor({
    settings,
    clock,
    timeoutSeconds = 70,
    connectionsMax = CONNECTIONS_MAX,
    onRequest,
    onNotice = () => undefined,
    carrier
  }: ConnectOptions) {
    this.#http = new Http({ clock, tls: settings.tls, timeoutSeconds, connectionsMax, onRequest, carrier })
    this.#keystone = new Keystone(settings, this.#http, clock)
    this.#endpoints = new Endpoints(settings, this.#keystone, this.#http, onNotice)
    this.#identities = new Identities(this.#keystone, this.#http, clock)
  }

  async poolProject(call: Call): Promise<Project> {
    return await this.#own('own', call)
  }

  async project(projectId: string, call: Call): Promise<Project> {
    const pool = await this.#own('own', call)
    return pool.id === projectId ? pool : await this.#own({ projectId }, call)
  }

  withToken({ token, projectId, roles }: Identity): Project {
    return this.#project(projectId, roles, (_call, work) => work(token), new NextRun())
  }

  async identify(token: string, call: Call): Promise<Identity | undefined> {
    return await this.#identities.identify(token, call)
  }

  async release(call: Call): Promise<Release> {
    return releaseOf(
      await this.#http.within(call, async limited => (await this.#endpoints.endpoint(limited)).highestMinor)
    )
  }

  async microversion(call: Call): Promise<string> {
    const { version, minor } = await this.#http.within(call, limited => this.#endpoints.endpoint(limited))
    return version === 'v3' ? `3.${minor}` : '2.0'
  }

  async projects(call: Call): Promise<readonly { id: string; name: string }[]> {
    return await this.#http.within(call, limited => this.#keystone.projects(limited))
  }

  async keystoneTime(call: Call): Promise<Date> {
    return await this.#http.within(call, limited => this.#keystone.time(limited))
  }

  /** To be called once no operation is under way any more; cuts the connections. */
  async close(): Promise<void> {
    await this.#http.close()
  }

  async #own(scope: Scope, call: Call): Promise<Project> {
    const held = this.#keystone.held(scope, call.requestId)
    const { projectId, roles } =
      held ?? (await this.#http.within(call, limited => this.#keystone.token(scope, limited)))
    const authorised: Authorised = (call, work) => withRenewal(this.#keystone, scope, call, token => work(token.value))
    return this.#project(projectId, roles, authorised, this.#transferLists)
  }

  #project(id: string, roles: readonly string[], authorised: Authorised, transferLists: NextRun<Transfer[]>): Project {
    const cinder = new Cinder({ id, roles }, this.#http, this.#endpoints, authorised)
    return {
      id,
      roles,
      isConfined: cinder.isConfined,
      volumes: new CinderVolumes(cinder),
      transfers: new CinderTransfers(cinder, transferLists),
      snapshots: new CinderSnapshots(cinder)
    }
  }
}
