-- The life of an order: whose it is, what the robot promised, whether a person spoke with the patient, and a row for
-- every change. `ward` is the episode's, kept here for lists.
alter table work_order add column ward text not null default '';
alter table work_order add column owner text;
alter table work_order add column exhausted bigint not null default 0;
alter table work_order add column promised_by_ms bigint;
alter table work_order add column spoken_by text;
alter table work_order add column spoken_at_ms bigint;
update work_order set ward = coalesce((select e.ward from episode e where e.id = work_order.episode_id), ''),
    owner = acknowledged_by;
create index work_order_watch on work_order (due_at_ms, id) where state <> 'closed';

create table work_order_event (
    work_order_id text not null references work_order (id),
    position bigint not null,
    at_ms bigint not null,
    who text not null,
    what text not null,
    from_state text,
    to_state text not null,
    owner text,
    level bigint not null,
    note text not null,
    primary key (work_order_id, position)
);
