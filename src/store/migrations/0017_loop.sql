-- A row a caller id: who dials locks it, so that several engines count its calls one after the other.
create table caller_id (
    caller text not null primary key,
    shown_at_ms bigint not null
);
create index attempt_caller_id on attempt (caller, started_at_ms);

-- The next due step of each urgency is the first row of its part of the index.
drop index step_due;
drop index step_due_urgent;
create index step_due on step (urgent, next_at_ms, id) where state = 'planned';

-- What an engine has live, whose leases ran out.
create index attempt_live on attempt (engine, leased_until_ms) where state <> 'ended';
