-- What went over a call's line, blanked before it came here: JSON of `sip::trace::Kept`.
create table attempt_trace (
    attempt_id text not null primary key references attempt (id),
    saved_at_ms bigint not null,
    trace text not null
);
create index attempt_trace_saved on attempt_trace (saved_at_ms);
