-- What a plan leaves to a person, and messages without a call. Its episode's steps are the calls.
create table errand (
    id text not null primary key,
    episode_id text not null references episode (id),
    patient_id text not null references patient (id),
    day bigint not null,
    kind text not null check (kind in ('task', 'education')),
    what text not null,
    due_on text not null,
    lapses_on text not null,
    state text not null check (state in ('planned', 'done', 'blocked', 'lapsed')),
    next_at_ms bigint not null,
    reason text not null,
    unique (episode_id, day)
);
create index errand_due on errand (next_at_ms, id) where state = 'planned';
