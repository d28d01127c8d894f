-- The caller id that an attempt showed: daily caps count by it, from the day's first attempt to its last.
alter table attempt add column caller text;
create index attempt_caller on attempt (trunk, started_at_ms);
