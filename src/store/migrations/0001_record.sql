-- The record. Text, bigint and double precision only: the same text runs on SQLite and PostgreSQL.
-- Times are ..._at_ms (UTC milliseconds), booleans 0/1, ids text (UUIDv7), dates ISO text.

create table patient (
    id text not null primary key,
    hospital text not null,
    number text not null,
    name text not null,
    birth_date text not null,
    phone text,
    lang text not null,
    dialect text,
    hearing text not null check (hearing in ('normal', 'hard', 'deaf')),
    zone text not null,
    knows_diagnosis bigint not null check (knows_diagnosis in (0, 1)),
    life text not null check (life in ('alive', 'dead', 'reported_dead')),
    created_at_ms bigint not null,
    updated_at_ms bigint not null,
    unique (hospital, number)
);

create table contact (
    patient_id text not null references patient (id),
    position bigint not null,
    name text not null,
    relation text not null,
    phone text,
    topics text not null,
    primary key (patient_id, position)
);

-- History: the row that nothing has superseded is in force.
create table consent (
    id text not null primary key,
    patient_id text not null references patient (id),
    basis text not null check (basis in ('none', 'written', 'verbal', 'withdrawn')),
    text_version text,
    given_on text,
    recording bigint not null check (recording in (0, 1)),
    recorded_at_ms bigint not null,
    recorded_by text not null,
    superseded_at_ms bigint
);
create unique index consent_in_force on consent (patient_id) where superseded_at_ms is null;

create table episode (
    id text not null primary key,
    patient_id text not null references patient (id),
    encounter text not null,
    pathway text not null,
    department text not null,
    ward text not null,
    discharged_at_ms bigint not null,
    state text not null check (state in ('discharged', 'readmitted', 'reported_readmitted', 'cancelled')),
    high_risk bigint not null check (high_risk in (0, 1)),
    created_at_ms bigint not null,
    updated_at_ms bigint not null,
    unique (patient_id, encounter)
);

create table step (
    id text not null primary key,
    episode_id text not null references episode (id),
    patient_id text not null references patient (id),
    day bigint not null,
    script text not null,
    due_on text not null,
    lapses_on text not null,
    state text not null check (state in ('planned', 'calling', 'done', 'unreached', 'blocked', 'lapsed')),
    next_at_ms bigint not null,
    reason text not null,
    leased_by text,
    leased_until_ms bigint,
    unique (episode_id, day)
);
create index step_due on step (next_at_ms, id) where state = 'planned';
create index step_patient on step (patient_id, id);

create table script_version (
    id text not null,
    version text not null,
    langs text not null,
    hash text not null,
    content text not null,
    signature text,
    published_by text not null,
    published_at_ms bigint not null,
    primary key (id, version)
);
create index script_version_hash on script_version (hash);

create table attempt (
    id text not null primary key,
    step_id text references step (id),
    episode_id text references episode (id),
    patient_id text references patient (id),
    phone text,
    number bigint not null,
    state text not null check (state in ('dialling', 'ringing', 'talking', 'ended')),
    engine text not null,
    leased_until_ms bigint not null,
    trunk text not null,
    script text not null,
    script_hash text not null,
    day bigint not null,
    lang text not null,
    dialog text,
    started_at_ms bigint not null,
    answered_at_ms bigint,
    ended_at_ms bigint,
    identified bigint not null default 0 check (identified in (0, 1)),
    screened bigint not null default 0 check (screened in (0, 1)),
    closing_spoken bigint not null default 0 check (closing_spoken in (0, 1)),
    disposition text,
    sip_status bigint,
    q850_cause bigint,
    early_media text,
    answered_by text,
    rang bigint not null default 0 check (rang in (0, 1)),
    talk_ms bigint not null default 0,
    asked_for_ms bigint,
    notes text not null default '[]',
    check ((state = 'ended') = (disposition is not null))
);
-- One ring a step and one a telephone, whoever dials and whichever engine.
create unique index attempt_live_step on attempt (step_id) where state <> 'ended';
create unique index attempt_live_phone on attempt (phone) where state <> 'ended';
create index attempt_step on attempt (step_id, started_at_ms);
create index attempt_phone on attempt (phone, started_at_ms);
create index attempt_patient on attempt (patient_id, started_at_ms);
create index attempt_started on attempt (started_at_ms, id);

create table turn (
    attempt_id text not null references attempt (id),
    position bigint not null,
    node text not null,
    prompt text not null,
    kind text,
    asks text not null,
    respondent text not null,
    prompt_from_ms bigint not null,
    prompt_to_ms bigint not null,
    reply text,
    primary key (attempt_id, position)
);

create table finding (
    attempt_id text not null references attempt (id),
    position bigint not null,
    turn bigint not null,
    node text not null,
    concept text not null,
    detail text,
    polarity text not null check (polarity in ('present', 'uncertain', 'historical', 'other_person', 'absent')),
    urgency text not null check (urgency in ('emergent', 'urgent', 'same_day', 'routine')),
    confirmation text not null,
    from_ms bigint not null,
    to_ms bigint not null,
    evidence text not null,
    primary key (attempt_id, position)
);
create index finding_concept on finding (concept);

create table suppressed (
    attempt_id text not null references attempt (id),
    position bigint not null,
    concept text not null,
    why text not null,
    evidence text not null,
    primary key (attempt_id, position)
);

-- `subject` is the episode, or the attempt where there is no patient record: one order of it is not closed.
create table work_order (
    id text not null primary key,
    subject text not null,
    patient_id text references patient (id),
    episode_id text references episode (id),
    attempt_id text references attempt (id),
    urgency text not null check (urgency in ('emergent', 'urgent', 'same_day', 'routine')),
    urgency_rank bigint not null check (urgency_rank between 0 and 3),
    state text not null check (state in ('open', 'acknowledged', 'closed')),
    raised_at_ms bigint not null,
    due_at_ms bigint not null,
    level bigint not null default 0,
    acknowledged_by text,
    acknowledged_at_ms bigint,
    closed_by text,
    closed_at_ms bigint,
    outcome text,
    note text,
    revision bigint not null default 0
);
create unique index work_order_one_open on work_order (subject) where state <> 'closed';
create index work_order_list on work_order (urgency_rank, raised_at_ms, id);
create index work_order_due on work_order (due_at_ms, id) where state = 'open';
create index work_order_patient on work_order (patient_id);

create table work_order_cause (
    work_order_id text not null references work_order (id),
    position bigint not null,
    cause text not null,
    added_at_ms bigint not null,
    primary key (work_order_id, position)
);

create table outbox (
    id text not null primary key,
    event text not null,
    subject text not null,
    payload text not null,
    created_at_ms bigint not null,
    next_at_ms bigint not null,
    tries bigint not null default 0,
    leased_by text,
    leased_until_ms bigint,
    delivered_at_ms bigint,
    last_error text
);
create index outbox_due on outbox (next_at_ms, id) where delivered_at_ms is null;

create table do_not_call (
    phone text not null primary key,
    why text not null,
    added_by text not null,
    added_at_ms bigint not null
);

create table observation (
    id text not null primary key,
    patient_id text not null references patient (id),
    kind text not null check (kind in ('weight', 'blood_pressure', 'glucose')),
    value double precision not null,
    second_value double precision,
    unit text not null,
    taken_at_ms bigint not null,
    source text not null,
    saved_at_ms bigint not null,
    unique (patient_id, kind, taken_at_ms, source)
);

create table token (
    id text not null primary key,
    name text not null,
    hash text not null unique,
    created_at_ms bigint not null,
    revoked_at_ms bigint
);
create unique index token_name on token (name) where revoked_at_ms is null;

-- Append-only: nothing in src/store updates or deletes a row of it.
create table audit_log (
    id text not null primary key,
    at_ms bigint not null,
    who text not null,
    what text not null,
    subject text not null,
    detail text not null
);
create index audit_log_subject on audit_log (subject, id);

create table import (
    id text not null primary key,
    at_ms bigint not null,
    who text not null,
    accepted bigint not null,
    refused bigint not null,
    report text not null
);
