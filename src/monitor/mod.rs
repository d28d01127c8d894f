//! Listening in to calls, and taking patients over, in a browser by WebRTC (RFC 8834): an offer comes in by HTTP and its answer goes back at once.
//!
//! One thread holds every listener's connection, so that handshakes disturb no call. What it gets of a call comes by a
//! bounded channel and is lost rather than late. Who may listen is asked by `web`; the call is the driver's.

mod booth;
mod peer;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use aftercall_core::id::AttemptId;
use mio::Waker;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::booth::Request;
use crate::trunk::driver::{
    Command, Driver, Holders, Listen, ListenerId, Outlet, Refused, Release,
};

/// Where browsers send and get sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Of this machine, as browsers reach it.
    pub address: IpAddr,
    /// A UDP port a listener.
    pub ports: RangeInclusive<u16>,
}

/// Why nobody can listen now.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "nobody talks on this call at this engine: it has ended, still rings, or another engine holds it"
    )]
    NotHere,
    #[error("every UDP port of {}-{} is taken; widen web.listen_in.ports", .0.start(), .0.end())]
    NoPort(RangeInclusive<u16>),
    #[error("the session description cannot be answered: {0}")]
    Offer(String),
    #[error("the thread of those who listen in has ended")]
    Ended,
    #[error("there is no such connection")]
    NoSeat,
    #[error("no sound comes from the microphone yet")]
    NoMicrophone,
    #[error("{by} has the patient")]
    Held { by: String },
    #[error(
        "the patient cannot be taken over: a machine answered, somebody on call has them, or the call is ending"
    )]
    NotNow,
}

/// Handle on the thread.
#[derive(Clone, Debug)]
pub struct Monitor {
    requests: Sender<Request>,
    outlet: Outlet,
    driver: Sender<Command>,
    holders: Arc<Holders>,
}

/// Whose connection it is, and to which call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub listener: ListenerId,
    pub attempt: AttemptId,
    pub who: Who,
}

/// Who listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody who signed in, by the name of the account.
    Account(String),
    /// Who has a token of this name.
    Token(String),
}

impl Who {
    pub fn name(&self) -> &str {
        match self {
            Who::Account(name) | Who::Token(name) => name,
        }
    }
}

/// A connection that was agreed on.
#[derive(Clone, Debug)]
pub struct Listening {
    pub listener: ListenerId,
    /// The answer's session description.
    pub answer: String,
}

impl Monitor {
    /// Starts the thread; it ends with the last handle.
    ///
    /// # Errors
    /// When the system gives no thread or event queue.
    pub fn start(places: Places, driver: &Driver) -> std::io::Result<Monitor> {
        let (driver, holders) = (driver.commands(), driver.pulse().holders());
        let (requests, inbox) = channel();
        let outlet = booth::start(places, inbox, driver.clone())?;
        Ok(Monitor {
            requests,
            outlet,
            driver,
            holders,
        })
    }

    /// Answers a browser's offer, and lets it hear the call.
    ///
    /// # Errors
    /// Every [`ListenError`].
    pub async fn listen(
        &self,
        attempt: AttemptId,
        who: Who,
        offer: String,
    ) -> Result<Listening, ListenError> {
        let listener = ListenerId(Uuid::new_v4());
        let seat = Seat {
            listener,
            attempt: attempt.clone(),
            who,
        };
        let (reply, answered) = oneshot::channel();
        self.ask(Request::Join {
            seat: seat.clone(),
            offer,
            reply,
        })?;
        let answer = answered.await.map_err(|_| ListenError::Ended)??;
        let (found, is_found) = oneshot::channel();
        let listen = Listen {
            attempt,
            listener,
            outlet: self.outlet.clone(),
            found,
        };
        let sent = self.driver.send(Command::Listen(Box::new(listen))).is_ok();
        if sent && is_found.await.unwrap_or(false) {
            return Ok(Listening { listener, answer });
        }
        self.leave(seat)?;
        Err(ListenError::NotHere)
    }

    /// Ends a connection; one that is not there has ended already, and another's is left alone.
    ///
    /// # Errors
    /// [`ListenError::Ended`].
    pub fn leave(&self, seat: Seat) -> Result<(), ListenError> {
        self.ask(Request::Leave(seat))
    }

    /// Every connection there is.
    ///
    /// # Errors
    /// [`ListenError::Ended`].
    pub async fn seats(&self) -> Result<Vec<Seat>, ListenError> {
        let (reply, seats) = oneshot::channel();
        self.ask(Request::Seats { reply })?;
        seats.await.map_err(|_| ListenError::Ended)
    }

    /// Gives the patient to who listens there, whose microphone is on already.
    ///
    /// # Errors
    /// [`ListenError::NoSeat`], [`ListenError::NoMicrophone`], [`ListenError::Held`], [`ListenError::NotNow`].
    pub async fn take_over(&self, seat: Seat) -> Result<(), ListenError> {
        let (reply, taken) = oneshot::channel();
        self.ask(Request::TakeOver { seat, reply })?;
        let taken = taken.await.map_err(|_| ListenError::Ended)??;
        match taken.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Refused::Held { by })) => Err(ListenError::Held { by }),
            Ok(Err(Refused::NotNow)) => Err(ListenError::NotNow),
            Err(_) => Err(ListenError::Ended),
        }
    }

    /// Hands the patient back, or ends the call; who has no patient changes nothing.
    ///
    /// # Errors
    /// [`ListenError::NoSeat`].
    pub async fn release(&self, seat: Seat, how: Release) -> Result<(), ListenError> {
        let (reply, done) = oneshot::channel();
        self.ask(Request::Release { seat, how, reply })?;
        done.await.map_err(|_| ListenError::Ended)?
    }

    /// Who has the patient of a call.
    pub fn holder(&self, attempt: &AttemptId) -> Option<String> {
        self.holders.of(attempt)
    }

    fn ask(&self, request: Request) -> Result<(), ListenError> {
        self.requests
            .send(request)
            .map_err(|_| ListenError::Ended)?;
        wake(&self.outlet.waker);
        Ok(())
    }
}

fn wake(waker: &Arc<Waker>) {
    if let Err(error) = waker.wake() {
        tracing::debug!(%error, "the thread of those who listen in is not woken");
    }
}
