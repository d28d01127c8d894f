-- Messages to patients and to who speaks for them: a row each, whatever became of it. Its words stand nowhere: they are put
-- together from the hospital's neutral name as it leaves.
create table patient_message (
    id text not null primary key,
    patient_id text not null references patient (id),
    episode_id text not null references episode (id),
    -- The step or errand that it is about.
    step_id text not null,
    kind text not null check (kind in ('prewarm', 'missed_call', 'education', 'form')),
    template text not null,
    -- The number that the call would ring; null: the patient's.
    phone text,
    -- Of a prewarm: how long before the call, and when that is.
    lead_hours bigint,
    call_at_ms bigint,
    created_at_ms bigint not null,
    state text not null check (state in ('waiting', 'handed_over', 'sent', 'failed', 'delivered', 'withheld')),
    -- Why it was withheld, or what the sender says of a failure.
    reason text not null,
    -- As it was reported: sms, wechat, app.
    channel text,
    reported_by text,
    reported_at_ms bigint
);
create index patient_message_of_patient on patient_message (patient_id, id);
create index patient_message_of_step on patient_message (step_id, kind);

-- When it is looked at next whether a message announces the step's call.
alter table step add column prewarm_at_ms bigint not null default 0;

-- Readings that a patient at home is to send: one in every period of `every_days`, the present one over at `next_at_ms`.
create table expected_reading (
    episode_id text not null references episode (id),
    patient_id text not null references patient (id),
    kind text not null check (kind in ('weight', 'blood_pressure', 'glucose')),
    every_days bigint not null,
    begins_on text not null,
    until_on text not null,
    period_ends_on text not null,
    next_at_ms bigint not null,
    -- Periods in a row without a reading.
    missed bigint not null default 0,
    state text not null check (state in ('expected', 'over')),
    primary key (episode_id, kind)
);
create index expected_reading_due on expected_reading (next_at_ms, episode_id, kind) where state = 'expected';
