-- The rotas that were brought in, the newest of which holds.
create table rota (
    position bigint not null primary key,
    text text not null,
    imported_by text not null,
    imported_at_ms bigint not null
);

-- What goes to whom: an event without a channel is handed out to those whom it concerns, each of whom gets a row.
-- `parent` is the event's row. A row that was given up has a time of death, and can be played again.
alter table outbox add column parent text;
alter table outbox add column channel text;
alter table outbox add column recipient text;
alter table outbox add column died_at_ms bigint;
create index outbox_dead on outbox (died_at_ms, id) where died_at_ms is not null;
