//! A program beside the test: its output by lines, the way it ended, and nothing left of it when the test fails.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// A running program. It is killed when this is dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    /// What it has said so far, on either stream.
    pub said: Vec<String>,
}

impl Process {
    /// Starts the program; `cure` is the line to run where it is not installed.
    pub fn start(command: &mut Command, cure: &str) -> Process {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child
            .unwrap_or_else(|error| panic!("{:?}: {error}. Cure: {cure}", command.get_program()));
        let (sender, lines) = channel();
        follow(child.stdout.take().expect("it is piped"), sender.clone());
        follow(child.stderr.take().expect("it is piped"), sender);
        Process {
            child,
            lines,
            said: Vec::new(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first line, from here on, with these words in it.
    pub fn wait_for(&mut self, words: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line.clone()),
                Err(error) => panic!("no `{words}` ({error}) in:\n{}", self.said.join("\n")),
            }
            if let Some(line) = self.said.last().filter(|line| line.contains(words)) {
                return line.clone();
            }
        }
    }

    /// Takes what it has said in the meantime, until it is silent for a second.
    pub fn listen_until_silent(&mut self) {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            self.said.push(line);
        }
    }

    /// Waits until it ends by itself: its exit status.
    pub fn finish(&mut self, limit: Duration) -> i32 {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it still runs:\n{}", self.said.join("\n"))
                }
                // Both streams are closed: it ends now.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self
            .child
            .wait()
            .expect("a child of ours can be waited for");
        status
            .code()
            .unwrap_or_else(|| panic!("{status}:\n{}", self.said.join("\n")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn follow(stream: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if lines
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
}

/// Waits until whoever is to listen on this UDP port of the loopback answers a SIP OPTIONS, with whatever status.
pub fn wait_for_sip(port: u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout can be set");
    let local = socket.local_addr().expect("it is bound");
    let started = Instant::now();
    for count in 1.. {
        let options = format!(
            "OPTIONS sip:ping@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKping{count};rport\r\n\
             From: <sip:test@{local}>;tag=ping\r\nTo: <sip:ping@127.0.0.1:{port}>\r\nCall-ID: ping{count}@{local}\r\n\
             CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        socket
            .send_to(options.as_bytes(), ("127.0.0.1", port))
            .expect("the loopback takes datagrams");
        if socket.recv_from(&mut [0; 2_048]).is_ok() {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "nobody answers SIP on port {port}"
        );
    }
}
