//! How a trunk stands besides its calls: registered or not, and which of its targets are worth trying first.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::endpoint::Endpoint;
use aftercall_core::sip::event::Target;
use aftercall_core::sip::outside::Sent;
use aftercall_core::sip::probe::{Health, Probe};
use aftercall_core::sip::registration::{Registration, RegistrationEvent};
use aftercall_core::time::Instant;
use tracing::{info, warn};

use super::config::Trunk;
use super::pulse::Stand;
use super::socket::{Place, Reach};

/// Registration, probes and resting targets of one trunk.
pub struct Standing {
    /// With which of the targets, too.
    registration: Option<(SocketAddr, Registration)>,
    probes: Vec<(SocketAddr, Probe)>,
    rests: BTreeMap<SocketAddr, Instant>,
    /// The registrar's last word was no.
    unregistered: bool,
    /// After [`Standing::leave`], until the registrar has answered or kept silent.
    leaving: bool,
}

impl Standing {
    /// Begins to register with the first target and to ask all of them, as the trunk file says.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new(
        trunk: &Trunk,
        reach: &Reach,
        credentials: Option<&Credentials>,
        endpoint: &mut Endpoint,
        now: Instant,
    ) -> std::io::Result<Standing> {
        let mut standing = Standing {
            registration: None,
            probes: Vec::new(),
            rests: BTreeMap::new(),
            unregistered: false,
            leaving: false,
        };
        standing.retarget(trunk, reach, credentials, endpoint, now)?;
        Ok(standing)
    }

    /// Goes on with the targets as they are now: what is there already stays as it is.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn retarget(
        &mut self,
        trunk: &Trunk,
        reach: &Reach,
        credentials: Option<&Credentials>,
        endpoint: &mut Endpoint,
        now: Instant,
    ) -> std::io::Result<()> {
        let is_there = |at: &SocketAddr| reach.targets.iter().any(|place| place.address == *at);
        for (_, gone) in self.probes.extract_if(.., |(at, _)| !is_there(at)) {
            endpoint.remove(gone.call_id());
        }
        if let Some((_, gone)) = self.registration.take_if(|(at, _)| !is_there(at)) {
            endpoint.remove(gone.call_id());
        }
        if let (Some(expires), None) = (trunk.register_for, &self.registration) {
            let place = &reach.targets[0];
            let peer = trunk.peer(place, reach, credentials.cloned());
            let registration = Registration::new(peer, expires, seed()?, now);
            endpoint.add(registration.call_id());
            self.registration = Some((place.address, registration));
        }
        let Some(pause) = trunk.options_every else {
            return Ok(());
        };
        for place in &reach.targets {
            if self.probes.iter().any(|(at, _)| *at == place.address) {
                continue;
            }
            let peer = trunk.peer(place, reach, credentials.cloned());
            let probe = Probe::new(peer, pause, trunk.first_answer_limit, seed()?, now);
            endpoint.add(probe.call_id());
            self.probes.push((place.address, probe));
        }
        Ok(())
    }

    /// Takes what the endpoint routed to one of ours.
    pub fn handle(&mut self, call_id: &str, datagram: &[u8], now: Instant) {
        match &mut self.registration {
            Some((_, registration)) if registration.call_id() == call_id => {
                registration.handle_datagram(datagram, now);
            }
            Some(_) | None => {
                let ours = self.probes.iter_mut().map(|(_, probe)| probe);
                if let Some(probe) = ours.into_iter().find(|probe| probe.call_id() == call_id) {
                    probe.handle_datagram(datagram, now);
                }
            }
        }
        self.tell();
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, registration)) = &mut self.registration {
            registration.handle_timeout(now);
        }
        for (_, probe) in &mut self.probes {
            probe.handle_timeout(now);
        }
        self.rests.retain(|_, until| now < *until);
        self.tell();
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let registration = self
            .registration
            .iter()
            .filter_map(|(_, registration)| registration.poll_timeout());
        let probes = self
            .probes
            .iter()
            .filter_map(|(_, probe)| probe.poll_timeout());
        registration.chain(probes).min()
    }

    pub fn poll_sent(&mut self) -> Option<Sent> {
        let registration = self.registration.as_mut();
        let registered = registration.and_then(|(_, registration)| registration.poll_sent());
        registered.or_else(|| {
            self.probes
                .iter_mut()
                .find_map(|(_, probe)| probe.poll_sent())
        })
    }

    /// A call found this target silent or refusing.
    pub fn rest(&mut self, target: SocketAddr, pause: Duration, now: Instant) {
        warn!(%target, ?pause, "a SIP target rests");
        self.rests.insert(target, now + pause);
    }

    /// The targets in the order in which the next call should try them: none is left out, the healthy come first.
    pub fn order(&self, targets: &mut [Target]) {
        targets.sort_by_key(|target| self.is_ill(target.address));
    }

    /// Where the targets see us: the registrar before others.
    pub fn seen_at(&self) -> Option<SocketAddr> {
        let registration = self.registration.as_ref();
        let registrar = registration.and_then(|(_, registration)| registration.seen_at());
        registrar.or_else(|| self.probes.iter().find_map(|(_, probe)| probe.seen_at()))
    }

    /// We are to be reached elsewhere: the registrar is told.
    pub fn moved(&mut self, trunk: &Trunk, reach: &Reach, now: Instant) {
        if let Some((at, registration)) = &mut self.registration
            && let Some(place) = reach.targets.iter().find(|place| place.address == *at)
        {
            registration.move_to(trunk.contact(place, reach), now);
        }
    }

    /// How the trunk stands with these targets.
    pub fn stand(&self, targets: &[Place]) -> Stand {
        let ill = targets.iter().filter(|place| self.is_ill(place.address));
        Stand {
            targets: targets.len(),
            ill: ill.count(),
            unregistered: self.unregistered,
        }
    }

    fn is_ill(&self, target: SocketAddr) -> bool {
        let probe = self.probes.iter().find(|(address, _)| *address == target);
        let is_silent = probe
            .and_then(|(_, probe)| probe.health())
            .is_some_and(|health| !health.is_alive());
        is_silent || self.rests.contains_key(&target)
    }

    /// At shutdown: takes the registration back.
    pub fn leave(&mut self, now: Instant) {
        self.probes.clear();
        if let Some((_, registration)) = &mut self.registration {
            self.leaving = true;
            registration.leave(now);
        }
    }

    /// Nothing more is to be said.
    pub fn has_left(&self) -> bool {
        !self.leaving
    }

    fn tell(&mut self) {
        let registration = self.registration.as_mut();
        if let Some(event) = registration.and_then(|(_, registration)| registration.poll_event()) {
            match event {
                RegistrationEvent::Registered { expires } => {
                    self.unregistered = false;
                    info!(?expires, "registered");
                }
                RegistrationEvent::Failed { status, again_in } => {
                    self.unregistered = true;
                    warn!(?status, ?again_in, "not registered");
                }
                RegistrationEvent::Left => self.leaving = false,
            }
        }
        for (target, probe) in &mut self.probes {
            match probe.poll_event() {
                Some(Health::Alive { status }) => info!(%target, status, "a SIP target lives"),
                Some(health) => warn!(%target, ?health, "a SIP target does not answer"),
                None => {}
            }
        }
    }
}

fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(seed)
}
