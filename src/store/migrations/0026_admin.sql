-- What the figures of a period are read by.
create index step_due_on on step (due_on);
create index work_order_raised on work_order (raised_at_ms);

-- Changes of a script that somebody works on in the pages. `files` is JSON, a text by its name below the folder of
-- scripts; what it does not name is as the folder has it. `hash` is what is signed; `edited_by` (JSON) is everybody who
-- changed it, none of whom may sign it.
create table script_draft (
    id text not null primary key,
    script text not null,
    note text not null,
    files text not null,
    hash text not null,
    based_on text not null,
    state text not null check (state in ('draft', 'submitted', 'signed', 'withdrawn')),
    edited_by text not null,
    changed_at_ms bigint not null,
    submitted_by text,
    submitted_at_ms bigint,
    -- JSON of `signature::Signature`; whose account it came by, and in which role.
    signature text,
    signed_by text,
    signed_role text,
    signed_at_ms bigint,
    revision bigint not null default 0,
    check ((state = 'signed') = (signature is not null))
);
create index script_draft_list on script_draft (script, changed_at_ms, id);

-- Which version of a script the engine takes at its next start: the last row. Without a draft it is the folder's.
create table script_publication (
    script text not null,
    position bigint not null,
    draft_id text references script_draft (id),
    why text not null,
    published_by text not null,
    published_at_ms bigint not null,
    primary key (script, position)
);
