//! Signalling over a link that loses 30 % of the datagrams either way: every call comes up and ends.

use std::collections::BTreeMap;
use std::time::Duration;

use aftercall_core::sip::event::{EndCause, LegEnding, LegEvent, LegOutput};
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::message::{Message, Method, Request};
use aftercall_core::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::peer::{ANSWER, config, response, target};
use crate::support::rounds;

/// A phone that rings 2 s, answers, and repeats its 200 until the ACK comes (RFC 3261 §13.3.1.4).
struct Phone {
    invite: Option<Request>,
    rings_since: Instant,
    answered: bool,
    acked: bool,
    next_answer: Instant,
    pause: Duration,
    heard_bye: bool,
}

impl Phone {
    fn receive(&mut self, request: &Request, now: Instant) -> Option<Vec<u8>> {
        match request.method {
            Method::Invite => {
                if self.invite.is_none() {
                    self.invite = Some(request.clone());
                    self.rings_since = now;
                }
                Some(response(
                    request,
                    if self.answered { 200 } else { 180 },
                    "a",
                    if self.answered { ANSWER } else { "" },
                    &[],
                ))
            }
            Method::Ack => {
                self.acked = true;
                None
            }
            Method::Bye => {
                self.heard_bye = true;
                Some(response(request, 200, "a", "", &[]))
            }
            _ => None,
        }
    }

    fn tick(&mut self, now: Instant) -> Option<Vec<u8>> {
        let invite = self.invite.as_ref()?;
        if !self.answered && now.since(self.rings_since) >= Duration::from_secs(2) {
            self.answered = true;
            self.next_answer = now;
        }
        if !self.answered || self.acked || now < self.next_answer {
            return None;
        }
        self.next_answer = now + self.pause;
        self.pause = (self.pause * 2).min(Duration::from_secs(4));
        Some(response(invite, 200, "a", ANSWER, &[]))
    }
}

/// One call of 12 s of talk; whether the phone heard the BYE, and how the leg ended.
fn call(seed: u64) -> (LegEnding, bool, bool) {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let mut now = Instant::from_millis(0);
    let mut settings = config();
    // The link is the matter here, not the change to the next target.
    settings.first_answer_limit = Duration::from_secs(32);
    let mut leg = Leg::new(settings, [9; 32], now);
    let mut phone = Phone {
        invite: None,
        rings_since: now,
        answered: false,
        acked: false,
        next_answer: now,
        pause: Duration::from_millis(500),
        heard_bye: false,
    };
    let (mut to_leg, mut ending, mut answered_at) = (BTreeMap::new(), None, None);
    for tick in 0..12_000_u64 {
        now = now + Duration::from_millis(10);
        leg.handle_timeout(now);
        if let Some(datagram) = to_leg.remove(&tick) {
            let datagram: Vec<u8> = datagram;
            leg.handle_datagram(&datagram, target(20).address, now);
        }
        if answered_at.is_some_and(|at| now.since(at) >= Duration::from_secs(12)) {
            leg.hang_up(now);
            answered_at = None;
        }
        let mut replies: Vec<Vec<u8>> = phone.tick(now).into_iter().collect();
        while let Some(output) = leg.poll_output() {
            match output {
                LegOutput::Send { bytes, .. } if random.next_u32() % 10 >= 3 => {
                    if let Ok(Message::Request(request)) = parse_message(&bytes) {
                        replies.extend(phone.receive(&request, now));
                    }
                }
                LegOutput::Send { .. } | LegOutput::Rest { .. } => {}
                LegOutput::Event(LegEvent::Answered(_)) => answered_at = Some(now),
                LegOutput::Event(LegEvent::Ended(how)) => ending = Some(how),
                LegOutput::Event(_) => {}
            }
        }
        for reply in replies {
            if random.next_u32() % 10 >= 3 {
                let mut at = tick + 4;
                while to_leg.contains_key(&at) {
                    at += 1;
                }
                to_leg.insert(at, reply);
            }
        }
    }
    assert!(leg.is_finished(), "seed {seed}");
    (
        ending.expect("every leg ends"),
        phone.acked,
        phone.heard_bye,
    )
}

#[test]
fn with_30_percent_loss_every_call_comes_up_and_ends() {
    for seed in 0..rounds(200) {
        let (ending, acked, heard_bye) = call(seed);
        assert_eq!(ending.why, EndCause::LocalBye, "seed {seed}");
        assert!(acked && heard_bye, "seed {seed}");
    }
}
