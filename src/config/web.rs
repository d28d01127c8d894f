//! `[web]`: where the API and the pages are served, and how.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Oidc;
use crate::monitor::Places;

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
    pub listen_in: ListenIn,
}

/// Where browsers get the sound of calls, by UDP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenIn {
    /// Of this machine, as browsers reach it; `None`: the one that the API is bound to.
    pub address: Option<IpAddr>,
    /// First and last port: one a listener.
    pub ports: [u16; 2],
}

impl Default for ListenIn {
    fn default() -> Self {
        Self {
            address: None,
            ports: [41_000, 41_049],
        }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:8080".to_owned(),
            certificate: None,
            key: None,
            trusted_proxies: Vec::new(),
            oidc: None,
            listen_in: ListenIn::default(),
        }
    }
}

impl Web {
    /// Certificate and key of HTTPS.
    pub fn tls(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.clone().zip(self.key.clone())
    }

    /// Where browsers get the sound of calls; `None`: nobody has said where they reach this machine.
    pub fn listen_in(&self) -> Option<Places> {
        let bound = self.bind.parse::<SocketAddr>().map(|bind| bind.ip());
        let bound = bound.ok().filter(|bound| !bound.is_unspecified());
        let address = self.listen_in.address.or(bound)?;
        let [first, last] = self.listen_in.ports;
        Some(Places {
            address,
            ports: first..=last,
        })
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
        if self.listen_in.ports[0] == 0 || self.listen_in.ports[0] > self.listen_in.ports[1] {
            let fault = "are the first and the last UDP port of listeners, as in [41000, 41049]";
            return Err(("web.listen_in.ports", fault.to_owned()));
        }
        if self
            .listen_in
            .address
            .is_some_and(|address| address.is_unspecified())
        {
            let fault =
                "is no address that a browser can reach; write this machine's, as in \"10.0.0.5\"";
            return Err(("web.listen_in.address", fault.to_owned()));
        }
        self.oidc.as_ref().map_or(Ok(()), Oidc::check)
    }
}
