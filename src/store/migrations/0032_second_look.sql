-- Calls that were listened to once more after their end; what that added is in `finding` and the order.
create table second_look (
    attempt_id text not null primary key references attempt (id),
    at_ms bigint not null,
    -- The model's file name and beam.
    ear text not null,
    -- Stretches of speech listened to: 0 where nothing was recorded.
    replies bigint not null,
    findings bigint not null
);
create index attempt_ended on attempt (ended_at_ms) where state = 'ended';
