/** What happens in Cinder behind the service's back, by itself, by its operators or by its tenants. */
import { type Arbitrary, constantFrom, nat, record } from 'fast-check'
import { at, type Command, command, POOLS } from './command.ts'
import type { Model } from './model.ts'
import { type Real, toPool } from './real.ts'
import { byId, FIRST_VERSION, type Volume } from './state.ts'

const volumesByAge = ({ volumes }: Readonly<Model>): Volume[] =>
  [...volumes].toSorted((a, b) => a.madeAt - b.madeAt || byId(a, b))

/** To one of the volumes that it can be done to. */
const toVolume = (
  name: string,
  which: (volume: Volume) => boolean,
  run: (model: Model, real: Real, volume: Volume) => void
): Arbitrary<Command> =>
  nat(9).map(pick =>
    command({
      name: `${name} ${pick}`,
      when: model => volumesByAge(model).some(which),
      run(model, real) {
        run(model, real, at(volumesByAge(model).filter(which), pick))
        return undefined
      }
    })
  )

const setStatus = (status: Volume['status']) => (_model: Model, real: Real, volume: Volume) => {
  real.setStatus(volume.id, status)
  volume.status = status
}

const vanish = (model: Model, real: Real, volume: Volume) => {
  real.remove(volume.id)
  model.volumes.delete(volume)
}

const isTenants = ({ name }: Volume): boolean => !name.startsWith('spare-')

export const tenantMakes = record({
  hostname: constantFrom('web-1', 'web-2', 'web-3'),
  project: constantFrom('tenant-a', 'tenant-b', 'pool'),
  bootable: constantFrom(true, true, true, false)
}).map(({ hostname, project, bootable }) =>
  command({
    name: `${project} makes a volume ${hostname}_sys${bootable ? '' : ', a blank one'}`,
    when: ({ full }) => !full.has(project),
    run(model, real) {
      const name = `${hostname}_sys`
      const id = real.makeVolume(project, name, bootable)
      model.volumes.add({ id, project, name, status: 'available', gib: 3, madeAt: model.now, bootable })
      return undefined
    }
  })
)

export const quotas = record({ project: constantFrom('tenant-a', 'tenant-b'), isFull: constantFrom(true, false) }).map(
  ({ project, isFull }) =>
    command({
      name: `the quota of ${project} is ${isFull ? 'used up' : 'raised'}`,
      when: model => model.full.has(project) !== isFull,
      run(model, real) {
        real.setQuota(project, isFull)
        if (isFull) model.full.add(project)
        else model.full.delete(project)
        return undefined
      }
    })
)

export const snapshots = constantFrom(...POOLS).map(pool =>
  command({
    name: `a new snapshot of ${pool}`,
    run(model, real) {
      const version = (model.snapshots.get(pool) ?? FIRST_VERSION) + 1
      const { os, type } = toPool(pool)
      real.cloud.addSnapshot({ name: `${os}_${type}_${version}`, type: `ceph-${type}`, sizeGib: 20 })
      model.snapshots.set(pool, version)
      return undefined
    }
  })
)

export const passes = constantFrom(5, 60, 400, 700).map(seconds =>
  command({
    name: `${seconds} seconds pass`,
    run(model, real) {
      model.now += seconds
      real.pass(seconds)
      return undefined
    }
  })
)

export const finishes = toVolume(
  'Cinder finishes volume',
  ({ status }) => status === 'creating',
  setStatus('available')
)
export const failures = toVolume('Cinder fails with volume', ({ status }) => status !== 'error', setStatus('error'))
export const losses = toVolume('Cinder loses volume', () => true, vanish)
export const deletions = toVolume('its owner deletes disk', isTenants, vanish)
export const attachments = toVolume(
  'its owner attaches disk',
  one => isTenants(one) && one.status === 'available',
  setStatus('in-use')
)
