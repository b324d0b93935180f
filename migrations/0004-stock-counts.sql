-- Every plan, scrape and look at the statistics reads the stock, which must not cost more with each spare in it. So the
-- database counts, and no statement can forget to: whatever changes backup_volumes adds rows that say by how much, and the
-- stock is the sum of them all. No row is ever updated, so no claim waits for another's; now and then many become few.

create table stock_counts (
  os          text not null,
  type        text not null,
  snapshot_id text not null,
  status      text not null,
  kept        boolean not null,
  making      boolean not null, -- Cinder has not finished it.
  count       integer not null, -- How many more or, below nought, fewer.
  size        integer not null, -- GiB, of all of them together.
  is_change   boolean not null default true -- Not folded into fewer yet.
);
alter table stock_counts replica identity full; -- It has no key, and logical replication must find what is deleted.

-- A retired spare does not count as being made: it may never end.
create function is_making(status text, available_at timestamptz) returns boolean
  language sql immutable return available_at is null and status <> 'retiring';

-- Once a statement, since a sync changes all spares at once. An update that changes nothing of this adds nothing.
create function count_stock() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into stock_counts
    select os, type, snapshot_id, status, kept, is_making(status, available_at), count(*), sum(size)
      from after
     group by 1, 2, 3, 4, 5, 6;
  elsif tg_op = 'DELETE' then -- Of one row at a time, as claims do: adding up would only cost.
    insert into stock_counts
    select os, type, snapshot_id, status, kept, is_making(status, available_at), -1, -size
      from before;
  else
    insert into stock_counts
    select os, type, snapshot_id, status, kept, making, sum(count), sum(size)
      from (select os, type, snapshot_id, status, kept, is_making(status, available_at), -1, -size from before
             union all
            select os, type, snapshot_id, status, kept, is_making(status, available_at), 1, size from after)
           change (os, type, snapshot_id, status, kept, making, count, size)
     group by 1, 2, 3, 4, 5, 6
    having sum(count) <> 0 or sum(size) <> 0;
  end if;
  return null;
end $$;

create trigger stock_grows after insert on backup_volumes
  referencing new table as after for each statement execute function count_stock();
create trigger stock_shrinks after delete on backup_volumes
  referencing old table as before for each statement execute function count_stock();
create trigger stock_changes after update on backup_volumes
  referencing old table as before new table as after for each statement execute function count_stock();

create function count_no_stock() returns trigger language plpgsql as $$
begin
  truncate stock_counts;
  return null;
end $$;
create trigger stock_ends after truncate on backup_volumes for each statement execute function count_no_stock();

insert into stock_counts
select os, type, snapshot_id, status, kept, is_making(status, available_at), count(*), sum(size), false
  from backup_volumes
 group by 1, 2, 3, 4, 5, 6;
