-- What QA says of a call: one review a person and call. `body` is a JSON object: form and revision, the scores, marks of
-- findings, a note.
create table review (
    id text not null primary key,
    attempt_id text not null references attempt (id),
    reviewer text not null,
    body text not null,
    at_ms bigint not null,
    unique (attempt_id, reviewer)
);
create index review_at on review (at_ms, id);
