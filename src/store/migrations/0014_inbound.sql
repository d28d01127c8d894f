-- Calls that patients make to us: they are no ring of anybody's telephone.
alter table attempt add column direction text not null default 'outbound' check (direction in ('outbound', 'inbound'));
