//! Mail by SMTP (RFC 5321), over TLS; plain only to this machine.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SmtpTransport, Transport as _};

use super::{Channel, Message, SendError};

/// A server's address: `smtps://USER@HOST[:465]`, or `smtp://USER@HOST[:587]` with STARTTLS.
#[derive(Debug, PartialEq, Eq)]
struct Server<'a> {
    from_start: bool,
    user: Option<&'a str>,
    host: &'a str,
    port: u16,
}

impl<'a> Server<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (from_start, rest) = match url.split_once("://")? {
            ("smtps", rest) => (true, rest),
            ("smtp", rest) => (false, rest),
            _ => return None,
        };
        // A user may be a mailbox.
        let (user, at) = match rest.rsplit_once('@') {
            Some((user, at)) => (Some(user), at),
            None => (None, rest),
        };
        let (host, port) = match at.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (at, if from_start { 465 } else { 587 }),
        };
        (!host.is_empty()).then_some(Self {
            from_start,
            user,
            host,
            port,
        })
    }

    fn is_here(&self) -> bool {
        matches!(self.host, "localhost" | "127.0.0.1")
    }
}

pub(super) fn send(channel: &Channel, message: &Message) -> Result<(), SendError> {
    let config = &channel.config;
    let server = Server::parse(&channel.url.0).ok_or(SendError::Address("no smtp URL"))?;
    let mailbox = |text: &str| text.parse::<Mailbox>();
    let from = mailbox(&config.from).map_err(|_| SendError::Address("no mailbox in from"))?;
    let to = mailbox(message.to.expose()).map_err(|_| SendError::Address("no mailbox"))?;
    let domain = from.email.domain().to_owned();
    let mail = lettre::Message::builder()
        .from(from)
        .to(to)
        .subject(&message.subject)
        .message_id(Some(format!("<{}@{domain}>", message.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(message.text.clone())
        .map_err(|_| SendError::Address("no mail"))?;
    let mut transport = SmtpTransport::builder_dangerous(server.host)
        .port(server.port)
        .timeout(Some(Duration::from_secs(config.timeout_s)))
        .tls(tls(&server)?);
    if let Some(user) = server.user {
        let (user, password) = (user.to_owned(), channel.secret.0.clone());
        transport = transport.credentials(Credentials::new(user, password));
    }
    let sent = transport.build().send(&mail);
    sent.map(drop).map_err(|error| match error.status() {
        Some(code) => SendError::Status(code.into()),
        None if error.is_timeout() => SendError::TimedOut,
        None => SendError::Unreachable,
    })
}

fn tls(server: &Server<'_>) -> Result<Tls, SendError> {
    let parameters = || TlsParameters::new(server.host.to_owned());
    let parameters = || parameters().map_err(|_| SendError::Address("no host for TLS"));
    Ok(if server.from_start {
        Tls::Wrapper(parameters()?)
    } else if server.is_here() {
        Tls::Opportunistic(parameters()?)
    } else {
        Tls::Required(parameters()?)
    })
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn a_servers_address_says_how_it_is_asked() {
        for (url, expected) in [
            (
                "smtps://mail.hospital.example",
                Some((true, None, "mail.hospital.example", 465)),
            ),
            (
                "smtp://a@b.example@mail:2525",
                Some((false, Some("a@b.example"), "mail", 2525)),
            ),
            (
                "smtp://robot@mail",
                Some((false, Some("robot"), "mail", 587)),
            ),
            ("https://mail", None),
            ("smtp://", None),
            ("smtp://mail:x", None),
        ] {
            let expected = expected.map(|(from_start, user, host, port)| Server {
                from_start,
                user,
                host,
                port,
            });
            assert_eq!(Server::parse(url), expected, "{url}");
        }
    }
}
