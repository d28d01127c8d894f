-- The audit sample: the calls that figures speak of, and what was drawn for QA to look at again.

-- One row a call in which the patient was identified, or something was found. `work_order_id`: whose outcome
-- says whether the alert was true.
create table audit_call (
    attempt_id text not null primary key references attempt (id),
    at_ms bigint not null,
    alerted bigint not null check (alerted in (0, 1)),
    work_order_id text references work_order (id)
);
create index audit_call_at on audit_call (at_ms);

-- `position` is that of the suppressed finding, -1 for the call as a whole: a null would not be unique.
-- `share` is what it was drawn by: later settings do not change its weight.
create table audit_item (
    id text not null primary key,
    attempt_id text not null references attempt (id),
    kind text not null check (kind in ('call', 'suppressed')),
    position bigint not null,
    concept text,
    share double precision not null check (share > 0 and share <= 1),
    drawn_at_ms bigint not null,
    state text not null check (state in ('open', 'decided')),
    verdict text check (verdict in ('right', 'wrong', 'missed')),
    missed_concept text,
    note text,
    decided_by text,
    decided_at_ms bigint,
    unique (attempt_id, position),
    check ((state = 'decided') = (verdict is not null))
);
create index audit_item_list on audit_item (state, drawn_at_ms, id);
