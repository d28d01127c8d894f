//! The listener: connections of the hospital's bus, in the clear or by TLS, each with its limits.
//!
//! A peer that says nothing, says too much or never ends is closed; the message that had no answer, it sends again.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::feed::mllp::{Frame, Frames, framed};
use aftercall_core::feed::{Ack, Fault, Head, acknowledge, code};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::Feed;
use crate::config;

/// A message must have ended so long after it began, and its answer must be taken as fast.
const WHOLE: Duration = Duration::from_secs(30);

/// Why the feed cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("the feed cannot listen on {at} (feed.bind)")]
    Bind { at: String, source: std::io::Error },
    #[error("{file}: {why} (feed.{key})")]
    Certificate {
        file: String,
        key: &'static str,
        why: String,
    },
}

/// A port on which messages come.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    peers: Arc<[IpAddr]>,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    message: usize,
    connections: usize,
    idle: Duration,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    ByPeer,
    Silent,
    Unended,
    TooLong,
    NotMllp,
    /// The message could not be put on disk: the sender gets no answer.
    NotKept,
}

impl Listener {
    /// Binds the port of a configuration that has one.
    ///
    /// # Errors
    /// A port that is taken, or certificates that cannot be used.
    pub async fn bind(config: &config::Feed) -> Result<Self, ListenError> {
        let tls = config.is_tls().then(|| acceptor(config)).transpose()?;
        let socket = TcpListener::bind(&config.bind).await;
        let socket = socket.map_err(|source| ListenError::Bind {
            at: config.bind.clone(),
            source,
        })?;
        Ok(Self {
            socket,
            tls,
            peers: config.peers.clone().into(),
            limits: Limits {
                message: config.max_message_kib * 1024,
                connections: config.max_connections,
                idle: Duration::from_secs(config.idle_seconds),
            },
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes messages until shutdown; one that is being applied is answered first.
    pub async fn run(self, feed: Arc<Feed>, mut stopping: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = stopped(&mut stopping) => break,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a connection to the feed was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if !self.peers.is_empty() && !self.peers.contains(&from.ip().to_canonical()) {
                warn!(peer = %from.ip(), "a stranger was turned away from the feed");
                continue;
            }
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                warn!(peer = %from.ip(), "the feed has as many connections as it may have");
                continue;
            };
            let (feed, tls, limits) = (Arc::clone(&feed), self.tls.clone(), self.limits);
            let mut stopping = stopping.clone();
            tokio::spawn(async move {
                let end = serve(stream, tls, &feed, limits, &mut stopping).await;
                info!(peer = %from.ip(), why = ?end, "a connection of the feed ended");
                drop(permit);
            });
        }
        // Every connection gives its place back when it has answered.
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        if timeout(WHOLE, room.acquire_many(all)).await.is_err() {
            warn!("a connection of the feed did not end");
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    while !*stopping.borrow() {
        if stopping.changed().await.is_err() {
            return;
        }
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    feed: &Feed,
    limits: Limits,
    stopping: &mut watch::Receiver<bool>,
) -> Closed {
    match tls {
        None => talk(stream, feed, limits, stopping).await,
        Some(tls) => match timeout(WHOLE, tls.accept(stream)).await {
            Ok(Ok(stream)) => talk(stream, feed, limits, stopping).await,
            Ok(Err(_)) | Err(_) => Closed::ByPeer,
        },
    }
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    feed: &Feed,
    limits: Limits,
    stopping: &mut watch::Receiver<bool>,
) -> Closed {
    let mut frames = Frames::new(limits.message);
    let mut buffer = vec![0; 16 * 1024];
    let mut deadline = Instant::now() + limits.idle;
    loop {
        let was_inside = frames.is_inside();
        let read = tokio::select! {
            read = timeout_at(deadline, stream.read(&mut buffer)) => read,
            () = stopped(stopping) => return Closed::ByPeer,
        };
        let bytes = match read {
            Err(_) if was_inside => return Closed::Unended,
            Err(_) => return Closed::Silent,
            Ok(Ok(0) | Err(_)) => return Closed::ByPeer,
            Ok(Ok(count)) => buffer.get(..count).unwrap_or_default(),
        };
        let found = frames.push(bytes);
        let had_message = !found.is_empty();
        for frame in found {
            if let Some(end) = answer(&mut stream, feed, frame).await {
                return end;
            }
        }
        // The clock of a message starts with it, and one byte now and then does not move it.
        if had_message || !was_inside {
            let patience = if frames.is_inside() {
                WHOLE
            } else {
                limits.idle
            };
            deadline = Instant::now() + patience;
        }
    }
}

/// Answers a frame; `Some` where the connection is over.
async fn answer(
    stream: &mut (impl AsyncWrite + Unpin),
    feed: &Feed,
    frame: Frame,
) -> Option<Closed> {
    let (bytes, end) = match frame {
        Frame::Message(bytes) => match feed.take(&bytes).await {
            Ok(answer) => (answer.bytes, None),
            Err(error) => {
                tracing::error!(%error, "a message was not put on disk; its sender gets no answer");
                return Some(Closed::NotKept);
            }
        },
        Frame::TooLong(start) => {
            let text = String::from_utf8_lossy(&start);
            let fault = Fault::new("MSH", 0, code::INTERNAL, "opens a message that is too long");
            let head = Head::of(&text);
            let now = feed.clock.now().strftime("%Y%m%d%H%M%S+0000").to_string();
            let ours = (feed.hospital.as_str(), "1", now.as_str());
            let text = acknowledge(head.as_ref(), Ack::Reject, Some(&fault), ours);
            warn!("a message was too long for the feed");
            (text.into_bytes(), Some(Closed::TooLong))
        }
        Frame::Broken => {
            warn!("a message of the feed had no end");
            return None;
        }
        Frame::Noise => return Some(Closed::NotMllp),
    };
    match timeout(WHOLE, stream.write_all(&framed(&bytes))).await {
        Ok(Ok(())) => end,
        Ok(Err(_)) | Err(_) => Some(Closed::ByPeer),
    }
}

fn acceptor(config: &config::Feed) -> Result<TlsAcceptor, ListenError> {
    let error = |file: &Path, key, why: String| ListenError::Certificate {
        file: file.display().to_string(),
        key,
        why,
    };
    let chain = certificates(&config.certificate)
        .map_err(|why| error(&config.certificate, "certificate", why))?;
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|why| error(&config.key, "key", why.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|why| error(&config.certificate, "certificate", why.to_string()))?;
    let builder = if config.client_ca.as_os_str().is_empty() {
        builder.with_no_client_auth()
    } else {
        let refused = |why: String| error(&config.client_ca, "client_ca", why);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&config.client_ca).map_err(refused)? {
            roots
                .add(certificate)
                .map_err(|why| refused(why.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|why| refused(why.to_string()))?;
        builder.with_client_cert_verifier(verifier)
    };
    let server = builder
        .with_single_cert(chain, key)
        .map_err(|why| error(&config.key, "key", why.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).map_err(|why| why.to_string())?;
    read.collect::<Result<Vec<_>, _>>()
        .map_err(|why| why.to_string())
}
