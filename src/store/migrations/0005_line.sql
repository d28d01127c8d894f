-- How an attempt's line was: end, codec, packets, RTCP. JSON of `attempt::LineRecord`; null before the end.

alter table attempt add column line text;
