/**
 * All of a database's schema and settings in one text: rows of PostgreSQL's catalogues with who wrote them last, since `disable
 * trigger` and the like change a row and no name. The first 16,384 are PostgreSQL's own.
 */
export const SCHEMA = `select md5(string_agg(entry, ',' order by entry)) as schema from (
    select 'class ' || oid || ' ' || xmin from pg_class where oid >= 16384 and relnamespace = 'public'::regnamespace
    union all select 'trigger ' || oid || ' ' || xmin from pg_trigger where oid >= 16384
    union all select 'function ' || oid || ' ' || xmin from pg_proc where oid >= 16384
    union all select 'constraint ' || oid || ' ' || xmin from pg_constraint where oid >= 16384
    union all select 'namespace ' || oid || ' ' || xmin from pg_namespace where nspname !~ '^pg_'
    union all select 'setting ' || setconfig::text from pg_db_role_setting
                where setdatabase = (select oid from pg_database where datname = current_database())
    union all select 'migration ' || row_to_json(migrations) from schema_migrations migrations
  ) as schema (entry)`
