-- Numbers and dates that tell who somebody is lie under the patient's key. `…_index` is what they are looked up by: a keyed
-- hash, whose key is wrapped by the master key. Of a birth only the year stays readable, for figures by age.
alter table patient rename column number to number_index;
alter table patient add column number text;
alter table patient rename column birth_date to birth_year;
alter table patient add column birth_date text;
alter table patient rename column phone to phone_index;
alter table patient add column phone text;
create index patient_phone on patient (phone_index);

alter table contact rename column phone to phone_index;
alter table contact add column phone text;
create index contact_phone on contact (phone_index);

alter table episode rename column encounter to encounter_index;
alter table episode add column encounter text;
alter table episode add column sealed_by text;

alter table attempt rename column phone to phone_index;
alter table attempt add column phone text;

-- `phone` is null once the patient was erased whose number it was: the hash still stands in the way of a call.
alter table do_not_call rename column phone to phone_index;
alter table do_not_call add column phone text;

-- A message lies under the hospital's key until it is known whom it is about.
alter table feed_message rename column number to number_index;
alter table feed_message add column sealed_by text;
alter table feed_visit rename column number to number_index;
alter table feed_visit rename column encounter to encounter_index;
alter table feed_visit add column encounter text;
alter table merged_number rename column number to number_index;

-- 1 once everything that lay open before was sealed.
alter table vault add column swept bigint not null default 0 check (swept in (0, 1));
