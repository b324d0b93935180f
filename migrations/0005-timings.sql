-- The statistics of a window must not cost more with each claim and each volume in it. So the database keeps totals since
-- ever, as they were at the end of each ten minutes in which they grew: what happened in a window is the difference of two.
-- What happens is only noted at first, so that no claim waits for another's row; now and then notes are folded into totals.

-- Its bucket of a histogram, each two per cent longer than the one before: its length is known to one per cent.
create function bucket_of(seconds double precision) returns smallint
  language sql immutable return round(ln(greatest(seconds, 0.0005)) / ln(1.02::double precision));

create table timings (
  os     text not null,
  type   text not null,
  what   text not null, -- How a claim got its disk, or why not from stock; or lead_time.
  bucket smallint not null,
  at     timestamptz not null
);
alter table timings replica identity full; -- It has no key, and logical replication must find what is deleted.

create table timing_totals (
  os     text not null,
  type   text not null,
  what   text not null,
  until  timestamptz not null, -- Before then they had happened.
  counts json not null, -- How many of each bucket: {"57": 3}
  primary key (os, type, what, until)
);
create index timing_totals_by_age on timing_totals (until);

create function note_lead_time() returns trigger language plpgsql as $$
begin
  insert into timings values (new.os, new.type, 'lead_time', bucket_of(new.seconds), new.at);
  return null;
end $$;
create trigger volume_is_finished after insert on lead_times for each row execute function note_lead_time();

-- Windows of up to two days go on as before, give or take an hour. What is older is not worth a long migration.
insert into timings
select os, type, case source when 'created' then coalesce(miss_reason, 'empty') else source end,
       bucket_of(coalesce(seconds, 0)),
       date_bin('1 hour', created_at + make_interval(secs => coalesce(seconds, 0)), '2000-01-01')
  from claims
 where status in ('available', 'gone') and source is not null and created_at > now() - interval '2 days'
 union all
select os, type, 'lead_time', bucket_of(seconds), date_bin('1 hour', at, '2000-01-01')
  from lead_times
 where at > now() - interval '2 days';
