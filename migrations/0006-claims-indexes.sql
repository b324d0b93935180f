-- Each claim is written twice, into every index of its table: those that few claims are looked up by hold only these now.

drop index claims_by_key;
create unique index claims_by_key on claims (project_id, idempotency_key)
  where idempotency_key is not null and status <> 'gone';
-- A repeat's key is looked for among claims whose disk is gone, too.
create index claims_by_past_key on claims (project_id, idempotency_key, created_at) where idempotency_key is not null;
drop index claims_by_volume;
create index claims_by_volume on claims (volume_id) where volume_id is not null;
