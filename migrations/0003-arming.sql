-- Two ticks that see the same volume finished must not both make a transfer for it: by the time that the later one acts, the
-- volume may be a claim's. Whoever arms it says so first, and has it alone until then.

alter table backup_volumes add column arming_until timestamptz;
