import type { History } from '../pool/stores.ts'
import { change, type Database } from './connection/database.ts'
import { changesRow } from './rows.ts'

const FORGOTTEN_AT_ONCE = 10_000

export const refusalsOf = (db: Database): Pick<History, 'countRefusal' | 'forgetRefusals'> => ({
  countRefusal: ({ projectId, name, os, type }, reason, at, before) =>
    changesRow(
      db,
      `with counted as (
         insert into refusals (project_id, name, at) values (:projectId, :name, :at)
         on conflict (project_id, name) do update set at = :at where refusals.at <= :before
         returning at
       )
       insert into history (os, type, what, minutes, at, refused)
       select :os, :type, :reason, 5, date_bin('5 minutes', at, 'epoch'), 1 from counted
       on conflict (os, type, what, minutes, at) do update set refused = history.refused + 1`,
      { projectId, name, os, type, reason, at, before }
    ),
  forgetRefusals: before =>
    change(
      db,
      `delete from refusals
        where (project_id, name) in (select project_id, name from refusals where at <= :before order by at limit :limit)
          and at <= :before -- It may just have been counted again.`,
      { before, limit: FORGOTTEN_AT_ONCE }
    )
})
