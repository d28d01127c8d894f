-- What lists are narrowed by, where hundreds of thousands of rows lie behind them.
create index attempt_disposition on attempt (disposition, started_at_ms, id);
create index attempt_episode on attempt (episode_id, started_at_ms);
create index work_order_not_closed on work_order (urgency_rank, raised_at_ms, id) where state <> 'closed';
create index review_reviewer on review (reviewer, attempt_id);
create index audit_log_who on audit_log (who, seq);
create index audit_log_what on audit_log (what, seq);
create index episode_ward on episode (ward);
