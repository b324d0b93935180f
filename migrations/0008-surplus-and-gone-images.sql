-- A snapshot may be deleted in Cinder while table os still names it, and stock may stand over its target: both are remembered
-- here, so that every replica goes by the same. Refused claims are remembered for an hour, so that each counts once in it.

alter table os add column gone_snapshot_ids text[] not null default '{}'; -- Of snapshot_id and its replicas.

alter table pools add column surplus_since timestamptz; -- Null: there is no more in stock than its target.

create table refusals (
  project_id text not null,
  name       text not null,
  at         timestamptz not null, -- When it was last counted.
  primary key (project_id, name)
);
create index refusals_by_age on refusals (at);
