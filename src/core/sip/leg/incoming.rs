//! The peer's requests within our call: BYE, re-INVITE, UPDATE, INFO, OPTIONS and the rest (RFC 3261 §12.2.2).

use std::net::SocketAddr;

use super::session::LEAST_INTERVAL;
use super::{Leg, State};
use crate::codec::Codec;
use crate::sip::dialog::ALLOW;
use crate::sip::event::{EndCause, LegEvent, LegOutput};
use crate::sip::message::{Method, Request, Response, split_list};
use crate::sip::sdp::{Direction, MediaAnswer, Sdp, SdpError};
use crate::sip::transaction::{Backoff, T2, TIMEOUT};
use crate::time::Instant;

/// How many answered requests are remembered for repetitions; a dialog has few at once.
const MAX_SERVED: usize = 16;

/// A request that was answered; its repetition gets the same bytes (§17.2).
pub struct Served {
    branch: String,
    cseq: u32,
    method: Method,
    response: Vec<u8>,
}

/// Our 2xx to a re-INVITE, repeated until its ACK comes.
pub struct UnackedAnswer {
    pub bytes: Vec<u8>,
    pub backoff: Backoff,
    pub until: Instant,
    pub to: SocketAddr,
    pub cseq: u32,
    /// The 2xx held our offer, so that the ACK holds the peer's answer.
    pub is_offer: bool,
}

/// What the dialog says to a request before its method is looked at.
enum Standing {
    InDialog,
    /// The peer calls us, and was not answered yet.
    Rung,
    /// A provisional answer made this dialog.
    Early,
    /// The call is over, and this peer took part in it.
    Over,
    Stranger,
    /// CSeq went backwards.
    OutOfOrder,
}

impl Leg {
    pub(super) fn handle_request(&mut self, request: &Request, from: SocketAddr, now: Instant) {
        let Some((cseq, _)) = request.headers.cseq() else {
            return;
        };
        if request.method == Method::Ack {
            self.handle_ack(request, cseq, now);
            return;
        }
        let branch = request.headers.branch().unwrap_or_default();
        let is_known = |served: &&Served| {
            served.branch == branch && served.cseq == cseq && served.method == request.method
        };
        if let Some(served) = self.served.iter().find(is_known) {
            self.stats.retransmitted += 1;
            let bytes = served.response.clone();
            self.send(bytes, from);
            return;
        }
        let response = self.answer(request, cseq, &branch, now);
        let bytes = response.to_bytes();
        self.send(bytes.clone(), from);
        if let Some(answer) = &mut self.unacked
            && answer.bytes.is_empty()
        {
            answer.bytes.clone_from(&bytes);
            answer.to = from;
        }
        if self.served.len() == MAX_SERVED {
            self.served.pop_front();
        }
        self.served.push_back(Served {
            branch,
            cseq,
            method: request.method.clone(),
            response: bytes,
        });
        if request.method == Method::Bye && response.status == 200 {
            self.end(
                EndCause::RemoteBye,
                Some(200),
                request.headers.q850_cause(),
                now,
            );
        }
    }

    fn answer(&mut self, request: &Request, cseq: u32, branch: &str, now: Instant) -> Response {
        if request.method == Method::Cancel {
            // A re-INVITE was answered at once: only a call that rings is left to cancel (§9.2).
            let is_ours = self
                .served
                .iter()
                .any(|served| served.branch == branch && served.cseq == cseq);
            if is_ours {
                self.abandon(now);
            }
            return self.reply(request, if is_ours { 200 } else { 481 });
        }
        match self.standing(request, cseq) {
            Standing::InDialog => self.answer_in_dialog(request, cseq, now),
            Standing::Rung => self.answer_rung(request, now),
            Standing::Early => self.answer_early(request),
            Standing::Over if request.method == Method::Bye => self.reply(request, 200),
            // A transfer's notices outlive the call (RFC 5057 §5.2).
            Standing::Over if request.method == Method::Notify && self.is_notice(request, now) => {
                self.reply(request, 200)
            }
            Standing::Over | Standing::Stranger => self.reply(request, 481),
            Standing::OutOfOrder => self.reply(request, 500),
        }
    }

    fn standing(&mut self, request: &Request, cseq: u32) -> Standing {
        let peer = request.headers.from_tag().unwrap_or_default();
        if request.headers.to_tag().as_deref() != Some(&self.local_tag) {
            self.stats.stray += 1;
            return Standing::Stranger;
        }
        match &mut self.state {
            State::Talking(talk) if talk.dialog.remote_tag() == peer => {
                if talk.dialog.accept_cseq(cseq) {
                    Standing::InDialog
                } else {
                    Standing::OutOfOrder
                }
            }
            State::Rung(_) => Standing::Rung,
            State::Inviting(_) => Standing::Early,
            State::Talking(_) | State::Ended { .. } if self.acks.contains_key(&peer) => {
                Standing::Over
            }
            State::Talking(_) | State::Ended { .. } => Standing::Stranger,
        }
    }

    fn answer_in_dialog(&mut self, request: &Request, cseq: u32, now: Instant) -> Response {
        if let Some(response) = self.refuse_extension(request) {
            return response;
        }
        match &request.method {
            Method::Bye => self.reply(request, 200),
            Method::Notify => {
                self.is_notice(request, now);
                self.reply(request, 200)
            }
            Method::Invite | Method::Update if Self::is_too_short(request) => {
                self.too_short(request)
            }
            Method::Invite => self.answer_reinvite(request, cseq, now),
            Method::Update => self.answer_update(request, now),
            Method::Info => self.answer_info(request),
            Method::Options => self.reply_with(request, 200, &[("Accept", "application/sdp")]),
            Method::Prack | Method::Cancel | Method::Ack => self.reply(request, 481),
            Method::Refer
            | Method::Register
            | Method::Message
            | Method::Subscribe
            | Method::Publish => self.reply(request, 405),
            Method::Other(_) => self.reply(request, 501),
        }
    }

    /// 422 with the least interval that we take.
    pub(super) fn too_short(&self, request: &Request) -> Response {
        let least = LEAST_INTERVAL.as_secs().to_string();
        self.reply_with(request, 422, &[("Min-SE", &least)])
    }

    /// Sends an answer to the INVITE of a call to us, and keeps it for that INVITE's repetitions; where it went.
    pub(super) fn respond(&mut self, request: &Request, response: &Response) -> SocketAddr {
        let to = self.here.address;
        let bytes = response.to_bytes();
        self.send(bytes.clone(), to);
        let branch = request.headers.branch().unwrap_or_default();
        let cseq = request.headers.cseq().map_or(0, |(cseq, _)| cseq);
        self.served
            .retain(|served| served.branch != branch || served.cseq != cseq);
        self.served.push_back(Served {
            branch,
            cseq,
            method: request.method.clone(),
            response: bytes,
        });
        to
    }

    /// Before the answer a peer may ask, send keys and move its announcement (RFC 3311), no more.
    fn answer_early(&mut self, request: &Request) -> Response {
        match &request.method {
            Method::Options | Method::Notify => self.reply(request, 200),
            Method::Info => self.answer_info(request),
            Method::Update if request.body.is_empty() => {
                self.reply_with(request, 200, &[("Contact", &self.contact())])
            }
            Method::Update => {
                let Ok((offer, answer)) = self.negotiate(request, None) else {
                    return self.reply(request, 488);
                };
                let tag = request.headers.from_tag().unwrap_or_default();
                if let State::Inviting(setup) = &mut self.state
                    && setup.early.insert(tag, answer.clone()).as_ref() != Some(&answer)
                {
                    self.outputs
                        .push_back(LegOutput::Event(LegEvent::EarlyMedia(answer.clone())));
                }
                let body = self.media.answer(&offer, &answer);
                self.reply_sdp(request, body)
            }
            Method::Bye
            | Method::Invite
            | Method::Prack
            | Method::Cancel
            | Method::Ack
            | Method::Refer
            | Method::Register
            | Method::Message
            | Method::Subscribe
            | Method::Publish
            | Method::Other(_) => self.reply(request, 481),
        }
    }

    /// 420 for an extension we do not have.
    pub(super) fn refuse_extension(&self, request: &Request) -> Option<Response> {
        let unknown: Vec<&str> = request
            .headers
            .all("Require")
            .flat_map(|value| split_list(value, ','))
            .filter(|tag| {
                let known = ["timer", "100rel"];
                !tag.is_empty() && !known.iter().any(|ours| ours.eq_ignore_ascii_case(tag))
            })
            .collect();
        (!unknown.is_empty())
            .then(|| self.reply_with(request, 420, &[("Unsupported", &unknown.join(", "))]))
    }

    fn answer_reinvite(&mut self, request: &Request, cseq: u32, now: Instant) -> Response {
        // A peer that begins anew has our last answer, though its ACK was lost on the way; where that ACK was to bring the
        // description, nothing is agreed on yet (RFC 5407 §3.1.5).
        let is_agreed = self.unacked.as_ref().is_some_and(|answer| !answer.is_offer);
        if is_agreed {
            self.unacked = None;
        }
        if self.unacked.is_some() || self.is_reinviting() {
            return self.reply(request, 491);
        }
        let is_offer = request.body.is_empty();
        let mut response = if is_offer {
            let body = self.media.offer(Direction::SendRecv);
            self.refresh_target(request);
            self.reply_sdp(request, body)
        } else {
            self.answer_offer(request)
        };
        if response.status == 200 {
            self.refreshed_by_peer(request, &mut response, now);
            let backoff = Backoff::new(T2, now);
            self.unacked = Some(UnackedAnswer {
                bytes: Vec::new(),
                backoff,
                until: now + TIMEOUT,
                // Where it is sent is known when it is.
                to: self.here.address,
                cseq,
                is_offer,
            });
        }
        response
    }

    fn answer_update(&mut self, request: &Request, now: Instant) -> Response {
        let mut response = if request.body.is_empty() {
            self.refresh_target(request);
            self.reply_with(request, 200, &[("Contact", &self.contact())])
        } else if self.is_offering() {
            // Our offer has no answer yet (RFC 3311 §5.2).
            self.reply(request, 491)
        } else {
            self.answer_offer(request)
        };
        if response.status == 200 {
            self.refreshed_by_peer(request, &mut response, now);
        }
        response
    }

    fn is_offering(&self) -> bool {
        let in_answer = self.unacked.as_ref().is_some_and(|answer| answer.is_offer);
        in_answer || self.is_reinviting()
    }

    /// A new offer: the codec in use is kept where it can be; an offer we cannot use leaves the call as it was.
    fn answer_offer(&mut self, request: &Request) -> Response {
        let State::Talking(talk) = &self.state else {
            return self.reply(request, 481);
        };
        let content_type = request
            .headers
            .first("Content-Type")
            .unwrap_or("application/sdp")
            .to_ascii_lowercase();
        // Of several parts (ISUP beside the description) the reader finds the one that it knows.
        let is_description = ["application/sdp", "multipart/"]
            .iter()
            .any(|known| content_type.starts_with(known));
        if !is_description {
            return self.reply_with(request, 415, &[("Accept", "application/sdp")]);
        }
        let (offer, answer) = match self.negotiate(request, Some(talk.answer.codec)) {
            Ok(agreed) => agreed,
            Err(SdpError::Refused) => return self.answer_closed(request),
            Err(_) => {
                self.stats.bad_sdp += 1;
                return self.reply(request, 488);
            }
        };
        let body = self.media.answer(&offer, &answer);
        self.refresh_target(request);
        self.change_media(answer);
        self.reply_sdp(request, body)
    }

    /// An offer that closes the audio and opens nothing else is a hold until the next one (RFC 3264 §8.2).
    fn answer_closed(&mut self, request: &Request) -> Response {
        let (State::Talking(talk), Ok(offer)) = (&self.state, Sdp::parse(&request.body)) else {
            return self.reply(request, 488);
        };
        if !offer.is_closed() {
            return self.reply(request, 488);
        }
        let answer = MediaAnswer {
            direction: Direction::Inactive,
            ..talk.answer.clone()
        };
        let body = self.media.answer_closed(&offer);
        self.refresh_target(request);
        self.change_media(answer);
        self.reply_sdp(request, body)
    }

    pub(super) fn negotiate(
        &self,
        request: &Request,
        keep: Option<Codec>,
    ) -> Result<(Sdp, MediaAnswer), SdpError> {
        let offer = Sdp::parse(&request.body)?;
        let answer = self.media.read_offer(&offer, keep)?;
        Ok((offer, answer))
    }

    pub(super) fn change_media(&mut self, answer: MediaAnswer) {
        self.media.settle(&answer);
        if let State::Talking(talk) = &mut self.state
            && talk.answer != answer
        {
            talk.answer = answer.clone();
            self.outputs
                .push_back(LegOutput::Event(LegEvent::MediaChanged(answer)));
        }
    }

    fn refresh_target(&mut self, request: &Request) {
        if let State::Talking(talk) = &mut self.state {
            talk.dialog.refresh_target(&request.headers);
        }
    }

    fn handle_ack(&mut self, request: &Request, cseq: u32, now: Instant) {
        let Some(answer) = self.unacked.take_if(|answer| answer.cseq == cseq) else {
            return;
        };
        if !answer.is_offer {
            return;
        }
        let State::Talking(talk) = &self.state else {
            return self.answered_by_ack(request, now);
        };
        let codec = Some(talk.answer.codec);
        match self.media.read_answer(&request.body, codec) {
            Ok(media) => self.change_media(media),
            Err(_) => self.stats.bad_sdp += 1,
        }
    }

    fn answer_info(&mut self, request: &Request) -> Response {
        let content_type = request
            .headers
            .first("Content-Type")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let body = String::from_utf8_lossy(&request.body);
        let key = match content_type.split(';').next().unwrap_or_default().trim() {
            "application/dtmf-relay" => relayed_key(&body),
            "application/dtmf" => key(body.trim()),
            "" => return self.reply(request, 200),
            _ => {
                return self.reply_with(
                    request,
                    415,
                    &[("Accept", "application/dtmf-relay, application/dtmf")],
                );
            }
        };
        let Some(key) = key else {
            return self.reply(request, 400);
        };
        self.outputs.push_back(LegOutput::Event(LegEvent::Key(key)));
        self.reply(request, 200)
    }

    pub(super) fn reply(&self, request: &Request, status: u16) -> Response {
        self.reply_with(request, status, &[])
    }

    pub(super) fn reply_with(
        &self,
        request: &Request,
        status: u16,
        extra: &[(&str, &str)],
    ) -> Response {
        let mut response = request.respond(status, &self.local_tag);
        if matches!(status, 200 | 405) {
            response.headers.push("Allow", ALLOW);
        }
        if status == 200 {
            response.headers.push("Supported", "100rel, timer");
        }
        extra
            .iter()
            .for_each(|(name, value)| response.headers.push(name, *value));
        response
    }

    pub(super) fn reply_sdp(&self, request: &Request, body: Vec<u8>) -> Response {
        let contact = self.contact();
        let extra = [
            ("Contact", contact.as_str()),
            ("Content-Type", "application/sdp"),
        ];
        Response {
            body,
            ..self.reply_with(request, 200, &extra)
        }
    }
}

/// `Signal=5` of `application/dtmf-relay`, in whatever order and spacing.
fn relayed_key(body: &str) -> Option<char> {
    body.lines()
        .filter_map(|line| line.split_once('='))
        .find_map(|(name, value)| {
            name.trim()
                .eq_ignore_ascii_case("Signal")
                .then(|| key(value.trim()))?
        })
}

/// A key by its sign or its RFC 4733 number.
fn key(text: &str) -> Option<char> {
    match text {
        "10" => Some('*'),
        "11" => Some('#'),
        "12" => Some('A'),
        "13" => Some('B'),
        "14" => Some('C'),
        "15" => Some('D'),
        _ => {
            let mut chars = text.chars();
            let only = chars
                .next()
                .filter(|_| chars.next().is_none())?
                .to_ascii_uppercase();
            matches!(only, '0'..='9' | '*' | '#' | 'A'..='D').then_some(only)
        }
    }
}
