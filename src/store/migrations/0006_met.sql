-- Who was held to have answered, on what evidence and when: JSON, null where nobody did.
alter table attempt add column met text;
