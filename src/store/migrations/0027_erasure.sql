-- Patients whose keys were destroyed: a restore destroys them again.
create table erasure (
    patient_id text not null primary key references patient (id),
    at_ms bigint not null,
    erased_by text not null,
    reason text not null
);

-- Why everything of a patient is kept, whatever its age. A row that was lifted stays as history.
create table legal_hold (
    id text not null primary key,
    patient_id text not null references patient (id),
    reason text not null,
    placed_by text not null,
    placed_at_ms bigint not null,
    lifted_by text,
    lifted_at_ms bigint
);
create unique index legal_hold_in_force on legal_hold (patient_id) where lifted_at_ms is null;

-- When a call's recording was removed: by its age, or because the patient withdrew.
alter table attempt add column audio_removed_at_ms bigint;
create index attempt_audio on attempt (ended_at_ms) where state = 'ended' and audio_removed_at_ms is null;
