-- Keys of data at rest, each wrapped by the master key whose id is `master`. Of a destroyed one the row stays and tells
-- when. `owner` is the patient, or the attempt where there is no patient record.
create table data_key (
    owner text not null,
    class text not null check (class in ('identity', 'record', 'audio')),
    master text,
    wrapped text,
    destroyed_at_ms bigint,
    primary key (owner, class),
    check ((wrapped is null) = (destroyed_at_ms is not null)),
    check ((wrapped is null) = (master is null))
);
create index data_key_master on data_key (master);

-- The id of the master key that wraps new keys; empty until the first. Who makes a key locks this row.
create table vault (
    id bigint not null primary key check (id = 1),
    master text not null
);
insert into vault (id, master) values (1, '');

-- Whose key a record lies under, where it moved to another patient's since: keys are not moved.
alter table attempt add column sealed_by text;
alter table work_order add column sealed_by text;

-- What figures count of a reply, which is sealed: that there was none, or none that was understood.
alter table turn add column unheard text check (unheard in ('silence', 'unclear'));
update turn set unheard = 'silence' where reply like '%"meaning":"silence"%';
update turn set unheard = 'unclear' where reply like '%"meaning":"unclear"%';
