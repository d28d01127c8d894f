-- Hours that a named person closed for an age band, because few are reached in them: `80+.sat.12`, with the figures that
-- were seen then (JSON).
create table closed_hour (
    hour text not null primary key,
    figures text not null,
    closed_by text not null,
    closed_at_ms bigint not null
);
