//! The telephone network of the demo and the tests: a SIP server on loopback that plays patients' telephones.
//!
//! It runs as a process of its own and knows the robot only by SIP and RTP: what a robot's prompt was it tells
//! by the sound. Three threads: signalling, media, recogniser. Not part of the product's call path.

pub mod book;
pub mod exchange;
pub mod journal;
pub mod media;
pub mod person;
pub mod recognise;
pub mod tape;
pub mod uas;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Instant as Clock;

use serde_json::json;

use self::book::{Book, BookError, Folders};
use self::exchange::Exchange;
use self::journal::Journal;
use self::media::Media;

/// Settings of the telephone network.
#[derive(Clone, Debug)]
pub struct PhonesConfig {
    pub listen: SocketAddr,
    pub folders: Folders,
    /// Only calls to this host, if given.
    pub domain: Option<String>,
    /// The log's file; standard output if none.
    pub log: Option<PathBuf>,
    /// Where to record each call, if anywhere.
    pub record: Option<PathBuf>,
}

/// Why there is no telephone network.
#[derive(Debug, thiserror::Error)]
pub enum PhonesError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("no telephone rings: every file in {folder} is broken, or there is none")]
    NoPhones { folder: String },
    #[error(
        "{listen}: cannot be listened on; is another `aftercall phones` running? choose another --listen"
    )]
    Listen {
        listen: SocketAddr,
        source: io::Error,
    },
    #[error("{path}: the log cannot be written")]
    Log { path: String, source: io::Error },
    #[error("{path}: recordings cannot be written there")]
    Record { path: String, source: io::Error },
    #[error("the SIP socket broke")]
    Socket(#[source] io::Error),
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
}

/// Rings until the process ends. `report` takes the telephones that do not.
///
/// # Errors
/// See [`PhonesError`]; each names what to change.
pub fn run(config: &PhonesConfig, report: impl Fn(&BookError)) -> Result<(), PhonesError> {
    let began = Clock::now();
    let (book, errors) = Book::load(&config.folders)?;
    errors.iter().for_each(report);
    if book.is_empty() {
        let folder = config.folders.phones.display().to_string();
        return Err(PhonesError::NoPhones { folder });
    }
    let journal = Journal::open(config.log.as_deref()).map_err(|source| PhonesError::Log {
        path: config
            .log
            .as_deref()
            .unwrap_or("-".as_ref())
            .display()
            .to_string(),
        source,
    })?;
    if let Some(folder) = &config.record {
        std::fs::create_dir_all(folder).map_err(|source| PhonesError::Record {
            path: folder.display().to_string(),
            source,
        })?;
    }
    let listen = |source| PhonesError::Listen {
        listen: config.listen,
        source,
    };
    let socket = UdpSocket::bind(config.listen).map_err(listen)?;
    let local = socket.local_addr().map_err(listen)?;
    let (to_media, media_inbox) = mpsc::channel();
    let (to_signalling, signalling_inbox) = mpsc::channel();
    let (to_recogniser, questions) = mpsc::channel();
    let media = Media {
        began,
        inbox: media_inbox,
        signalling: to_signalling,
        recogniser: to_recogniser,
        journal: journal.clone(),
        record: config.record.clone(),
    };
    let answers = to_media.clone();
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let thread = thread::Builder::new().name(name.to_owned());
        thread.spawn(work).map_err(PhonesError::Thread)
    };
    spawn("media", Box::new(move || media.run()))?;
    spawn(
        "recogniser",
        Box::new(move || media::recognise(&questions, &answers)),
    )?;
    let fields = json!({ "at": local.to_string(), "phones": book.len(), "broken": errors.len() });
    journal.line("listening", fields);
    let exchange = Exchange {
        began,
        socket,
        book,
        domain: config.domain.clone(),
        inbox: signalling_inbox,
        media: to_media,
        journal,
        calls: BTreeMap::new(),
        count: 0,
    };
    exchange.run().map_err(PhonesError::Socket)
}
