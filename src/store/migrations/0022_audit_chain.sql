-- The audit log as one chain a database: numbers without a gap, each hash over the entry and the hash before it.
alter table audit_log add column seq bigint;
alter table audit_log add column reason text;
alter table audit_log add column hash text;
create unique index audit_log_seq on audit_log (seq);

-- The last link. Whoever appends updates this row first, so appends stand in line.
create table audit_head (
    id bigint not null primary key check (id = 1),
    seq bigint not null,
    hash text not null
);
insert into audit_head (id, seq, hash) values (1, 0, '');
