-- The next spare goes to whoever waits longest. A claim whose disk is being made waits for as long as that lasts; one that
-- only waits for stock says so here. Each spare that comes into stock looks for them, and mostly there are none.

alter table claims add column waiting boolean not null default false;
create index claims_waiting on claims (os, type, created_at, id) where status = 'creating' or (status = 'open' and waiting);

-- How many disks are on their way for one project.
create index claims_creating on claims (project_id) where status = 'creating';
