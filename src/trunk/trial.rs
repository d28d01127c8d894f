//! A trunk tried out without a call: who its targets are, whether they answer, whether they let us register.

use std::time::{Duration, Instant as StdInstant};

use aftercall_core::sip::endpoint::{Endpoint, Route};
use aftercall_core::sip::probe::{Health, Probe};
use aftercall_core::sip::registration::{Registration, RegistrationEvent};
use aftercall_core::time::Instant;
use mio::{Events, Poll};

use super::carrier::{Carrier, Received};
use super::config::Trunk;
use super::socket::{self, Place, Reach, SipSocket};

/// A registrar is waited for no longer.
const LIMIT: Duration = Duration::from_secs(15);
/// OPTIONS is asked once here: the pause to the next never passes.
const ONCE: Duration = Duration::from_secs(86_400);

/// What the far ends said.
pub struct Trial {
    pub reach: Reach,
    /// Health and after how long, by target; `None` where nothing came in time.
    pub targets: Vec<(Place, Option<Health>, Duration)>,
    /// `None`: the trunk file wants no registration, or nobody answered it.
    pub registration: Option<RegistrationEvent>,
}

struct Asked {
    place: Place,
    probe: Probe,
    answered: Option<(Health, Duration)>,
}

/// Asks all targets by OPTIONS, and registers where the trunk file wants it; takes 15 s at most.
///
/// # Errors
/// When a target has no address, a socket cannot be had or the password is missing.
pub fn try_out(trunk: &Trunk) -> anyhow::Result<Trial> {
    let credentials = trunk.credentials()?;
    let SipSocket { bound, reach } = SipSocket::open(trunk)?;
    let mut poll = Poll::new()?;
    let tls = socket::tls(trunk, &reach)?;
    let mut carrier = Carrier::new(bound, tls, poll.registry().try_clone()?)?;
    let mut endpoint = Endpoint::new(String::new(), "trial".to_owned());
    let mut asked = Vec::new();
    for place in &reach.targets {
        let peer = trunk.peer(place, &reach, credentials.clone());
        let limit = trunk.first_answer_limit;
        let probe = Probe::new(peer, ONCE, limit, seed()?, Instant::ZERO);
        endpoint.add(probe.call_id());
        asked.push(Asked {
            place: place.clone(),
            probe,
            answered: None,
        });
    }
    let mut registration = None;
    if let Some(expires) = trunk.register_for {
        let peer = trunk.peer(&reach.targets[0], &reach, credentials);
        registration = Some(Registration::new(peer, expires, seed()?, Instant::ZERO));
    }
    registration
        .iter()
        .for_each(|registration| endpoint.add(registration.call_id()));
    let mut told = None;
    let (began, mut events) = (StdInstant::now(), Events::with_capacity(16));
    let is_open = |asked: &[Asked], told: &Option<RegistrationEvent>| {
        let waits = asked.iter().any(|asked| asked.answered.is_none())
            || (trunk.register_for.is_some() && told.is_none());
        waits && began.elapsed() < LIMIT
    };
    while is_open(&asked, &told) {
        let now = Instant::from_micros(u64::try_from(began.elapsed().as_micros())?);
        for Asked {
            probe, answered, ..
        } in &mut asked
        {
            probe.handle_timeout(now);
            while let Some(sent) = probe.poll_sent() {
                carrier.send(&sent.bytes, sent.to);
            }
            if let Some(health) = probe.poll_event() {
                *answered = Some((health, began.elapsed()));
            }
        }
        if let Some(registration) = &mut registration {
            registration.handle_timeout(now);
            while let Some(sent) = registration.poll_sent() {
                carrier.send(&sent.bytes, sent.to);
            }
            told = told.or(registration.poll_event());
        }
        poll.poll(&mut events, Some(Duration::from_millis(20)))?;
        for event in &events {
            for Received { datagram, from } in carrier.receive(event.token()) {
                match endpoint.route(&datagram, from) {
                    Route::Leg(call_id) => {
                        let ours = asked.iter_mut().map(|asked| &mut asked.probe);
                        if let Some(probe) = ours.into_iter().find(|p| p.call_id() == call_id) {
                            probe.handle_datagram(&datagram, now);
                        } else if let Some(registration) = &mut registration {
                            registration.handle_datagram(&datagram, now);
                        }
                    }
                    Route::Reply { bytes, to } => carrier.send(&bytes, to),
                    Route::Invite(_) | Route::Drop => {}
                }
            }
        }
    }
    if let Some(registration) = &mut registration {
        registration.leave(Instant::from_micros(u64::MAX / 2));
        while let Some(sent) = registration.poll_sent() {
            carrier.send(&sent.bytes, sent.to);
        }
    }
    let targets = asked.into_iter().map(|asked| {
        let (health, after) = asked.answered.unzip();
        (asked.place, health, after.unwrap_or(LIMIT))
    });
    Ok(Trial {
        targets: targets.collect(),
        reach,
        registration: told,
    })
}

fn seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(seed)
}
