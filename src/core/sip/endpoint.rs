//! A socket's routing: whose is this datagram, and what is said to strangers (RFC 3261 §8.2, §12.2.2).

use std::collections::BTreeSet;

use super::front_door::{parse_message, refuse};
use super::message::{Message, Method, Request};

/// What to do with a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// It belongs to the leg with this Call-ID.
    Leg(String),
    /// Somebody calls, and calls are taken here.
    Invite(Box<Request>),
    /// Send this back to where it came from.
    Reply(Vec<u8>),
    Drop,
}

/// The Call-IDs of a socket's legs, and the answers to what belongs to none of them.
pub struct Endpoint {
    user_agent: String,
    /// Our To-tag towards strangers: the same for a repeated request, as a stateless server's must be (§8.2.7).
    tag: String,
    legs: BTreeSet<String>,
    malformed: u64,
    takes_calls: bool,
}

impl Endpoint {
    pub fn new(user_agent: String, tag: String) -> Endpoint {
        Endpoint {
            user_agent,
            tag,
            legs: BTreeSet::new(),
            malformed: 0,
            takes_calls: false,
        }
    }

    /// Calls of others are handed on from now on; before they are declined.
    pub fn take_calls(&mut self) {
        self.takes_calls = true;
    }

    /// An answer to a call that is handed to no leg.
    pub fn decline(&self, request: &Request, status: u16) -> Vec<u8> {
        request.respond(status, &self.tag).to_bytes()
    }

    /// Datagrams with this Call-ID go to its leg from now on.
    pub fn add(&mut self, call_id: &str) {
        self.legs.insert(call_id.to_owned());
    }

    pub fn remove(&mut self, call_id: &str) {
        self.legs.remove(call_id);
    }

    /// Datagrams that were no SIP message.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    pub fn route(&mut self, datagram: &[u8]) -> Route {
        let message = match parse_message(datagram) {
            Ok(message) => message,
            Err(error) => {
                self.malformed += 1;
                return refuse(datagram, error, &self.tag)
                    .map_or(Route::Drop, |refusal| Route::Reply(refusal.to_bytes()));
            }
        };
        let call_id = message.headers().call_id();
        if self.legs.contains(call_id) {
            return Route::Leg(call_id.to_owned());
        }
        match message {
            Message::Response(_) => Route::Drop,
            Message::Request(request)
                if self.takes_calls
                    && request.method == Method::Invite
                    && request.headers.to_tag().is_none() =>
            {
                Route::Invite(Box::new(request))
            }
            Message::Request(request) => self.answer_stranger(&request),
        }
    }

    fn answer_stranger(&self, request: &Request) -> Route {
        let in_dialog = request.headers.to_tag().is_some();
        let status = match &request.method {
            Method::Ack => return Route::Drop,
            Method::Cancel => 481,
            _ if in_dialog => 481,
            Method::Options => 200,
            Method::Invite => 603,
            Method::Other(_) => 501,
            Method::Bye | Method::Update | Method::Prack | Method::Notify => 481,
            Method::Info
            | Method::Refer
            | Method::Register
            | Method::Message
            | Method::Subscribe
            | Method::Publish => 405,
        };
        let mut response = request.respond(status, &self.tag);
        if matches!(status, 200 | 405) {
            response.headers.push("Allow", super::dialog::ALLOW);
        }
        if status == 200 {
            response.headers.push("Accept", "application/sdp");
        }
        response.headers.push("Server", self.user_agent.as_str());
        Route::Reply(response.to_bytes())
    }
}
