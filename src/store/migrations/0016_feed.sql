-- Messages of the hospital's bus (HL7 v2), each as it came: a copy is known by sender, control id and content.
create table feed_message (
    id text not null primary key,
    application text not null,
    facility text not null,
    control_id text not null,
    digest text not null,
    event text not null,
    received_at_ms bigint not null,
    content text not null,
    state text not null check (state in ('received', 'applied', 'unchanged', 'stale', 'dead', 'rejected')),
    -- The hospital's number of the patient: while a message about her is dead, her record is not taken for confirmed.
    number text,
    -- Where it is at fault: `PID`, 7, HL7 table 0357, words without a value.
    segment text,
    field bigint,
    code bigint,
    fault text,
    ack text,
    settled_at_ms bigint,
    settled_by text,
    unique (application, facility, control_id, digest)
);
create index feed_message_state on feed_message (state, id);
create index feed_message_heard on feed_message (received_at_ms) where state <> 'rejected';
create index feed_message_dead on feed_message (number) where state = 'dead';

-- The newest that was told of a visit, by the hospital's numbers, for it may come before the patient is known. Encounter
-- `` is the person; `dead`: that a death was told.
create table feed_visit (
    hospital text not null,
    number text not null,
    encounter text not null,
    told_at_ms bigint not null,
    state text not null check (state in ('person', 'dead', 'admitted', 'admission_cancelled', 'discharged', 'discharge_cancelled')),
    admitted_at_ms bigint,
    primary key (hospital, number, encounter)
);

-- Numbers that were given up in favour of another record.
create table merged_number (
    hospital text not null,
    number text not null,
    patient_id text not null references patient (id),
    merged_at_ms bigint not null,
    primary key (hospital, number)
);
