-- A second factor that somebody is setting up: it counts when its first code has come.
alter table staff add column totp_pending text;
