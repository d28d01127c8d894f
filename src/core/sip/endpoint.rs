//! A socket's routing: whose is this datagram, and what is said to strangers (RFC 3261 §8.2, §12.2.2).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::front_door::{parse_message, refuse};
use super::message::{Message, Method, Request};

/// What to do with a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// It belongs to the leg with this Call-ID.
    Leg(String),
    /// Somebody calls, and calls are taken here.
    Invite(Box<Request>),
    /// Send this back.
    Reply {
        bytes: Vec<u8>,
        to: SocketAddr,
    },
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

    /// An answer to a call that is handed to no leg, and where it goes.
    pub fn decline(
        &self,
        request: &Request,
        status: u16,
        from: SocketAddr,
    ) -> (Vec<u8>, SocketAddr) {
        let mut request = request.clone();
        let to = request.came_from(from);
        (request.respond(status, &self.tag).to_bytes(), to)
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

    /// Whose a message is that came `from` there.
    pub fn route(&mut self, datagram: &[u8], from: SocketAddr) -> Route {
        let message = match parse_message(datagram) {
            Ok(message) => message,
            Err(error) => {
                self.malformed += 1;
                let refusal = refuse(datagram, error, &self.tag);
                return refusal.map_or(Route::Drop, |refusal| Route::Reply {
                    bytes: refusal.to_bytes(),
                    to: from,
                });
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
            Message::Request(mut request) => {
                let to = request.came_from(from);
                self.answer_stranger(&request, to)
            }
        }
    }

    fn answer_stranger(&self, request: &Request, to: SocketAddr) -> Route {
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
        let bytes = response.to_bytes();
        Route::Reply { bytes, to }
    }
}
