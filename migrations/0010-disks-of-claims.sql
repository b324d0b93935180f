-- A volume that was in the project before its claim is whatever its owner made of it. What is known of it is what a claim
-- of ours was given it as, else nothing: no longer what this claim asked for. Null where the claim was given a disk of ours,
-- or where its os and type are not known. Rows of before keep them null where they are of our disks, since claims may
-- be millions and are read as what they asked for.

alter table claims
  add column disk_os   text,
  add column disk_type text;

update claims existing
   set disk_os = made.os, disk_type = made.type, image_version = made.image_version
  from (select distinct on (volume_id) volume_id, os, type, image_version
          from claims
         where source in ('pool', 'created') and volume_id is not null
         order by volume_id, created_at desc) made
 where existing.source = 'existing' and existing.volume_id = made.volume_id;
