-- PostgreSQL's own settings let a fifth of a table be dead before it is vacuumed. Here every spare is written five times and
-- then deleted, and the counts and timings are deleted almost as soon as they are written: what is dead stands before the
-- oldest spare in its index, where each claim looks. So these are vacuumed by how much has died, and at full speed, being small.

alter table backup_volumes set (
  autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 2000);
alter table stock_counts set (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
alter table timings set (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- A claim leaves one dead row in a table that may hold millions: a fiftieth of it is enough to begin with.
alter table claims set (
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 10000);
