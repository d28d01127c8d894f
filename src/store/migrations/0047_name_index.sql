-- How a name begins, and the last word of one of several, as keyed hashes of two letters (Mandarin by its pinyin): who looks
-- for a name has those opened alone that begin alike. Null: not made yet, so it is opened with the rest.
alter table patient add column name_index text;
alter table patient add column family_index text;
create index patient_name on patient (name_index);
create index patient_family on patient (family_index) where family_index is not null;
-- Rows of before are given theirs when the database is opened.
update vault set swept = 0;
