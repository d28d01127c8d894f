-- Calling hours that an admin set in place of the configuration's, one set in force for the hospital and each department.
create table calling_hours (
    id text not null primary key,
    -- Empty: the whole hospital.
    department text not null,
    -- JSON: seven days, Monday first, each a list of ["from", "to"].
    week text not null,
    set_by text not null,
    set_at_ms bigint not null,
    superseded_at_ms bigint
);
create unique index calling_hours_in_force on calling_hours (department) where superseded_at_ms is null;
