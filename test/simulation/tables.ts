/** The tables as they are, for those who look at the service from outside. */
export interface Tables {
  readonly spares: readonly SpareRow[]
  readonly claims: readonly ClaimRow[]
  readonly images: readonly ImageRow[]
}

export interface SpareRow {
  readonly id: string
  readonly os: string
  readonly type: string
  readonly snapshot_id: string
  readonly size: number
  readonly volume_id: string | null
  readonly name: string
  readonly status: 'requested' | 'creating' | 'available' | 'reserved' | 'retiring'
  readonly kept: boolean
  readonly claim_id: string | null
  readonly transfer_id: string | null
  readonly available_at: string | null
}

export interface ClaimRow {
  readonly id: string
  readonly project_id: string
  readonly name: string
  readonly status: 'open' | 'creating' | 'available' | 'gone'
  readonly source: 'existing' | 'pool' | 'created' | null
  readonly volume_id: string | null
}

export interface ImageRow {
  readonly name: string
  readonly type: string
  readonly snapshot_id: string
  readonly replica_snapshot_ids: readonly string[]
}
