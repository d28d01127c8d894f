//! `[feed]`: the listener for the hospital's bus, and what its messages leave out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use aftercall_core::feed::Defaults;
use aftercall_core::lang::Lang;
use aftercall_core::patient::{ConsentBasis, Topic};
use encoding_rs::{Encoding, GB18030, UTF_8};
use serde::{Deserialize, Serialize};

use super::Hospital;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// Address and port; empty: no feed.
    pub bind: String,
    /// Addresses that may connect; empty: any that reaches the port.
    pub peers: Vec<IpAddr>,
    /// PEM files; empty: no TLS, and no certificate asked for.
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub client_ca: PathBuf,
    /// 1 to 16384.
    pub max_message_kib: usize,
    /// 1 to 1024.
    pub max_connections: usize,
    /// 10 to 86400.
    pub idle_seconds: u64,
    /// Of messages whose MSH-18 is empty.
    pub charset: FeedCharset,
    /// MSH-11 of the messages that are meant.
    pub processing: String,
    /// PV1-2 of the visits that are followed up.
    pub classes: Vec<String>,
    pub language: Lang,
    pub consent: ConsentBasis,
    pub contact_topics: Vec<Topic>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeedCharset {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "gb18030")]
    Gb18030,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            bind: String::new(),
            peers: Vec::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_ca: PathBuf::new(),
            max_message_kib: 256,
            max_connections: 16,
            idle_seconds: 900,
            charset: FeedCharset::Utf8,
            processing: "P".to_owned(),
            classes: vec!["I".to_owned()],
            language: Lang::Zh,
            consent: ConsentBasis::None,
            contact_topics: Vec::new(),
        }
    }
}

impl Feed {
    pub fn is_on(&self) -> bool {
        !self.bind.is_empty()
    }

    pub fn is_tls(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    pub fn encoding(&self) -> &'static Encoding {
        match self.charset {
            FeedCharset::Utf8 => UTF_8,
            FeedCharset::Gb18030 => GB18030,
        }
    }

    /// What messages do not say.
    pub fn defaults(&self, hospital: &Hospital) -> Defaults {
        Defaults {
            zone: hospital.zone.clone(),
            country: hospital.country.clone(),
            lang: self.language,
            consent: self.consent,
            topics: self.contact_topics.clone(),
            classes: self.classes.clone(),
            processing: self.processing.clone(),
        }
    }

    /// The values that no type holds to their range: the key at fault, and how.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let must = |holds: bool, key: &'static str, fault: &str| match holds {
            true => Ok(()),
            false => Err((key, fault.to_owned())),
        };
        if self.is_on() {
            let bind = "is not an address and port; write one such as 127.0.0.1:2575";
            let at: Result<SocketAddr, _> = self.bind.parse();
            must(at.is_ok(), "feed.bind", bind)?;
            let beyond = at.is_ok_and(|at| !at.ip().is_loopback());
            must(
                !beyond || !self.peers.is_empty() || self.asks_for_certificate(),
                "feed.bind",
                "reaches beyond this machine: name feed.peers, or a feed.client_ca whose certificates they show",
            )?;
        }
        let named = [&self.certificate, &self.key].map(|path| !path.as_os_str().is_empty());
        must(
            named[0] == named[1] && (named[0] || !self.asks_for_certificate()),
            "feed.certificate",
            "and feed.key belong together, and feed.client_ca needs both",
        )?;
        must(
            (1..=16_384).contains(&self.max_message_kib),
            "feed.max_message_kib",
            "must be 1 to 16384",
        )?;
        must(
            (1..=1024).contains(&self.max_connections),
            "feed.max_connections",
            "must be 1 to 1024",
        )?;
        must(
            (10..=86_400).contains(&self.idle_seconds),
            "feed.idle_seconds",
            "must be 10 to 86400",
        )?;
        must(
            self.consent != ConsentBasis::Withdrawn,
            "feed.consent",
            "must be none, written or verbal",
        )
    }

    fn asks_for_certificate(&self) -> bool {
        !self.client_ca.as_os_str().is_empty()
    }
}
