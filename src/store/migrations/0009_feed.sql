-- A hospital's own headings and words for the columns of a list, as the TOML that an admin wrote.
create table import_mapping (
    name text not null primary key,
    content text not null,
    saved_by text not null,
    saved_at_ms bigint not null
);
