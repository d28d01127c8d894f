//! The hospital's bus: HL7 v2 ADT messages over MLLP, each on disk before it is answered.
//!
//! What a message means and what a visit's event does is `core::feed`'s; here bytes become text, what is known is loaded,
//! and the change is saved. `listen` owns the sockets. A message that cannot be applied stays with its reason by segment
//! and field, for `aftercall feed`.

mod decide;
mod listen;

use std::sync::Arc;

use aftercall_core::feed::{
    Ack, Charset, Defaults, Event, Fault, Head, Read, Refusal, acknowledge, charset, code, read,
};
use aftercall_core::plan::Pathways;
use aftercall_core::time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::{Encoding, GB18030, UTF_8, WINDOWS_1252};
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tracing::{error, info, warn};

pub use listen::{ListenError, Listener};

use crate::config::Config;
use crate::jobs::PlanClock;
use crate::metrics::Metrics;
use crate::store::feed::{FeedMessage, Kept, MessageState, Numbers, Settled};
use crate::store::{Store, StoreError, new_id};

/// What messages are applied with.
#[derive(Debug)]
pub struct Feed {
    store: Store,
    pathways: Arc<Pathways>,
    clock: PlanClock,
    metrics: Arc<Metrics>,
    hospital: String,
    defaults: Defaults,
    /// Of a message that names none.
    encoding: &'static Encoding,
    /// One message at a time: two about one patient must not cross.
    turn: Mutex<()>,
}

/// The bytes of an answer, and whether the connection may go on.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub ack: Ack,
    pub bytes: Vec<u8>,
}

/// What a message says, with the encoding that its answer is written in.
struct Decoded {
    text: String,
    encoding: &'static Encoding,
    read: Read,
}

impl Feed {
    pub fn new(
        store: Store,
        pathways: Arc<Pathways>,
        clock: PlanClock,
        metrics: Arc<Metrics>,
        config: &Config,
    ) -> Self {
        Self {
            store,
            pathways,
            clock,
            metrics,
            hospital: config.hospital.id.clone(),
            defaults: config.feed.defaults(&config.hospital),
            encoding: config.feed.encoding(),
            turn: Mutex::new(()),
        }
    }

    /// Takes a message: puts it on disk, applies it, and says what its sender hears.
    ///
    /// # Errors
    /// When the message could not be put on disk: the sender must get no answer, and will send it again.
    pub async fn take(&self, bytes: &[u8]) -> Result<Answer, StoreError> {
        let _turn = self.turn.lock().await;
        let decoded = self.decode(bytes);
        let Some(head) = decoded.read.head.clone() else {
            warn!("a message without a header that could be answered was rejected");
            return Ok(self.answer(&decoded, Ack::Reject, None));
        };
        let now = self.clock.now();
        let message = FeedMessage {
            id: new_id(),
            application: head.application.clone(),
            facility: head.facility.clone(),
            control_id: head.control_id.clone(),
            digest: digest(&decoded.text),
            event: head.trigger.clone(),
            received_at: now,
            content: STANDARD.encode(bytes),
            state: MessageState::Received,
            fault: None,
            ack: None,
        };
        let kept = self.store.keep_message(&message);
        match self.store.answered(kept).await? {
            Kept::Known(known) => {
                let ack = known.ack.unwrap_or(Ack::Error);
                info!(message.id = %known.id, %ack, "a message came again");
                Ok(self.answer(&decoded, ack, known.fault.as_ref()))
            }
            Kept::New(message) => self.settle(&message.id, &decoded, "feed").await,
            Kept::Reused => {
                let fault = Fault::new(
                    "MSH",
                    10,
                    code::DUPLICATE,
                    "is the control id of another message",
                );
                let refused = Decoded {
                    read: Read {
                        head: Some(head),
                        told: Err(Refusal::Failed(fault)),
                    },
                    ..decoded
                };
                self.settle(&message.id, &refused, "feed").await
            }
        }
    }

    /// Applies a message again that is on disk, by a person's word.
    ///
    /// # Errors
    /// When there is none, or the database refuses.
    pub async fn replay(&self, id: &str, by: &str) -> Result<FeedMessage, StoreError> {
        let _turn = self.turn.lock().await;
        let message = self.store.feed_message(id).await?;
        if message.state == MessageState::Dead || message.state == MessageState::Received {
            let decoded = self.decode(&content(&message)?);
            self.settle(id, &decoded, by).await?;
        }
        self.store.feed_message(id).await
    }

    /// The text of a message that is on disk: health data.
    ///
    /// # Errors
    /// When it is not what was put there.
    pub fn text(&self, message: &FeedMessage) -> Result<String, StoreError> {
        Ok(self.decode(&content(message)?).text)
    }

    async fn settle(&self, id: &str, decoded: &Decoded, by: &str) -> Result<Answer, StoreError> {
        let now = self.clock.now();
        let told = decoded.read.told.as_deref();
        let number = told.ok().map(|told| told.person.number.expose().clone());
        let prior = told
            .ok()
            .and_then(|told| told.prior.as_ref())
            .map(|prior| prior.expose().clone());
        let numbers = number.as_deref().map(|number| Numbers {
            hospital: &self.hospital,
            number,
            prior: prior.as_deref(),
        });
        let settled = self
            .store
            .settle_message(id, numbers, by, now, |known| match told {
                Ok(told) => decide::decide(told, &known, self, now),
                Err(refusal) => decide::refused(refusal),
            })
            .await;
        let settled = match settled {
            Ok(settled) => settled,
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => {
                error!(message.id = %id, %error, "a message could not be saved");
                let fault = Fault::new("MSH", 0, code::INTERNAL, "could not be saved");
                let dead = decide::dead(fault);
                self.store
                    .settle_message(id, None, by, now, |_| dead)
                    .await?
            }
        };
        self.note(id, decoded.read.head.as_ref(), &settled);
        Ok(self.answer(decoded, settled.ack, settled.fault.as_ref()))
    }

    /// A line in the log and a count, without a value of the message.
    fn note(&self, id: &str, head: Option<&Head>, settled: &Settled) {
        let known = decoded_event(head);
        self.metrics.feed(known, settled.ack);
        let place = settled.fault.as_ref().map(Fault::place);
        info!(message.id = %id, event = known, state = ?settled.state, place, "message");
    }

    fn decode(&self, bytes: &[u8]) -> Decoded {
        let as_utf8 = charset(&String::from_utf8_lossy(header(bytes)));
        let as_gb = charset(&GB18030.decode_without_bom_handling(header(bytes)).0);
        let encoding = match (as_gb, as_utf8) {
            (Charset::Gb18030, _) => Some(GB18030),
            (_, Charset::Utf8) => Some(UTF_8),
            (_, Charset::Latin1) => Some(WINDOWS_1252),
            (_, Charset::Unsaid) => Some(self.encoding),
            (_, Charset::Gb18030 | Charset::Unknown) => None,
        };
        let used = encoding.unwrap_or(UTF_8);
        let (text, is_broken) = used.decode_without_bom_handling(bytes);
        let text = text.into_owned();
        let mut read = read(&text, &self.defaults);
        if is_broken || encoding.is_none() {
            let fault = match encoding {
                None => "names a character set that is not read here",
                Some(_) => "names a character set in which the message is not written",
            };
            let fault = Fault::new("MSH", 18, code::NOT_IN_TABLE, fault);
            read.told = Err(Refusal::Rejected(fault));
        }
        Decoded {
            text,
            encoding: used,
            read,
        }
    }

    fn answer(&self, decoded: &Decoded, ack: Ack, fault: Option<&Fault>) -> Answer {
        let id = new_id().replace('-', "");
        // The v2 control id has 20 characters at most: the random end of ours.
        let id = id.get(12..).unwrap_or(&id);
        let zone = time::zone(&self.defaults.zone).unwrap_or(TimeZone::UTC);
        let at = self.clock.now().to_zoned(zone);
        let at = at.strftime("%Y%m%d%H%M%S%z").to_string();
        let head = decoded.read.head.as_ref();
        let text = acknowledge(head, ack, fault, (&self.hospital, id, &at));
        let (bytes, _, _) = decoded.encoding.encode(&text);
        Answer {
            ack,
            bytes: bytes.into_owned(),
        }
    }
}

/// The event of a header as a metric names it: none that a sender could make up.
fn decoded_event(head: Option<&Head>) -> &'static str {
    let known = ["A01", "A03", "A08", "A11", "A13", "A31", "A40"];
    let named = head.map_or("", |head| head.trigger.as_str());
    known
        .into_iter()
        .find(|event| *event == named)
        .unwrap_or("other")
}

fn content(message: &FeedMessage) -> Result<Vec<u8>, StoreError> {
    STANDARD
        .decode(&message.content)
        .map_err(|_| StoreError::Corrupt { column: "content" })
}

fn header(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    &bytes[..end.unwrap_or(bytes.len())]
}

/// Of what stands behind the header, in hex.
fn digest(text: &str) -> String {
    let body = text.split_once(['\r', '\n']).map_or("", |(_, body)| body);
    let hash = Sha256::digest(body.trim_end().as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether an event is about a visit.
fn is_of_visit(event: Event) -> bool {
    match event {
        Event::Admitted
        | Event::Discharged
        | Event::Updated
        | Event::AdmissionCancelled
        | Event::DischargeCancelled => true,
        Event::Merged => false,
    }
}
