-- Every plan, scrape and look at the statistics reads the stock, which must not cost more with each spare in it. What may be
-- many is counted as it changes, by triggers, so that no statement can forget to: spares in stock, and retired ones. What is on
-- its way or with a claim is never much, and is counted where it is. No row of the counts is ever updated, so no claim waits
-- for another's: each change adds a row that says by how much, and now and then many become few.

create table stock_counts (
  os          text not null,
  type        text not null,
  snapshot_id text not null,
  status      text not null,
  kept        boolean not null,
  count       integer not null, -- How many more or, below nought, fewer.
  size        integer not null, -- GiB, of all of them together.
  is_change   boolean not null default true -- Not folded into fewer yet.
);
alter table stock_counts replica identity full; -- It has no key, and logical replication must find what is deleted.

create function is_counted(status text) returns boolean
  language sql immutable return status in ('available', 'retiring');

-- One row at a time: a claim takes one spare out of stock, which is one row here, and none when it ends. Conditions are in here
-- and not in the triggers, which would read and plan theirs anew with each statement.
create function count_stock() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and old.status = new.status and old.kept = new.kept and old.size = new.size
     and old.snapshot_id = new.snapshot_id and old.os = new.os and old.type = new.type then
    return null;
  end if;
  if tg_op <> 'INSERT' and old.status in ('available', 'retiring') then
    insert into stock_counts values (old.os, old.type, old.snapshot_id, old.status, old.kept, -1, -old.size);
  end if;
  if tg_op <> 'DELETE' and new.status in ('available', 'retiring') then
    insert into stock_counts values (new.os, new.type, new.snapshot_id, new.status, new.kept, 1, new.size);
  end if;
  return null;
end $$;

create trigger stock_changes
  after insert or delete or update of status, kept, size, snapshot_id, os, type on backup_volumes
  for each row execute function count_stock();

create function count_no_stock() returns trigger language plpgsql as $$
begin
  truncate stock_counts;
  return null;
end $$;
create trigger stock_ends after truncate on backup_volumes for each statement execute function count_no_stock();

insert into stock_counts
select os, type, snapshot_id, status, kept, count(*), sum(size), false
  from backup_volumes
 where is_counted(status)
 group by 1, 2, 3, 4, 5;

-- What is not counted is found without the retired ones, of which a sync makes many.
drop index backup_volumes_on_their_way;
create index backup_volumes_on_their_way on backup_volumes (created_at, id) where status not in ('available', 'retiring');
create index backup_volumes_to_delete on backup_volumes (updated_at, id) where status = 'retiring' and volume_id is not null;
create index backup_volumes_retired_too_soon on backup_volumes (created_at, id)
  where status = 'retiring' and volume_id is null; -- Before Cinder's answer was known.
