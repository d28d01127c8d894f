-- Who works here. `roles` and `wards` are JSON lists; wards null: every ward.
create table staff (
    id text not null primary key,
    name text not null unique,
    display_name text not null,
    roles text not null,
    wards text,
    -- PHC string of Argon2id; null until a password is set.
    password text,
    -- RFC 6238 secret in base32, and the last step whose code was taken: none is taken twice.
    totp text,
    totp_step bigint not null default 0,
    active bigint not null check (active in (0, 1)),
    -- Failures in a row.
    failures bigint not null default 0,
    locked_until_ms bigint,
    created_at_ms bigint not null,
    changed_at_ms bigint not null
);

-- Sign-ins; of the secret in the cookie only the hash is kept.
create table session (
    hash text not null primary key,
    staff_id text not null references staff (id),
    csrf text not null,
    created_at_ms bigint not null,
    seen_at_ms bigint not null,
    expires_at_ms bigint not null,
    ended_at_ms bigint
);
create index session_staff on session (staff_id) where ended_at_ms is null;

-- What a token may do; those that were there go on as programs.
alter table token add column roles text not null default '["service"]';
alter table token add column wards text;
