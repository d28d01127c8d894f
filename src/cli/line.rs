//! The line of a call by hand: a trunk file or a URI's host, and what the command line changes of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aftercall_core::codec::Codec;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::event::Transport;
use anyhow::{Context, bail};

use crate::trunk::config::{Srtp, Trunk};

/// How the call is placed. Each flag goes before what the trunk file says.
#[derive(Debug, clap::Args)]
pub struct LineArgs {
    /// Trunk file; without it the URI's host is dialled.
    #[arg(long, value_name = "FILE")]
    trunk: Option<PathBuf>,
    /// udp, tcp or tls; a URI's `;transport=` says the same.
    #[arg(long, value_parser = transport)]
    transport: Option<Transport>,
    /// Our own SIP socket; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT")]
    local: Option<SocketAddr>,
    /// User name for digest and From.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Environment variable with the password.
    #[arg(long, value_name = "VARIABLE")]
    password_env: Option<String>,
    /// Codecs in the order of the offer: pcma,pcmu,g722.
    #[arg(long, value_delimiter = ',', value_parser = codec)]
    codecs: Vec<Codec>,
    /// Offer reliable provisional answers (RFC 3262): on, the default, or off.
    #[arg(long = "100rel", value_name = "ON", value_parser = on, num_args = 0..=1, default_missing_value = "on")]
    reliable: Option<bool>,
    /// Encrypt the audio by SRTP: sdes, with keys in the session description (RFC 4568), dtls, with keys by a handshake
    /// on the media port (RFC 5763), or off.
    #[arg(long, value_name = "HOW", value_parser = srtp, num_args = 0..=1, default_missing_value = "sdes")]
    srtp: Option<Srtp>,
    /// Session interval to ask for, in seconds (RFC 4028): 90 or more.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(90..=86_400))]
    session_expires: Option<u64>,
    /// Follow a 3xx to this host, with or without a port; may be repeated. All others are refused.
    #[arg(long, value_name = "HOST")]
    follow_redirects: Vec<String>,
    /// Certificates of the authorities that a TLS target may have its own from.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl LineArgs {
    /// The trunk of the call and the number on it. `target` is `sip:USER@HOST:PORT` or a telephone number.
    ///
    /// # Errors
    /// A target that cannot be dialled, a broken trunk file, values that do not fit each other.
    pub fn trunk(&self, target: &str) -> anyhow::Result<(Trunk, PhoneNumber)> {
        let secured = target.strip_prefix("sips:");
        let (user, place) = match secured.or(target.strip_prefix("sip:")) {
            Some(rest) => rest
                .split_once('@')
                .with_context(|| format!("`{target}`: write sip:USER@HOST:PORT"))?,
            None => (target, ""),
        };
        let mut parts = place.split([';', '?']);
        let host = parts.next().unwrap_or_default();
        let asked = parts.find_map(|parameter| parameter.strip_prefix("transport="));
        // A test telephone may have a name instead of a number.
        let number = PhoneNumber::parse(user)
            .or_else(|error| match (host.is_empty(), &self.trunk) {
                (false, None) => PhoneNumber::of_user(user),
                (true, _) | (_, Some(_)) => Err(error),
            })
            .with_context(|| format!("`{target}`"))?;
        let asked = asked
            .map(transport)
            .transpose()
            .map_err(anyhow::Error::msg)?;
        let asked = asked.or(secured.and(Some(Transport::Tls)));
        let transport = self.transport.or(asked);
        let mut trunk = match (&self.trunk, host.is_empty()) {
            (Some(file), _) => Trunk::load(file)?,
            (None, false) => Trunk::direct(host, transport)?,
            (None, true) => bail!("a telephone number needs --trunk FILE"),
        };
        trunk.transport = transport.or(trunk.transport);
        self.change(&mut trunk)?;
        Ok((trunk, number))
    }

    fn change(&self, trunk: &mut Trunk) -> anyhow::Result<()> {
        if let Some(local) = self.local {
            trunk.bind = local;
        }
        if self.user.is_some() || self.password_env.is_some() {
            trunk.set_account(self.user.as_deref(), self.password_env.as_deref())?;
        }
        if !self.codecs.is_empty() {
            trunk.codecs.clone_from(&self.codecs);
        }
        if let Some(reliable) = self.reliable {
            trunk.reliable_provisional = reliable;
        }
        if let Some(srtp) = self.srtp {
            trunk.srtp = srtp;
        }
        if let Some(seconds) = self.session_expires {
            trunk.session_expires = Some(Duration::from_secs(seconds));
        }
        for host in &self.follow_redirects {
            let (host, port) = match host.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                    let port = port.parse().with_context(|| format!("`{host}`: no port"))?;
                    (host, Some(port))
                }
                Some(_) | None => (host.as_str(), None),
            };
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            trunk.redirect_hosts.push((bare.to_owned(), port));
        }
        if let Some(file) = &self.tls_ca {
            trunk.tls_ca.clone_from(file);
        }
        Ok(())
    }
}

fn transport(text: &str) -> Result<Transport, String> {
    match text.to_ascii_lowercase().as_str() {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        _ => Err(format!("`{text}` is no transport: write udp, tcp or tls")),
    }
}

fn srtp(text: &str) -> Result<Srtp, String> {
    match text {
        "sdes" | "on" | "true" => Ok(Srtp::Sdes),
        "dtls" => Ok(Srtp::Dtls),
        "off" | "false" => Ok(Srtp::Off),
        _ => Err(format!("`{text}`: write sdes, dtls or off")),
    }
}

fn on(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err(format!("`{text}`: write on or off")),
    }
}

fn codec(text: &str) -> Result<Codec, String> {
    Codec::parse(text)
        .ok_or_else(|| format!("`{text}` is no codec of ours: write pcma, pcmu or g722"))
}
