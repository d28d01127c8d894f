//! `[web]`: where the API and the pages are served, and how.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Oidc;

/// Where the API is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Address and port.
    pub bind: String,
    /// PEM chain and key: both for HTTPS, or neither.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Who speaks TLS for us, and whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Single sign-on.
    pub oidc: Option<Oidc>,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:8080".to_owned(),
            certificate: None,
            key: None,
            trusted_proxies: Vec::new(),
            oidc: None,
        }
    }
}

impl Web {
    /// Certificate and key of HTTPS.
    pub fn tls(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.clone().zip(self.key.clone())
    }

    /// What breaks a rule: its key, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let Ok(bind) = self.bind.parse::<SocketAddr>() else {
            let fault = "is not an address and port; write one such as 127.0.0.1:8080";
            return Err(("web.bind", fault.to_owned()));
        };
        if self.certificate.is_some() != self.key.is_some() {
            let fault = "goes with web.certificate: give both or neither";
            return Err(("web.key", fault.to_owned()));
        }
        if !bind.ip().is_loopback() && self.tls().is_none() && self.trusted_proxies.is_empty() {
            let fault = "is not loopback, and records would leave this machine in the clear: give \
                         web.certificate and web.key, or name the TLS proxy in web.trusted_proxies";
            return Err(("web.bind", fault.to_owned()));
        }
        self.oidc.as_ref().map_or(Ok(()), Oidc::check)
    }
}
