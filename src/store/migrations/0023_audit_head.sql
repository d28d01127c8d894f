-- When the chain's head was last sent outside, and which one.
alter table audit_head add column posted_at_ms bigint not null default 0;
alter table audit_head add column posted_seq bigint not null default 0;
