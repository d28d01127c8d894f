//! Serving: HTTP on loopback or behind a named proxy, HTTPS with a certificate that is read again when it changes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use tokio::sync::watch;
use tracing::{error, info};

use crate::config;

/// How long a client may take for the head of a request (RFC 9110 §15.5.9), and for a handshake.
const HEAD: Duration = Duration::from_secs(10);
/// What is being answered when the engine stops may go on for so long.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How often the certificate's files are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(1);

/// A socket that listens, and the certificate it answers with.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    tls: Option<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    config: RustlsConfig,
    chain: PathBuf,
    key: PathBuf,
    read_at: Option<SystemTime>,
}

impl Listening {
    /// Takes the address and reads the certificate, so that a fault is known before anything else starts.
    ///
    /// # Errors
    /// An address that is taken, a certificate or key that cannot be used.
    pub async fn open(web: &config::Web) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(&web.bind)
            .with_context(|| format!("the API cannot listen on {} (web.bind)", web.bind))?;
        listener.set_nonblocking(true)?;
        let tls = match web.tls() {
            None => None,
            Some((chain, key)) => Some(Certificate::read(chain, key).await?),
        };
        Ok(Self { listener, tls })
    }

    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub fn is_https(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves until `stopping` says so; answers that are under way have ten seconds more.
    pub async fn serve(self, router: Router, mut stopping: watch::Receiver<bool>) {
        let handle = Handle::new();
        let stop = handle.clone();
        let told = async move {
            while !*stopping.borrow() {
                if stopping.changed().await.is_err() {
                    break;
                }
            }
            stop.graceful_shutdown(Some(LAST_ANSWERS));
            std::future::pending::<()>().await;
        };
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = async move {
            match self.tls {
                None => {
                    let mut server = axum_server::from_tcp(self.listener)?
                        .handle(handle)
                        .first_request_timeout(HEAD);
                    server.http_builder().http1().header_read_timeout(HEAD);
                    server.serve(service).await
                }
                Some(mut certificate) => {
                    let config = certificate.config.clone();
                    let mut server = axum_server::from_tcp_rustls(self.listener, config)?
                        .handle(handle)
                        .first_request_timeout(HEAD);
                    server.http_builder().http1().header_read_timeout(HEAD);
                    tokio::select! {
                        served = server.serve(service) => served,
                        never = certificate.keep_fresh() => match never {},
                    }
                }
            }
        };
        tokio::select! {
            served = served => if let Err(error) = served {
                error!(%error, "the API ended");
            },
            () = told => {}
        }
    }
}

impl Certificate {
    async fn read(chain: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let config = RustlsConfig::from_pem_file(&chain, &key)
            .await
            .with_context(|| {
                format!(
                    "HTTPS cannot be served with {} and {} (web.certificate, web.key)",
                    chain.display(),
                    key.display()
                )
            })?;
        let read_at = changed_at(&chain, &key);
        Ok(Self {
            config,
            chain,
            key,
            read_at,
        })
    }

    /// Reads the files again when they have changed; what cannot be used leaves the old ones in force.
    async fn keep_fresh(&mut self) -> std::convert::Infallible {
        let mut ticks = tokio::time::interval(CERTIFICATE_EVERY);
        loop {
            ticks.tick().await;
            let changed = changed_at(&self.chain, &self.key);
            if changed == self.read_at {
                continue;
            }
            self.read_at = changed;
            match self
                .config
                .reload_from_pem_file(&self.chain, &self.key)
                .await
            {
                Ok(()) => info!("the certificate of HTTPS was read again"),
                Err(error) => {
                    error!(%error, "the new certificate cannot be used: the old one stays")
                }
            }
        }
    }
}

fn changed_at(chain: &Path, key: &Path) -> Option<SystemTime> {
    let of = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    of(chain).max(of(key))
}
