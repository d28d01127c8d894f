//! A patient who asks for a person, over real UDP: our telephones on both lines, joined by the driver.

use aftercall::trunk::config::HostPort;
use aftercall_core::attempt::{CallNote, Disposition};
use aftercall_core::codec::G711;
use aftercall_core::lang::Lang;

use crate::phones::Network;
use crate::shutdown::Line;
use crate::sipp::trunk;

const PATIENT: &str = "+8613800009001";
const BUSY: &str = "+8613800009002";
const NURSE: &str = "+8613800009003";

/// The nurse presses the key when she has heard who calls, hears the patient out, answers at length and hangs up.
const PHONES: [(&str, &str, &str); 3] = [
    (
        "patient",
        PATIENT,
        "does = \"answer\"\ngreeting = \"mrs_bei_hello\"\n[[reply]]\nhears = [\"common/zh/identity_tail\"]\n\
         says = \"mrs_bei_person\"\n[otherwise]\nsays = \"voicemail_zh\"\n",
    ),
    ("busy", BUSY, "does = \"busy\"\nstatus = 486\n"),
    (
        "nurse",
        NURSE,
        "does = \"answer\"\n[[reply]]\nhears = [\"common/zh/opening_hello\"]\nkeys = \"1\"\ntimes = 1\n\
         [otherwise]\nsays = \"announce_powered_off\"\nhang_up = true\n",
    ),
];

/// Milliseconds of voice that a telephone heard in the last seconds of its call.
fn heard_ms(network: &Network, phone: &str, last_s: usize) -> usize {
    let tapes = std::fs::read_dir(network.folder.path()).expect("the folder of tapes");
    let mut names = tapes.map(|entry| entry.expect("an entry").path());
    let ending = format!("_{phone}.wav");
    let is_of = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(&ending);
    let bytes = std::fs::read(names.find(is_of).expect("its tape")).expect("a tape");
    let sound = &bytes[46..];
    let last = &sound[sound.len().saturating_sub(last_s * 16_000)..];
    let heard: Vec<i32> = last
        .chunks_exact(2)
        .map(|pair| i32::from(G711::A.decode(pair[0])).abs())
        .collect();
    let loud = |slot: &&[i32]| slot.iter().sum::<i32>() / 160 > 200;
    heard.chunks_exact(160).filter(loud).count() * 20
}

#[test]
fn the_voices_of_patient_and_nurse_pass_both_ways() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, number, does) in PHONES {
        let text =
            format!("number = \"{number}\"\nstory = \"On a ladder.\"\nring_ms = 200\n{does}");
        std::fs::write(folder.path().join(format!("{name}.toml")), text).expect("it is writable");
    }
    let network = Network::of(folder.path());
    let port = network.at.rsplit(':').next();
    let port = port.and_then(|port| port.parse().ok()).expect("a port");
    let mut loopback = trunk(&[port], "");
    // The nurse's telephone is at another host than the trunk's.
    loopback.elsewhere = vec![HostPort {
        host: "localhost".to_owned(),
        port: Some(port),
    }];
    let nurse = format!("sip:{NURSE}@localhost:{port}");
    let mut line = Line::open(loopback);
    line.call_to("asks", PATIENT, Lang::Zh, &[(BUSY, 10), (&nurse, 10)]);
    let record = line.record();
    let story = || {
        (
            network.story("patient"),
            network.story("busy"),
            network.story("nurse"),
        )
    };
    assert_eq!(
        record.ending.disposition,
        Disposition::AskedForPerson,
        "{:?}",
        story()
    );
    let connected = |note: &CallNote| matches!(note, CallNote::Connected { rung: 1, .. });
    assert!(
        record.notes.iter().any(connected),
        "{:?} {:?}",
        record.notes,
        story()
    );
    line.driver.shut_down(std::time::Duration::ZERO);
    // The patient's tape ends with the nurse's voice; the nurse's holds the patient's before her own.
    assert!(heard_ms(&network, "patient", 6) > 2_000, "{:?}", story());
    assert!(heard_ms(&network, "nurse", 12) > 1_000, "{:?}", story());
}
