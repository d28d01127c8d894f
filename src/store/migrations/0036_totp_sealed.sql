-- Second factors lie under the hospital's key: what lies open is looked for once more when the database is opened.
update vault set swept = 0;
