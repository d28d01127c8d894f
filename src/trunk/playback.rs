//! Drives one call of a recording, so that a trunk can be tried by itself.

use std::time::{Duration, Instant as StdInstant};

use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::event::LegEvent;
use aftercall_core::time::Instant;
use anyhow::Context;
use mio::{Events, Interest, Poll, Token};

use super::carrier::{Carrier, Received};
use super::config::Trunk;
use super::line::{Line, Playback, Played, open_rtp};
use super::socket::{self, SipSocket};

const RTP: Token = Token(1);
const RTCP: Token = Token(2);
/// The longest sleep.
const NAP: Duration = Duration::from_millis(20);

/// Places the call and stays with it to its end; `told` hears of each event as it happens.
///
/// # Errors
/// When a socket cannot be had or the password is missing.
pub fn play(
    trunk: &Trunk,
    number: &PhoneNumber,
    order: Playback,
    mut told: impl FnMut(&LegEvent),
) -> anyhow::Result<Played> {
    let SipSocket { bound, reach } = SipSocket::open(trunk)?;
    let mut poll = Poll::new()?;
    let tls = socket::tls(trunk, &reach)?;
    let mut carrier = Carrier::new(bound, tls, poll.registry().try_clone()?)?;
    let (rtp, rtcp, port) = open_rtp(trunk, 0).context("no free pair of RTP ports")?;
    let mut lots = [0; 32];
    getrandom::fill(&mut lots).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let config = trunk.leg_config(number, &reach.drawn(lots), port, trunk.credentials()?);
    let began = StdInstant::now();
    let now = || Instant::from_micros(u64::try_from(began.elapsed().as_micros()).unwrap_or(0));
    let mut line = Line::new(config, order, (rtp, rtcp), reach.identity.clone(), now())?;
    let registry = poll.registry();
    registry.register(&mut line.rtp, RTP, Interest::READABLE)?;
    registry.register(&mut line.rtcp, RTCP, Interest::READABLE)?;
    let mut events = Events::with_capacity(64);
    while line.is_open(now()) {
        while let Some((bytes, to)) = line.poll_sip() {
            carrier.send(&bytes, to);
        }
        while let Some(event) = line.poll_event() {
            told(&event);
        }
        let nap = line
            .poll_timeout()
            .map_or(NAP, |at| at.since(now()).min(NAP));
        if let Err(error) = poll.poll(&mut events, Some(nap))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &events {
            match event.token() {
                RTP => line.receive_rtp(now()),
                RTCP => line.receive_rtcp(now()),
                token => {
                    for Received { datagram, from } in carrier.receive(token) {
                        line.handle_sip(&datagram, from, now());
                    }
                }
            }
        }
        while let Some(to) = carrier.poll_refused() {
            line.handle_refused(to, now());
        }
        line.handle_timeout(now());
    }
    while let Some((bytes, to)) = line.poll_sip() {
        carrier.send(&bytes, to);
    }
    while let Some(event) = line.poll_event() {
        told(&event);
    }
    line.finish()
}
