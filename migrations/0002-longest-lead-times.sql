-- A creation that takes three times as long as the longest of its pool is given up: check_state looks for that one, while
-- anything takes long, every few seconds.

create index lead_times_by_length on lead_times (os, type, seconds);
