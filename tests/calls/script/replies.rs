//! Replies as tables.
