//! One TCP or TLS connection of a trunk: bytes queued and sent when the socket takes them, messages cut from what comes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use aftercall_core::sip::framing::{Framed, Framer};
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// More unsent bytes than this mean that the peer has stopped reading.
const MAX_UNSENT: usize = 1 << 20;

/// A connection. An error of any of its functions means that it is over.
pub struct Flow {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    framer: Framer,
    unsent: Vec<u8>,
    is_up: bool,
    pub began: Instant,
    /// When it was last written to: a silent flow is kept alive.
    pub wrote_at: Instant,
}

impl Flow {
    /// Begins to connect. With TLS the certificate must be for `tls`'s name, which is the configured one.
    ///
    /// # Errors
    /// What the system says at once; the rest comes with the first event.
    pub fn connect(
        peer: SocketAddr,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    ) -> io::Result<Flow> {
        let tls = tls.map(|(config, name)| ClientConnection::new(config, name));
        let tls = tls.transpose().map_err(io::Error::other)?.map(Box::new);
        Ok(Flow {
            tls,
            is_up: false,
            ..Flow::accepted(TcpStream::connect(peer)?)
        })
    }

    /// A connection that the peer made.
    pub fn accepted(stream: TcpStream) -> Flow {
        Flow {
            stream,
            tls: None,
            framer: Framer::default(),
            unsent: Vec::new(),
            is_up: true,
            began: Instant::now(),
            wrote_at: Instant::now(),
        }
    }

    /// Something of what was to be sent has left us, with TLS after its certificate was proved: it may have been heard.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    pub fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wrote_at = Instant::now();
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None => self.unsent.extend_from_slice(bytes),
        }
        if self.unsent.len() > MAX_UNSENT {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.flush()
    }

    /// Sends what the socket takes now; called again when it can be written to.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Ok(_) => self.is_up |= !tls.is_handshaking(),
                    Err(error) if is_not_yet(&error) => break,
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    self.is_up = true;
                    self.unsent.drain(..sent);
                }
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All whole messages that have come; a ping is answered here.
    pub fn receive(&mut self, messages: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let ended = self.read();
        let mut pinged = false;
        while let Some(framed) = self.framer.poll().map_err(io::Error::other)? {
            match framed {
                Framed::Message(message) => messages.push(message),
                Framed::Ping => pinged = true,
            }
        }
        ended?;
        if pinged {
            self.send(b"\r\n")?;
        }
        self.flush()
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16_384];
        loop {
            let read = match &mut self.tls {
                Some(tls) => read_tls(tls, &mut self.stream, &mut buffer),
                None => self.stream.read(&mut buffer),
            };
            match read {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.framer.push(&buffer[..length]),
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// One reading of decrypted bytes.
fn read_tls(
    tls: &mut ClientConnection,
    stream: &mut TcpStream,
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        if tls.read_tls(stream)? == 0 {
            return Ok(0);
        }
        tls.process_new_packets().map_err(io::Error::other)?;
    }
}

/// Still connecting, full, or nothing there.
fn is_not_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
