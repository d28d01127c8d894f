//! `aftercall calls trace`: a real call over UDP, drawn from the database, with nothing personal in it.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules};
use aftercall::store::Store;
use aftercall::store::attempt::{CallerMost, NewAttempt};
use aftercall_core::id::AttemptId;
use aftercall_core::lang::Lang;
use aftercall_core::sip::trace::Kept;
use aftercall_core::time::Timestamp;
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::shutdown::Line;
use crate::sipp::{free_port, ran_to_its_end, scenario, trunk};

const NUMBER: &str = "+8613800009001";
const ID: &str = "0199d2c4-0000-7000-8000-000000000001";
/// What must not be found: the number by its tail, names, credentials, keys.
const SECRETS: [&str; 7] = [
    "0009001",
    "Bei",
    "demo",
    "ward7",
    "8f3a7c1d5e",
    "d0RmdmcmVCsp",
    "inline:d",
];

/// A call to SIPp, which challenges, answers and hangs up; its trace as the driver tells it.
fn call() -> Kept {
    let port = free_port();
    let sipp = scenario(port, "sipp_challenges", &[]);
    let mut loopback = trunk(&[port], "");
    loopback.srtp = aftercall::trunk::config::Srtp::Sdes;
    loopback
        .set_account(Some("ward7"), Some("PATH"))
        .expect("a user name");
    let mut line = Line::open(loopback);
    line.call_to(ID, NUMBER, Lang::Zh, &[]);
    let trace = line.trace();
    ran_to_its_end(sipp);
    trace
}

async fn keep(url: &str, trace: Kept) {
    let store = Store::open(url, &crate::record::master_key())
        .await
        .expect("a new database opens");
    let started_at: Timestamp = "2026-11-23T02:00:00.5Z".parse().expect("an instant");
    let attempt = NewAttempt {
        inbound: false,
        id: AttemptId(ID.to_owned()),
        step: None,
        episode: None,
        patient: None,
        phone: None,
        number: 1,
        engine: "one".to_owned(),
        leased_until: started_at,
        trunk: "loopback".to_owned(),
        caller: "4001".to_owned(),
        caller_most: CallerMost::default(),
        script: "cardiac".to_owned(),
        script_hash: "hash".to_owned(),
        day: 3,
        lang: Lang::Zh,
        started_at,
    };
    store.begin_attempt(&attempt).await.expect("a new row");
    let config = aftercall::config::Config::default();
    let rules = Rules::of(&config, PlanClock::system(), crate::record::clinic());
    let mut recorder = Recorder::new(store.clone(), rules.expect("the defaults are lawful"));
    let report = Report {
        attempt: attempt.id,
        what: Told::Trace(Box::new(trace)),
    };
    assert!(recorder.record(&report).await);
    store.close().await;
}

fn traced(url: &str, more: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args(["calls", "trace", ID, "--database", url])
        .args(more)
        .output()
        .expect("the program is there");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    String::from_utf8(done.stdout).expect("text")
}

/// The messages of a capture, read back by the crate that others read it with.
fn messages(file: &Path) -> Vec<(Duration, String)> {
    let file = File::open(file).expect("it was written");
    let mut reader = PcapNgReader::new(file).expect("a capture");
    let mut found = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.expect("a block") {
            let sliced = etherparse::SlicedPacket::from_ip(&packet.data).expect("an IP packet");
            let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else {
                panic!("a UDP packet");
            };
            let text = String::from_utf8(udp.payload().to_vec()).expect("text");
            found.push((packet.timestamp, text));
        }
    }
    found
}

#[test]
fn a_call_is_drawn_as_a_ladder_without_number_name_or_key() {
    let trace = call();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}/trace.db", folder.path().display());
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(keep(&url, trace));
    let capture = folder.path().join("call.pcapng");
    let ladder = traced(&url, &["--pcapng", &capture.display().to_string()]);
    let order = [
        "-- INVITE 1, sendrecv -",
        "- 401 Unauthorized (INVITE 1) -",
        "-- ACK 1 -",
        "-- INVITE 2, sendrecv -",
        "- 180 Ringing (INVITE 2) -",
        "- 200 OK (INVITE 2), sendrecv -",
        "-- ACK 2 -",
        "== RTP PCMA ",
        "<- BYE 1 -",
        "-- 200 OK (BYE 1) -",
    ];
    let places = order.map(|step| {
        ladder
            .find(step)
            .unwrap_or_else(|| panic!("{step}:\n{ladder}"))
    });
    assert!(places.is_sorted(), "{ladder}");
    let json = traced(&url, &["--json"]);
    let messages = messages(&capture);
    assert_eq!(messages.len(), 9, "{ladder}");
    assert!(
        messages[0].1.starts_with("INVITE sip:x@127.0.0.1:"),
        "{}",
        messages[0].1
    );
    assert!(messages[0].1.contains(
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"
    ));
    let began = Duration::new(1_795_399_200, 500_000_000);
    assert!(messages[0].0 >= began && messages[0].0 < began + Duration::from_secs(1));
    let capture: String = messages.into_iter().map(|(_, text)| text).collect();
    for secret in SECRETS {
        for shown in [&ladder, &json, &capture] {
            assert!(!shown.contains(secret), "{secret}:\n{shown}");
        }
    }
}
