//! Signalling over a link that loses 30 % of the datagrams either way: every call comes up and ends.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use aftercall_core::sip::event::{EndCause, LegEnding, LegEvent, LegOutput};
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::message::{Message, Method, Request, Response};
use aftercall_core::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::peer::{ANSWER, config, peer_request, response, target};
use crate::support::rounds;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// We hang up after 12 s.
    Talk,
    /// The same, after reliable ringing (RFC 3262).
    Reliable,
    /// The phone puts us on hold and then hangs up.
    HeldAndLeft,
    /// Busy.
    Busy,
    /// We hang up while it rings.
    Cancelled,
}

/// What the phone says again at doubling pauses until it hears what it waits for (RFC 3261 §13.3.1.4, §17).
struct Repeated {
    bytes: Vec<u8>,
    until: Awaited,
    at: Instant,
    pause: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Ack(u32),
    Prack,
    Answer(u32),
}

/// A phone that rings 2 s.
struct Phone {
    story: Story,
    invite: Option<Request>,
    rang_at: Instant,
    /// The last final answer to the INVITE.
    answered: Option<Vec<u8>>,
    repeated: Vec<Repeated>,
    out: VecDeque<Vec<u8>>,
    heard: Vec<Method>,
}

impl Phone {
    fn receive(&mut self, request: &Request, now: Instant) {
        self.heard.push(request.method.clone());
        match request.method {
            Method::Invite => self.ring(request, now),
            Method::Ack => {
                let cseq = request.headers.cseq().map_or(0, |(number, _)| number);
                self.stop(Awaited::Ack(cseq));
                if self.story == Story::HeldAndLeft && cseq == 1 {
                    self.hold(now);
                }
            }
            Method::Prack => {
                self.stop(Awaited::Prack);
                self.out.push_back(response(request, 200, "a", "", &[]));
            }
            Method::Cancel => {
                self.out.push_back(response(request, 200, "a", "", &[]));
                if self.answered.is_none() {
                    self.finish(487, "", now);
                }
            }
            _ => self.out.push_back(response(request, 200, "a", "", &[])),
        }
    }

    fn ring(&mut self, request: &Request, now: Instant) {
        if let Some(answer) = &self.answered {
            self.out.push_back(answer.clone());
        } else if self.invite.is_some() || self.story != Story::Reliable {
            self.out.push_back(response(request, 180, "a", "", &[]));
        } else {
            let extra = [("Require", "100rel"), ("RSeq", "1")];
            let ringing = response(request, 183, "a", ANSWER, &extra);
            self.say(ringing, Awaited::Prack, now);
        }
        if self.invite.is_none() {
            self.invite = Some(request.clone());
            self.rang_at = now;
        }
    }

    fn finish(&mut self, status: u16, body: &str, now: Instant) {
        let Some(invite) = &self.invite else {
            return;
        };
        let answer = response(invite, status, "a", body, &[]);
        self.answered = Some(answer.clone());
        self.say(answer, Awaited::Ack(1), now);
    }

    /// A re-INVITE; the BYE follows when it is answered.
    fn hold(&mut self, now: Instant) {
        let is_new = !self
            .repeated
            .iter()
            .any(|again| again.until == Awaited::Answer(1));
        if let Some(invite) = self.invite.clone().filter(|_| is_new) {
            let sdp = "Content-Type: application/sdp\r\n";
            let offer = format!("{ANSWER}a=sendonly\r\n");
            let hold = peer_request(&invite, "a", "INVITE", 1, sdp, &offer);
            self.say(hold, Awaited::Answer(1), now);
        }
    }

    fn hear(&mut self, answer: &Response, now: Instant) {
        let Some((cseq, method)) = answer.headers.cseq() else {
            return;
        };
        let was_awaited = self.stop(Awaited::Answer(cseq));
        let Some(invite) = self.invite.clone() else {
            return;
        };
        if method == Method::Invite {
            self.out
                .push_back(peer_request(&invite, "a", "ACK", cseq, "", ""));
            if was_awaited {
                let bye = peer_request(&invite, "a", "BYE", 2, "", "");
                self.say(bye, Awaited::Answer(2), now);
            }
        }
    }

    fn say(&mut self, bytes: Vec<u8>, until: Awaited, now: Instant) {
        self.out.push_back(bytes.clone());
        let pause = Duration::from_millis(500);
        self.repeated.push(Repeated {
            bytes,
            until,
            at: now + pause,
            pause,
        });
    }

    /// Whether it was awaited still.
    fn stop(&mut self, heard: Awaited) -> bool {
        let before = self.repeated.len();
        self.repeated.retain(|again| again.until != heard);
        self.repeated.len() < before
    }

    fn tick(&mut self, now: Instant) {
        let rang = self.invite.is_some() && now.since(self.rang_at) >= Duration::from_secs(2);
        // No 2xx before the PRACK of a description (RFC 3262 §3).
        let waits = self
            .repeated
            .iter()
            .any(|again| again.until == Awaited::Prack);
        if rang && !waits && self.answered.is_none() {
            match self.story {
                Story::Busy => self.finish(486, "", now),
                // It rings on.
                Story::Cancelled => {}
                Story::Talk | Story::Reliable | Story::HeldAndLeft => {
                    self.finish(200, ANSWER, now);
                }
            }
        }
        for again in &mut self.repeated {
            if now >= again.at {
                again.pause = (again.pause * 2).min(Duration::from_secs(4));
                again.at = now + again.pause;
                self.out.push_back(again.bytes.clone());
            }
        }
    }
}

/// One call of two minutes at most: the phone's side and how the leg ended.
fn call(story: Story, seed: u64) -> (LegEnding, Phone) {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let mut now = Instant::from_millis(0);
    let mut settings = config();
    // The link is the matter here, not the change to the next target.
    settings.first_answer_limit = Duration::from_secs(32);
    let mut leg = Leg::new(settings, [9; 32], now);
    let mut phone = Phone {
        story,
        invite: None,
        rang_at: now,
        answered: None,
        repeated: Vec::new(),
        out: VecDeque::new(),
        heard: Vec::new(),
    };
    let mut to_leg: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let (mut ending, mut leave_at) = (None, None);
    for tick in 0..12_000_u64 {
        now = now + Duration::from_millis(10);
        leg.handle_timeout(now);
        if let Some(datagram) = to_leg.remove(&tick) {
            leg.handle_datagram(&datagram, target(20).address, now);
        }
        if leave_at.is_some_and(|at| now >= at) {
            leg.hang_up(now);
            leave_at = None;
        }
        phone.tick(now);
        while let Some(output) = leg.poll_output() {
            match output {
                LegOutput::Send { bytes, .. } if random.next_u32() % 10 >= 3 => {
                    match parse_message(&bytes) {
                        Ok(Message::Request(request)) => phone.receive(&request, now),
                        Ok(Message::Response(answer)) => phone.hear(&answer, now),
                        Err(error) => panic!("{error}"),
                    }
                }
                LegOutput::Send { .. } | LegOutput::Rest { .. } => {}
                LegOutput::Event(LegEvent::Answered(_)) if story != Story::HeldAndLeft => {
                    leave_at = Some(now + Duration::from_secs(12));
                }
                LegOutput::Event(LegEvent::Ringing { .. }) if story == Story::Cancelled => {
                    leave_at = Some(now + Duration::from_secs(1));
                }
                LegOutput::Event(LegEvent::Ended(how)) => ending = Some(how),
                LegOutput::Event(_) => {}
            }
        }
        while let Some(reply) = phone.out.pop_front() {
            if random.next_u32() % 10 >= 3 {
                let mut at = tick + 4;
                while to_leg.contains_key(&at) {
                    at += 1;
                }
                to_leg.insert(at, reply);
            }
        }
    }
    assert!(leg.is_finished(), "{story:?}, seed {seed}");
    assert_eq!(leg.poll_timeout(), None);
    (ending.expect("every leg ends"), phone)
}

#[test]
fn with_30_percent_loss_every_call_comes_up_and_ends() {
    for (story, why, last) in [
        (Story::Talk, EndCause::LocalBye, Method::Bye),
        (Story::Reliable, EndCause::LocalBye, Method::Bye),
        (Story::HeldAndLeft, EndCause::RemoteBye, Method::Ack),
        (Story::Busy, EndCause::Rejected, Method::Ack),
        (Story::Cancelled, EndCause::Cancelled, Method::Ack),
    ] {
        for seed in 0..rounds(100) {
            let (ending, phone) = call(story, seed);
            // Seven INVITEs and their answers may all be lost: nobody knows that it rang.
            let unheard = story == Story::Cancelled && ending.why == EndCause::NoResponse;
            assert!(
                ending.why == why || unheard,
                "{story:?}, seed {seed}: {ending:?}"
            );
            if unheard {
                continue;
            }
            assert!(phone.heard.contains(&last), "{story:?}, seed {seed}");
            assert!(
                phone.repeated.is_empty(),
                "{story:?}, seed {seed}: it waits for more"
            );
        }
    }
}
