//! DTLS-SRTP (RFC 5763, RFC 5764): the keys of an encrypted stream are agreed on within the stream itself, by
//! `rtc-dtls`. Each end knows the other by the fingerprint in its session description, and by nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aftercall_core::media_key::{Fingerprint, KEY_BYTES, MediaKey, MediaKeys};
use aftercall_core::sip::sdp::Dtls;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_srtp::crypto::{RTCCryptoProvider, default_provider};
use sha2::{Digest, Sha256};

/// What keys are exported by (RFC 5764 §4.2).
const LABEL: &str = "EXTRACTOR-dtls_srtp";
/// The master key within a [`MediaKey`]; the salt is the rest.
const MASTER: usize = 16;
/// First pause before a flight is repeated; it doubles (RFC 6347 §4.2.4.1 allows less than 1 s for media).
const FLIGHT: Duration = Duration::from_millis(250);
/// A stream that has no keys after so long never gets them.
const LIMIT: Duration = Duration::from_secs(10);

/// Record types (RFC 5246 §6.2.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
/// Message types (RFC 5246 §7.4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// More packets than any flight has.
const LONGEST_FLIGHT: usize = 16;
/// So many ends may try to be the client, besides the one at the described place.
const STRANGERS: usize = 4;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum DtlsError {
    #[error("the handshake failed: {0}")]
    Handshake(String),
    #[error("the peer's certificate is not the one that its session description names")]
    Fingerprint,
    #[error("the peer does not encrypt as we do (SRTP_AES128_CM_HMAC_SHA1_80)")]
    Profile,
    #[error("the handshake did not end in time")]
    Late,
}

/// Our certificate, made anew at each start: nobody knows us by it but the callee, who is told its fingerprint.
#[derive(Clone)]
pub struct Identity {
    certificate: Certificate,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

impl Identity {
    /// # Errors
    /// When the system gives no randomness.
    pub fn new() -> Result<Identity, DtlsError> {
        let provider = default_provider().map_err(failed)?;
        let names = vec!["aftercall".to_owned()];
        let certificate = Certificate::generate_self_signed(names, provider.crypto());
        Ok(Identity {
            certificate: certificate.map_err(failed)?,
            provider,
        })
    }

    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate.certificate[0])
    }

    fn config(&self, is_client: bool) -> Result<HandshakeConfig, DtlsError> {
        ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&self.provider))
            .with_certificates(vec![self.certificate.clone()])
            .with_srtp_protection_profiles(vec![PROFILE])
            .with_extended_master_secret(ExtendedMasterSecretType::Request)
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // No authority vouches for a telephone: its fingerprint is checked before its keys are used.
            .with_insecure_skip_verify(true)
            .with_flight_interval(FLIGHT)
            .build(is_client, None)
            .map_err(failed)
    }
}

const PROFILE: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;

/// One handshake, and what is answered to its repetitions afterwards.
pub struct Handshake {
    endpoint: Endpoint,
    agreed: Dtls,
    /// Where the peer is, as far as is known: its session description, then its first packet.
    peer: SocketAddr,
    began: Instant,
    outcome: Option<Result<MediaKeys, DtlsError>>,
    is_over: bool,
    /// Clients whose greeting was answered.
    greeted: Vec<SocketAddr>,
    /// As the client we have sent our last flight.
    is_finished: bool,
    /// Parts of the server's last flight.
    held: Vec<Vec<u8>>,
}

/// A port of a line's, which is an association of its own (RFC 5764 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Audio,
    Reports,
}

/// What came of a line's handshakes.
#[derive(Debug)]
pub enum Secured {
    /// The audio's keys; without them there is no call.
    Audio(Result<MediaKeys, DtlsError>),
    /// Without keys for its reports a call goes on.
    Reports(MediaKeys),
}

/// The handshakes of one line: its audio's, and that of its reports where both ends do not send them beside the audio.
pub struct Handshakes {
    audio: Handshake,
    reports: Option<Handshake>,
}

impl Handshakes {
    /// `peer`: where its audio is, and its reports, if they have a port of their own.
    ///
    /// # Errors
    /// [`DtlsError::Handshake`].
    pub fn new(
        identity: &Identity,
        agreed: Dtls,
        local: SocketAddr,
        peer: (SocketAddr, Option<SocketAddr>),
        now: Instant,
    ) -> Result<Handshakes, DtlsError> {
        let begin = |local, peer| Handshake::new(identity, agreed, (local, peer), now);
        let above = SocketAddr::new(local.ip(), local.port().saturating_add(1));
        Ok(Handshakes {
            audio: begin(local, peer.0)?,
            reports: peer.1.map(|peer| begin(above, peer)).transpose()?,
        })
    }

    /// What was agreed on: another answer of the peer's with the same goes on with the same keys.
    pub fn agreed(&self) -> Dtls {
        self.audio.agreed
    }

    /// Takes a packet; false where it is not DTLS.
    pub fn handle(&mut self, port: Port, datagram: &[u8], from: SocketAddr, now: Instant) -> bool {
        let handshake = match port {
            Port::Audio => Some(&mut self.audio),
            Port::Reports => self.reports.as_mut(),
        };
        if let Some(handshake) = handshake
            && is_dtls(datagram)
        {
            handshake.handle(datagram, from, now);
            return true;
        }
        false
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for handshake in std::iter::once(&mut self.audio).chain(&mut self.reports) {
            handshake.handle_timeout(now);
        }
    }

    pub fn poll_send(&mut self) -> Option<(Port, Vec<u8>, SocketAddr)> {
        let of_audio = self.audio.poll_send().map(|sent| (Port::Audio, sent));
        let sent = of_audio.or_else(|| {
            let sent = self.reports.as_mut()?.poll_send()?;
            Some((Port::Reports, sent))
        });
        sent.map(|(port, (packet, to))| (port, packet, to))
    }

    /// Each once.
    pub fn poll_outcome(&mut self) -> Option<Secured> {
        if let Some(outcome) = self.audio.poll_outcome() {
            return Some(Secured::Audio(outcome));
        }
        match self.reports.as_mut()?.poll_outcome()? {
            Ok(keys) => Some(Secured::Reports(keys)),
            Err(error) => {
                tracing::warn!(%error, "no keys for the reports: the call goes on without them");
                None
            }
        }
    }
}

/// Whether a packet on a media port is DTLS (RFC 7983 §7).
pub fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(20..=63))
}

impl Handshake {
    /// Begins, or waits for the peer to begin, as was agreed on.
    ///
    /// # Errors
    /// [`DtlsError::Handshake`].
    pub fn new(
        identity: &Identity,
        agreed: Dtls,
        (local, peer): (SocketAddr, SocketAddr),
        now: Instant,
    ) -> Result<Handshake, DtlsError> {
        let config = Arc::new(identity.config(agreed.we_connect)?);
        let server = (!agreed.we_connect).then(|| Arc::clone(&config));
        let mut endpoint = Endpoint::new(local, Default::default(), server);
        if agreed.we_connect {
            endpoint.connect(now, peer, config, None).map_err(failed)?;
        }
        Ok(Handshake {
            endpoint,
            agreed,
            peer,
            began: now,
            outcome: None,
            is_over: false,
            greeted: Vec::new(),
            is_finished: false,
            held: Vec::new(),
        })
    }

    /// A DTLS packet from the port. A stranger's changes nothing: it has not the key of the fingerprint.
    pub fn handle(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        // A client knows one server; a server takes the first client, wherever a NAT has put it.
        let known = || self.endpoint.get_connections_keys();
        let is_new = from != self.peer && known().all(|at| *at != from);
        if is_new && (self.agreed.we_connect || known().len() >= STRANGERS) {
            return;
        }
        let greets = || records(datagram).any(|record| record.says(CLIENT_HELLO));
        if self.agreed.we_connect && self.is_finished && !self.is_over {
            self.hold(datagram, from, now);
        } else if !(self.greeted.contains(&from) && greets()) {
            self.read(datagram, from, now);
        }
        // Who greets us again has not got our answer: it is repeated in its time, which a second greeting would stop.
    }

    /// The crate stops repeating our last flight at the first part of the server's, and if the other part was lost, nobody would
    /// ever send it again: it gets them together.
    fn hold(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        self.held.push(datagram.to_vec());
        let all = || self.held.iter().flat_map(|held| records(held));
        let is_whole = all().any(|record| record.kind == CHANGE_CIPHER_SPEC)
            && all().any(|record| record.is_encrypted_handshake());
        if is_whole || self.held.len() > LONGEST_FLIGHT {
            for held in std::mem::take(&mut self.held) {
                self.read(&held, from, now);
            }
        }
    }

    fn read(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        let events = match self.endpoint.read(now, from, None, datagram.into()) {
            Ok(events) => events,
            Err(error) => {
                tracing::debug!(%error, "DTLS");
                return;
            }
        };
        let is_complete = |event: &EndpointEvent| matches!(event, EndpointEvent::HandshakeComplete);
        if !self.is_over && events.iter().any(is_complete) {
            self.peer = from;
            let keys = self.keys(from);
            // Another client may still be the one that is meant.
            if keys.is_ok() || self.agreed.we_connect {
                self.end(keys);
            }
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let peers: Vec<SocketAddr> = self.endpoint.get_connections_keys().copied().collect();
        for peer in peers {
            if let Err(error) = self.endpoint.handle_timeout(peer, now) {
                tracing::debug!(%error, "DTLS");
            }
        }
        if !self.is_over && now.duration_since(self.began) > LIMIT {
            self.end(Err(DtlsError::Late));
        }
    }

    pub fn poll_send(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        let sent = self.endpoint.poll_transmit()?;
        let to = sent.transport.peer_addr;
        for record in records(&sent.message) {
            self.is_finished |= record.is_encrypted_handshake();
            if record.says(SERVER_HELLO) && !self.greeted.contains(&to) {
                self.greeted.push(to);
            }
        }
        Some((sent.message.to_vec(), to))
    }

    /// The keys, or why there are none: once.
    pub fn poll_outcome(&mut self) -> Option<Result<MediaKeys, DtlsError>> {
        self.outcome.take()
    }

    fn end(&mut self, outcome: Result<MediaKeys, DtlsError>) {
        self.is_over = true;
        self.outcome = Some(outcome);
    }

    fn keys(&self, peer: SocketAddr) -> Result<MediaKeys, DtlsError> {
        let state = self.endpoint.get_connection_state(peer);
        let state = state.ok_or(DtlsError::Fingerprint)?;
        let theirs = state.peer_certificates.first();
        if theirs.map(|certificate| fingerprint(certificate)) != Some(self.agreed.fingerprint) {
            return Err(DtlsError::Fingerprint);
        }
        if state.srtp_protection_profile() != PROFILE {
            return Err(DtlsError::Profile);
        }
        let exported = state.export_keying_material(LABEL, &[], 2 * KEY_BYTES);
        let exported = exported.map_err(failed)?;
        let (masters, salts) = exported.as_ref().split_at(2 * MASTER);
        let salt = KEY_BYTES - MASTER;
        // The client's comes first in both halves.
        let key = |side: usize| {
            let mut key = [0; KEY_BYTES];
            key[..MASTER].copy_from_slice(&masters[side * MASTER..][..MASTER]);
            key[MASTER..].copy_from_slice(&salts[side * salt..][..salt]);
            MediaKey(key)
        };
        let (client, server) = (key(0), key(1));
        Ok(if self.agreed.we_connect {
            MediaKeys {
                ours: client,
                theirs: server,
            }
        } else {
            MediaKeys {
                ours: server,
                theirs: client,
            }
        })
    }
}

/// What can be read of a record without keys (RFC 6347 §4.1): its type, its epoch, and the type of its message.
#[derive(Clone, Copy)]
struct Record {
    kind: u8,
    epoch: u16,
    message: Option<u8>,
}

impl Record {
    fn says(self, message: u8) -> bool {
        self.kind == HANDSHAKE && self.epoch == 0 && self.message == Some(message)
    }

    fn is_encrypted_handshake(self) -> bool {
        self.kind == HANDSHAKE && self.epoch > 0
    }
}

fn records(datagram: &[u8]) -> impl Iterator<Item = Record> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let &[kind, _, _, e0, e1, _, _, _, _, _, _, l0, l1, ref body @ ..] = rest else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        rest = body.get(length..).unwrap_or_default();
        Some(Record {
            kind,
            epoch: u16::from_be_bytes([e0, e1]),
            message: body.first().copied(),
        })
    })
}

fn fingerprint(certificate: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(certificate).into())
}

fn failed(error: impl std::fmt::Display) -> DtlsError {
    DtlsError::Handshake(error.to_string())
}
