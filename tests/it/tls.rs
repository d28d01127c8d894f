//! A leg over TLS: the certificate must be for the name in the trunk file, and one connection carries the whole call.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use aftercall_core::sip::event::EndCause;
use aftercall_core::sip::framing::{Framed, Framer};
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::message::{Message, Method, Request};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::sipp::{HangUp, Line, ending, trunk};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

/// A certificate for `name` that vouches for itself.
pub fn certify(folder: &Path, name: &str) {
    let out = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args([
            "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=test",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext"])
        .arg(format!("subjectAltName=DNS:{name}"))
        .current_dir(folder)
        .output()
        .expect("openssl is installed (apt install openssl)");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Answers one connection's requests until it is closed; their methods.
fn telephone(folder: &Path) -> (u16, JoinHandle<Vec<Method>>) {
    let chain = CertificateDer::pem_file_iter(folder.join("cert.pem"))
        .expect("openssl wrote it")
        .collect::<Result<Vec<_>, _>>()
        .expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key fits");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let answering = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let tls = ServerConnection::new(Arc::new(config)).expect("a session");
        let mut stream = StreamOwned::new(tls, stream);
        let (mut framer, mut buffer, mut heard) = (Framer::default(), [0; 4_096], Vec::new());
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            framer.push(&buffer[..length]);
            while let Ok(Some(framed)) = framer.poll() {
                let Framed::Message(bytes) = framed else {
                    continue;
                };
                let Ok(Message::Request(request)) = parse_message(&bytes) else {
                    panic!("not a request")
                };
                heard.push(request.method.clone());
                if stream.write_all(&answer(&request)).is_err() {
                    return heard;
                }
            }
        }
        heard
    });
    (port, answering)
}

fn answer(request: &Request) -> Vec<u8> {
    let mut response = request.respond(200, "phone");
    match request.method {
        Method::Ack => return Vec::new(),
        Method::Invite => {
            response
                .headers
                .push("Contact", "<sip:phone@localhost;transport=tls>");
            response.body = SDP.as_bytes().to_vec();
        }
        _ => {}
    }
    response.to_bytes()
}

#[test]
fn a_call_over_tls_needs_a_certificate_for_the_name_in_the_file() {
    for (certified, fits) in [("localhost", true), ("other.example", false)] {
        let folder = tempfile::tempdir().expect("a folder");
        certify(folder.path(), certified);
        let (port, answering) = telephone(folder.path());
        let lines = "transport = \"tls\"\nfirst_answer_limit_s = 2";
        let mut trunk = trunk(&[port], lines);
        trunk.tls_ca = folder.path().join("cert.pem");
        trunk.targets[0].host = "localhost".to_owned();
        let mut line = Line::open(trunk);
        let mut leg = line.leg(None);
        let events = line.drive(&mut leg, HangUp::AtAnswer);
        let why = ending(&events).why;
        drop(line);
        let heard = answering.join().expect("the telephone does not panic");
        if fits {
            assert_eq!(why, EndCause::LocalBye, "{events:?}");
            assert_eq!(heard, [Method::Invite, Method::Ack, Method::Bye]);
        } else {
            assert_eq!(why, EndCause::NoResponse, "{events:?}");
            assert!(heard.is_empty(), "nothing is said to a stranger");
        }
    }
}
