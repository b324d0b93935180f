/** The clouds that the contract is tested on: the sandbox at some release, and the real one, at its own microversion or a lower one. */

import { type Delays, PRESETS } from '../../sandbox/delays.ts'
import { RELEASES, type Release, type Traits, traitsOf } from '../../sandbox/releases.ts'
import { cloudsYaml, startSandbox } from '../../sandbox/server.ts'
import { systemClock } from '../../src/clock.ts'
import { type Environment, type Files, realFiles } from '../../src/openstack/client-files.ts'
import type { Clock } from '../../src/pool/ports.ts'
import { CLOUDS_YAML, cloudsEntry, ctl } from '../openstack/cloud.ts'
import type { Body } from '../support/session.ts'

const API_VERSION = process.env['CONTRACT_API_VERSION'] ?? 'auto'

/** What a test may ask of the cloud besides its own calls. */
interface Ground {
  /** What its release does in its own way, in the sandbox as in its source. */
  readonly traits: Traits
  /** Under which block storage is in the catalogue. */
  readonly storageTypes: readonly string[]
  /** `3.N` to ask for, or `auto`. */
  readonly volumeApiVersion: string
  readonly authUrl: string
  readonly password: string
  /** Where our client finds its clouds.yaml. */
  readonly environment: Environment
  readonly files: Files
  /** Creates, extensions and deletions get no further until the function it gives is called. */
  rest(): Promise<() => Promise<unknown>>
  /** Copies take much longer until the function it gives is called. */
  slowDown(): Promise<() => Promise<unknown>>
  /** What a snapshot holds is lost, though Cinder still lists it: no volume can be made from it any more. */
  spoil(snapshot: Body): Promise<unknown>
}

/** It does everything at once, so that only `rest` and `slowDown` take time. */
async function sandboxGround(release: Release): Promise<Ground> {
  const clock = new RestingClock()
  const sandbox = await startSandbox({ clock, delays: 'none', release })
  const delayed = async (delays: Partial<Delays>, end: () => void): Promise<() => Promise<void>> => {
    sandbox.cloud.delays = { ...PRESETS.none, ...delays }
    return async () => {
      sandbox.cloud.delays = PRESETS.none
      end()
    }
  }
  return {
    traits: traitsOf(release),
    storageTypes: traitsOf(release).catalogs.guide ?? [],
    volumeApiVersion: API_VERSION,
    authUrl: sandbox.authUrl,
    password: 'sandbox',
    environment: {},
    files: { home: '/', read: path => (path === 'clouds.yaml' ? cloudsYaml(sandbox) : undefined) },
    rest: () => delayed({ creating: 1, creating_empty: 1, extending: 1, deleting: 1, snapshotting: 1 }, clock.rest()),
    slowDown: () => delayed({ creating: 800 }, () => undefined),
    spoil: async () => sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume', count: 1 })
  }
}

/** The machine's time, but whoever sleeps does not wake while it rests. */
export class RestingClock implements Clock {
  #awake: Promise<void> = Promise.resolve()

  now(): Date {
    return new Date()
  }

  monotonicMs(): number {
    return performance.now()
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await systemClock.sleep(ms, signal)
    await this.#awake
  }

  timeout(ms: number): AbortSignal {
    return AbortSignal.timeout(ms)
  }

  limit(ms: number, onLimit: (reason: Error) => void): () => void {
    return systemClock.limit(ms, onLimit)
  }

  every(ms: number, act: () => Promise<void>): () => void {
    return systemClock.every(ms, act)
  }

  rest(): () => void {
    let wake: (() => void) | undefined
    this.#awake = new Promise(resolve => {
      wake = resolve
    })
    return () => wake?.()
  }
}

/** Each operation of the OSD takes that much longer. */
const SLOW_MS = 10

/** Debian 12's. */
const REAL_RELEASE: Release = 'zed'

async function realGround(): Promise<Ground> {
  const { authUrl, password } = cloudsEntry('pool-svc')
  return {
    traits: traitsOf(REAL_RELEASE),
    storageTypes: ['block-storage', 'volumev3'],
    volumeApiVersion: API_VERSION,
    authUrl,
    password,
    environment: { OS_CLIENT_CONFIG_FILE: CLOUDS_YAML },
    files: realFiles,
    rest: async () => {
      await ctl('pause', 'cinder-volume')
      return () => ctl('resume', 'cinder-volume')
    },
    slowDown: async () => {
      await ctl('slow', String(SLOW_MS))
      return () => ctl('slow', '0')
    },
    spoil: async ({ id, volume_id: volumeId }) => {
      const image = `volumes-ssd/volume-${volumeId}@snapshot-${id}`
      await ctl('rbd', 'snap', 'unprotect', image)
      await ctl('rbd', 'snap', 'rm', '--no-progress', image)
    }
  }
}

const isRelease = (name: string): name is Release => RELEASES.some(release => release === name)

function releaseIn(variable: string): Release {
  const name = process.env[variable] ?? 'latest'
  if (!isRelease(name)) throw new Error(`${variable}: "${name}" is none of ${RELEASES.join(', ')}`)
  return name
}

/** One for all files of a worker, as the real one is. */
export const ground = await (process.env['CONTRACT_CLOUD'] === 'openstack'
  ? realGround()
  : sandboxGround(releaseIn('CONTRACT_RELEASE')))
