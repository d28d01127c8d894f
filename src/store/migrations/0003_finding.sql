-- When a finding happens, whom it concerns, and where it was denied afterwards (JSON).
alter table finding add column happens text not null default 'unclear' check (happens in ('now', 'within_24_h', 'over', 'unclear'));
alter table finding add column subject text not null default 'patient' check (subject in ('patient', 'newborn'));
alter table finding add column denied text;
