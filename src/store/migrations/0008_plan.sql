-- When an import, the API or a feed last confirmed the record; the hours the patient wished for (JSON, null: none).
alter table patient add column seen_at_ms bigint;
alter table patient add column wishes text;

-- What goes before the rest: 2 an emergency's re-call, 1 an hour that the patient named and patients at high risk.
alter table step add column urgent bigint not null default 0 check (urgent in (0, 1, 2));
create index step_due_urgent on step (urgent desc, next_at_ms, id) where state = 'planned' and urgent > 0;

-- Why a step was or was not dialled: a row for every decision that differs from the one before. `reason` is JSON of
-- `plan::Reason`, null where it was dialled. Append-only.
create table decision (
    step_id text not null references step (id),
    position bigint not null,
    at_ms bigint not null,
    answer text not null check (answer in ('dial', 'wait', 'finish')),
    reason text,
    until_ms bigint,
    attempt_id text,
    primary key (step_id, position)
);

-- What an admin has stopped: scope `` everything, `ward/NAME` one ward.
create table pause (
    scope text not null primary key,
    why text not null,
    paused_by text not null,
    paused_at_ms bigint not null
);
