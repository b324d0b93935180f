import type { Project } from '../pool/ports.ts'
import type { PoolName } from '../pool/spare.ts'
import type { StoredStock } from '../pool/stores.ts'
import { check, orUndefined, read, type Site, type Unread } from './facts.ts'
import type { Finding } from './finding.ts'
import { imageOf, judgeImage, judgeSnapshots, judgeUnused, type KnownImages, readImages } from './images.ts'
import { judgeBudget, judgeQuota } from './quotas.ts'
import { type CinderFacts, judgeRelease } from './release.ts'
import { judgeTransferList, readTransfers } from './transfers.ts'
import { judgeVolumes, listOurs } from './volumes.ts'

/** What Cinder's release, and what is in the pool's project, mean for the pools. `stock` undefined: it could not be read. */
export async function examinePools(
  site: Site,
  poolProject: Project | Unread,
  asked: CinderFacts | Unread,
  stock: StoredStock | undefined
): Promise<Finding[]> {
  const { settings, call } = site
  const { targets, snapshotName, handover, deployment, limits } = settings
  const images = await read('pools.snapshots', 'snapshots could not be read', [poolProject, asked], pool =>
    readImages(site, pool, stock?.images)
  )
  const ours = await read('pools.volumes', 'volumes could not be read', [poolProject, asked], pool =>
    listOurs(site, pool)
  )
  const transfers = await read('cloud.transfer-list', '', [poolProject, asked, ours], (pool, cinder, volumes) =>
    readTransfers(site, pool, cinder, volumes)
  )
  const quota = await read('pools.quota', '', [poolProject, asked], pool => pool.volumes.quota(call))
  const wantedWith = (known: KnownImages) => ({ targets, imageOf: (pool: PoolName) => imageOf(pool, known, settings) })
  return [
    ...judgeRelease(asked, handover, orUndefined(images)),
    check('cloud.transfer-list', [asked, transfers], judgeTransferList),
    check('pools.snapshots', [images], known => judgeSnapshots(known, snapshotName)),
    ...judgeUnused(orUndefined(images), snapshotName),
    ...targets.map(target => {
      const { os, type } = target
      return check({ id: 'pools.image', os, type }, [images], known => judgeImage(target, known, settings))
    }),
    check('pools.quota', [images, ours, quota], (known, volumes, left) => judgeQuota(wantedWith(known), volumes, left)),
    check('pools.budget', [images], known => judgeBudget(wantedWith(known), limits.budgetGib)),
    check('pools.volumes', [ours], volumes => judgeVolumes(deployment, volumes, stock?.holdings.length))
  ]
}
