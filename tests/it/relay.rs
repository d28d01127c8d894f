//! The way to a PostgreSQL that a test can cut: every connection breaks at once, and none comes about until it lets them.
//! What a connection had sent may still arrive, and its answer not: as when a network goes, or a server. It can also be
//! hushed: connections stand, and nothing comes through until it speaks again.

use std::net::Shutdown;
use std::os::unix::net::UnixStream as Handle;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::JoinHandle;

/// What a server calls its socket, by its usual port.
const SOCKET: &str = ".s.PGSQL.5432";

pub struct Relay {
    folder: tempfile::TempDir,
    server: PathBuf,
    /// While it listens.
    accepting: Mutex<Option<JoinHandle<()>>>,
    lines: Arc<Mutex<Vec<Line>>>,
    hushed: Sender<bool>,
    cut: Mutex<Vec<JoinHandle<()>>>,
}

/// One connection: a handle on the client's side of it, and who carries its bytes until the server has ended it.
struct Line {
    client: Handle,
    carrier: JoinHandle<()>,
}

impl Relay {
    /// A relay to the database of this address, and the database's address by way of it.
    pub fn to(url: &str) -> (Self, String) {
        let (database, host) = url.split_once("host=").expect("reached by a socket");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let by_way = format!("{database}host={}", folder.path().display());
        let relay = Self {
            folder,
            server: Path::new(host).join(SOCKET),
            accepting: Mutex::default(),
            lines: Arc::default(),
            hushed: Sender::new(false),
            cut: Mutex::default(),
        };
        relay.join();
        (relay, by_way)
    }

    /// Lets connections come about.
    pub fn join(&self) {
        let mut accepting = self.accepting.lock().expect("no panic");
        if accepting.is_some() {
            return;
        }
        let listener = UnixListener::bind(self.folder.path().join(SOCKET)).expect("a free name");
        let (server, lines) = (self.server.clone(), Arc::clone(&self.lines));
        let hushed = self.hushed.subscribe();
        *accepting = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.expect("the server runs");
                let line = Line::begin(client, server, hushed.clone());
                lines.lock().expect("no panic").push(line);
            }
        }));
    }

    /// Lets nothing through, and nobody know, until [`Relay::speak`].
    pub fn hush(&self) {
        self.hushed.send_replace(true);
    }

    /// Lets through what was held.
    pub fn speak(&self) {
        self.hushed.send_replace(false);
    }

    /// Breaks every connection, and refuses new ones until [`Relay::join`].
    pub fn cut(&self) {
        let Some(accepting) = self.accepting.lock().expect("no panic").take() else {
            return;
        };
        accepting.abort();
        std::fs::remove_file(self.folder.path().join(SOCKET)).expect("it was bound");
        let mut cut = self.cut.lock().expect("no panic");
        for line in self.lines.lock().expect("no panic").drain(..) {
            // One that has ended by itself is not connected any more.
            line.client.shutdown(Shutdown::Both).ok();
            cut.push(line.carrier);
        }
    }

    /// Waits until the server has ended, or undone, what had come to it by lines that are cut.
    pub async fn settled(&self) {
        let cut = std::mem::take(&mut *self.cut.lock().expect("no panic"));
        for carrier in cut {
            carrier.await.expect("no panic");
        }
    }
}

impl Line {
    fn begin(client: UnixStream, server: UnixStream, hushed: Receiver<bool>) -> Self {
        let client = client.into_std().expect("a socket of this runtime");
        let handle = client.try_clone().expect("a second handle");
        let client = UnixStream::from_std(client).expect("still non-blocking");
        Self {
            client: handle,
            carrier: tokio::spawn(carry(client, server, hushed)),
        }
    }
}

/// Carries bytes both ways. The server is heard to its end, also when nobody takes its answers any more.
async fn carry(mut client: UnixStream, mut server: UnixStream, hushed: Receiver<bool>) {
    let (from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let there = async {
        copy(from_client, &mut to_server, hushed.clone()).await.ok();
        to_server.shutdown().await.ok();
    };
    let back = async {
        if copy(&mut from_server, &mut to_client, hushed.clone())
            .await
            .is_err()
        {
            io::copy(&mut from_server, &mut io::sink()).await.ok();
        }
        to_client.shutdown().await.ok();
    };
    tokio::join!(there, back);
}

/// Copies to the end; while hushed it holds what it has.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut hushed: Receiver<bool>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        // The relay is gone: nothing will hush it any more.
        hushed.wait_for(|hushed| !hushed).await.ok();
        to.write_all(&bytes[..read]).await?;
    }
}
