//! The telephone network's log: a JSON line for everything that happened, on one media clock.
//!
//! Times are milliseconds since the network began. They are taken where packets leave and arrive, before any
//! buffer of ours, so `turn.latency_ms` is what a patient would wait.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// Writes whole lines from both threads.
#[derive(Clone)]
pub struct Journal {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
}

impl Journal {
    /// Appends to a file, or writes to standard output.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>) -> io::Result<Journal> {
        let out: Box<dyn Write + Send> = match path {
            Some(path) => Box::new(File::options().create(true).append(true).open(path)?),
            None => Box::new(io::stdout()),
        };
        Ok(Journal {
            out: Arc::new(Mutex::new(out)),
        })
    }

    /// Writes what concerns the network as a whole. A reader that has gone away is no reason to stop ringing.
    pub fn line(&self, event: &str, mut fields: Value) {
        if let Value::Object(fields) = &mut fields {
            fields.insert("event".to_owned(), json!(event));
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _gone = writeln!(out, "{fields}").and_then(|()| out.flush());
    }

    /// Writes what concerns one call.
    pub fn call(&self, call: &CallName, at_ms: f64, event: &str, mut fields: Value) {
        if let Value::Object(fields) = &mut fields {
            fields.insert("call".to_owned(), json!(call.number));
            fields.insert("phone".to_owned(), json!(call.phone));
            fields.insert("at_ms".to_owned(), json!(round(at_ms)));
        }
        self.line(event, fields);
    }
}

/// What a call is called in the log.
#[derive(Clone, Debug)]
pub struct CallName {
    /// Counted from 1.
    pub number: u64,
    /// The telephone's file.
    pub phone: String,
}

/// To a tenth of a millisecond.
pub fn round(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}
