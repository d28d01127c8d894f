//! A leg through Kamailio, which asks for a digest, stays in the route and passes the call on to SIPp.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aftercall_core::phi::Phi;
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::event::{EndCause, LegEnding, LegEvent};

use crate::sipp::{HangUp, Line, ending, free_port, sipp, trunk};

/// Ends Kamailio and its children, even when the test fails.
pub struct Kamailio(Child);

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its main process ends the children on TERM, and cannot on KILL.
        Command::new("kill")
            .arg(self.0.id().to_string())
            .status()
            .ok();
        self.0.wait().ok();
    }
}

pub fn kamailio(folder: &Path, port: u16, next_hop: u16, algorithm: &str) -> Kamailio {
    let text = include_str!("../../fixtures/sip/kamailio.cfg")
        .replace("@PORT@", &port.to_string())
        .replace("@NEXT@", &next_hop.to_string())
        .replace("@ALGORITHM@", algorithm);
    let file = folder.join("kamailio.cfg");
    fs::write(&file, text).expect("the folder can be written");
    let child = Command::new("kamailio")
        .args(["-DD", "-E", "-m", "16", "-M", "4", "-f"])
        .arg(&file)
        .arg("-Y")
        .arg(folder)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Kamailio is installed (apt install kamailio)");
    Kamailio(child)
}

/// One call through Kamailio; how it ended, and whether it was answered.
fn call(algorithm: &str, password: &str) -> (LegEnding, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, next_hop) = (free_port(), free_port());
    let _sipp = sipp(next_hop, folder.path());
    let _kamailio = kamailio(folder.path(), port, next_hop, algorithm);
    let account = Credentials {
        username: "aftercall".into(),
        password: Phi::new(password.to_owned()),
    };
    let mut line = Line::open(trunk(&[port], ""));
    let mut leg = line.leg(Some(account));
    let events = line.drive(&mut leg, HangUp::AtAnswer);
    let answered = events
        .iter()
        .any(|event| matches!(event, LegEvent::Answered(_)));
    (ending(&events).clone(), answered)
}

#[test]
fn kamailio_takes_our_md5_and_sha_256() {
    for algorithm in ["MD5", "SHA-256"] {
        let (ending, answered) = call(algorithm, "right");
        assert!(answered, "{algorithm}: {ending:?}");
        assert_eq!(
            (ending.why, ending.status),
            (EndCause::LocalBye, Some(200)),
            "{algorithm}"
        );
    }
}

#[test]
fn kamailio_refuses_a_wrong_password_once() {
    let (ending, answered) = call("SHA-256", "wrong");
    assert_eq!(
        (ending.why, ending.status, answered),
        (EndCause::AuthFailed, Some(407), false)
    );
}
