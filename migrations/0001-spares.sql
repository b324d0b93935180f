-- The images, the stock made from them, and the record of what was given to whom. CHECKs and unique indexes state what
-- must hold whatever the code does: a disk belongs to one spare or one claim, and a claim has one disk.

create table os (
  id                   uuid primary key,
  name                 text not null check (name <> ''),
  type                 text not null check (type = lower(type) and type <> ''),
  snapshot_id          text not null,
  replica_snapshot_ids text[] not null default '{}', -- Identical snapshots, used in turn with snapshot_id.
  volume_id            text not null,                -- The snapshot's source volume.
  volume_type          text not null,
  size                 integer not null check (size > 0), -- GiB
  version              text not null,
  created_at           timestamptz not null,
  updated_at           timestamptz not null,
  unique (name, type)
);

create table claims (
  id                uuid primary key,
  idempotency_key   text,
  fingerprint       text not null, -- What a repeat under the same key must ask for again.
  project_id        text not null,
  name              text not null,
  hostname          text not null,
  category          text not null,
  os                text not null,
  type              text not null,
  wanted_size       integer,       -- As asked for; size is what was given.
  status            text not null check (status in ('open', 'creating', 'available', 'gone')),
  source            text check (source in ('existing', 'pool', 'created')),
  miss_reason       text check (miss_reason in ('empty', 'stale', 'no_pool', 'handover_failed')),
  volume_id         text,
  volume_type       text,
  size              integer,
  snapshot_id       text,
  image_version     text,
  spare_age_seconds integer,
  seconds           double precision, -- From the first request to the disk in its project.
  lease_holder      uuid,             -- Who works on it, and until when.
  lease_until       timestamptz,
  created_at        timestamptz not null,
  updated_at        timestamptz not null,
  check (status <> 'available' or (volume_id is not null and source is not null))
);

-- One living claim for a name in a project, and one for an idempotency key: a repeat finds the first.
create unique index claims_by_name on claims (project_id, name) where status <> 'gone';
create unique index claims_by_key on claims (project_id, idempotency_key) where status <> 'gone';
-- No volume is given to two claims. (An existing one may have been renamed by its owner, and be claimed again.)
create unique index claims_by_given_volume on claims (volume_id) where source <> 'existing' and status <> 'gone';
create index claims_by_volume on claims (volume_id);
create index claims_by_age on claims (created_at, id);
create index claims_unsettled on claims (updated_at) where status in ('open', 'creating');

create table backup_volumes (
  id            uuid primary key,
  os            text not null,
  type          text not null check (type = lower(type)),
  snapshot_id   text not null,
  image_version text not null,
  volume_type   text not null,
  size          integer not null check (size > 0), -- GiB
  volume_id     text unique, -- Null until Cinder's answer is known.
  name          text not null,
  status        text not null check (status in ('requested', 'creating', 'available', 'reserved', 'retiring')),
  allocated     boolean not null default false,
  kept          boolean not null default false, -- A sync with purge none kept it though its image is not current.
  claim_id      uuid unique references claims (id),
  transfer_id   text,
  auth_key      text, -- Encrypted.
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  available_at  timestamptz, -- When Cinder had finished it; null while it is being made.
  check (allocated = (status = 'reserved')),
  check ((claim_id is not null) = (status = 'reserved')),
  check (status not in ('creating', 'available') or volume_id is not null),
  check (status <> 'available' or available_at is not null),
  check ((transfer_id is null) = (auth_key is null))
);

-- Fits the claim's statement: the oldest spare of a pool, and nothing else is read.
create index backup_volumes_in_stock on backup_volumes (os, type, created_at, id) where status = 'available';
create index backup_volumes_on_their_way on backup_volumes (created_at) where status <> 'available';

-- What is remembered of a pool besides its spares.
create table pools (
  os              text not null,
  type            text not null,
  paused          boolean not null default false,
  failures        integer not null default 0, -- In a row.
  retry_at        timestamptz,
  last_error      text,
  newer_in_cinder text,
  primary key (os, type)
);

-- How long each volume took, from asking Cinder to available.
create table lead_times (
  spare_id uuid primary key,
  os       text not null,
  type     text not null,
  seconds  double precision not null,
  at       timestamptz not null
);
create index lead_times_by_age on lead_times (at);

-- When each tick ran, and who runs it now: a lease spares replicas each other's work.
create table ticks (
  name        text primary key,
  holder      uuid,
  lease_until timestamptz,
  last_run_at timestamptz,
  last_ok_at  timestamptz,
  seconds     double precision,
  last_error  text
);

-- Volumes that carry our metadata and that no row knows, since a reconcile first saw them.
create table orphans (
  volume_id     text primary key,
  first_seen_at timestamptz not null
);
