/** The cloud that `up` has brought up, for tests and benchmarks: its users, and `ctl`. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { type Login, logIn, type Session } from '../support/session.ts'

const run = promisify(execFile)
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** As in `lib.sh`. */
export const STATE = process.env['OPENSTACK_STATE'] ?? '/var/tmp/spare-pool-openstack'
export const CLOUDS_YAML = join(STATE, 'clouds.yaml')
/** A file for each part that runs; its process comes first in it. */
export const RUN = join(STATE, 'run')

export type Part =
  | 'mariadb'
  | 'rabbitmq'
  | 'memcached'
  | 'ceph-mon'
  | 'ceph-osd'
  | 'keystone'
  | 'cinder-api'
  | 'cinder-scheduler'
  | 'cinder-volume'

/** Runs `ctl`; gives what it prints. */
export async function ctl(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(here('ctl'), args, { maxBuffer: 64 * 1024 * 1024 })
  return stdout
}

/** The entry of a user in the cloud's clouds.yaml. */
export function cloudsEntry(user: string): Login {
  const { clouds } = parse(readFileSync(CLOUDS_YAML, 'utf8'))
  const { auth_url: authUrl, password, project_name: project } = clouds[user].auth
  return { authUrl, user, password, project }
}

/** A user of the cloud, in the project of its clouds.yaml entry or another one. */
export const loggedIn = async (user: string, project?: string): Promise<Session> => {
  const entry = cloudsEntry(user)
  return await logIn({ ...entry, project: project ?? entry.project })
}
