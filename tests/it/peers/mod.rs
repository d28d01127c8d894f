//! `aftercall call`, the real program with the real ear, rings SIPp, baresip, Kamailio and our own telephones.
//!
//! Calls in which somebody speaks are made one at a time: the test machine has two cores, and the ear wants one.

mod baresip;
mod robot;

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aftercall::speech::audio::decode_file;
use serde_json::Value;

use self::baresip::Baresip;
use self::robot::{Robot, channels, voiced_ms};
use crate::kamailio::kamailio;
use crate::process::{Process, wait_for_sip};
use crate::sipp::free_port;

/// Held while somebody speaks. (nextest has a group for the same in .config/nextest.toml.)
fn only_one_speaks() -> MutexGuard<'static, ()> {
    static SPEAKING: Mutex<()> = Mutex::new(());
    SPEAKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SIPp as a telephone for one call: its own `uas`, or a scenario of ours.
fn sipp(port: u16, scenario: &str) -> Process {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/sip")
        .join(scenario);
    let mut command = Command::new("sipp");
    match scenario {
        "uas" => command.args(["-sn", "uas"]),
        _ => command.arg("-sf").arg(fixture),
    };
    let (port, media) = (port.to_string(), free_port().to_string());
    command.args([
        "-i",
        "127.0.0.1",
        "-m",
        "1",
        "-nostdin",
        "-p",
        &port,
        "-mp",
        &media,
    ]);
    Process::start(&mut command, "apt-get install sip-tester (make test does)")
}

fn clip(name: &str) -> Vec<i16> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/audio/{name}.flac"));
    decode_file(&file).expect("a clip of ours")
}

/// SIPp exits 0 only when its scenario ran to the end: every request and answer came in its place.
fn ran_to_its_end(mut sipp: Process) {
    let exit = sipp.finish(Duration::from_secs(20));
    assert_eq!(exit, 0, "{}", sipp.said.join("\n"));
}

/// What was said is heard: two thirds of its voice at least, and no more than a third beside it.
fn arrives(said: &[i16], heard: &[i16]) {
    let (said, heard) = (voiced_ms(said), voiced_ms(heard));
    assert!(
        heard.abs_diff(said) < said / 3,
        "{said} ms were said and {heard} ms heard"
    );
}

#[test]
fn sipp_that_says_nothing_is_answered_and_rung_off() {
    let port = free_port();
    let sipp = sipp(port, "uas");
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}")).call();
    assert_eq!(
        outcome.ending(),
        (3, "unidentified", Some(200)),
        "{}",
        outcome.said
    );
    assert_eq!(outcome.texts("ringing"), ["180"]);
    let robot = voiced_ms(&channels(&outcome.wav())[0]);
    assert!(robot > 5_000, "the opening was spoken, {robot} ms of it");
    ran_to_its_end(sipp);
}

#[test]
fn sipp_hangs_up_after_three_seconds() {
    let port = free_port();
    let sipp = sipp(port, "sipp_answers.xml");
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}")).call();
    assert_eq!(
        outcome.ending(),
        (3, "unidentified", Some(200)),
        "{}",
        outcome.said
    );
    let talk_ms = outcome.record["talk_ms"].as_u64().expect("it was answered");
    assert!((2_500..4_500).contains(&talk_ms), "{talk_ms} ms");
    ran_to_its_end(sipp);
}

#[test]
fn sipp_is_busy() {
    let port = free_port();
    let sipp = sipp(port, "sipp_busy.xml");
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}")).call();
    assert_eq!(outcome.ending(), (3, "busy", Some(486)), "{}", outcome.said);
    assert_eq!(
        (outcome.record["talk_ms"].as_u64(), outcome.wav().exists()),
        (Some(0), false)
    );
    ran_to_its_end(sipp);
}

/// A telephone that answers, behind a Kamailio that asks for a digest.
fn through_kamailio(algorithm: &str, password: &str) -> (robot::Outcome, Process) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (port, next_hop) = (free_port(), free_port());
    let sipp = sipp(next_hop, "sipp_answers.xml");
    let _kamailio = kamailio(folder.path(), port, next_hop, algorithm);
    wait_for_sip(port);
    let outcome = Robot::new("1000").through(port, password).call();
    (outcome, sipp)
}

#[test]
fn kamailio_lets_the_right_password_through_with_md5_and_sha_256() {
    for algorithm in ["MD5", "SHA-256"] {
        let (outcome, sipp) = through_kamailio(algorithm, "right");
        assert_eq!(
            outcome.ending(),
            (3, "unidentified", Some(200)),
            "{algorithm}: {}",
            outcome.said
        );
        ran_to_its_end(sipp);
    }
}

#[test]
fn kamailio_refuses_a_wrong_password_and_nobody_is_rung() {
    let (outcome, _sipp) = through_kamailio("SHA-256", "wrong");
    assert_eq!(
        outcome.ending(),
        (3, "trunk_failure", Some(407)),
        "{}",
        outcome.said
    );
    assert!(outcome.texts("ringing").is_empty());
}

#[test]
fn a_password_that_is_not_in_the_environment_is_a_local_error() {
    let outcome = Robot::new("1000").through(free_port(), "").call();
    assert_eq!((outcome.exit, &outcome.record), (1, &Value::Null));
    assert!(
        outcome.said.contains("AFTERCALL_TEST_PASSWORD is not set"),
        "{}",
        outcome.said
    );
}

#[test]
fn a_recording_rings_off_after_its_seconds_while_sipp_picks_up() {
    let port = free_port();
    let sipp = sipp(port, "sipp_crosses.xml");
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}"))
        .args(["--play", "fixtures/audio/mrs_gao_stop.flac"])
        .args(["--hangup-after", "2"])
        .call();
    assert_eq!(
        (outcome.exit, &outcome.record["why"]),
        (3, &"cancelled".into()),
        "{}",
        outcome.said
    );
    ran_to_its_end(sipp);
}

#[test]
fn speaking_recording_and_keys_reach_baresip_over_tcp() {
    let _alone = only_one_speaks();
    let port = free_port();
    let says = [clip("mrs_gao_hello"), vec![0; 240_000]].concat();
    let mut baresip = Baresip::with(port, &says, "rtcp_mux yes\n", "audio_codecs=pcma");
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port};transport=tcp"))
        .args([
            "--play",
            "fixtures/audio/mrs_gao_stop.flac",
            "--send-keys",
            "12#",
        ])
        .args(["--codecs", "pcmu,pcma", "--session-expires", "600"])
        .args(["--hangup-after", "16"])
        .call();
    let record = &outcome.record;
    assert_eq!(
        (outcome.exit, &record["why"]),
        (0, &"local_bye".into()),
        "{}",
        outcome.said
    );
    assert_eq!(record["codec"], "pcma", "baresip takes no other");
    assert_eq!(record["rtcp_mux"], true);
    let packets = |key: &str| record["rtp"][key].as_u64().expect("a count");
    assert!(packets("sent") > 50 && packets("received") > 50, "{record}");
    let far = &record["rtp"]["far"];
    assert!(
        far["reports"].as_u64() > Some(0) && far["lost"] == 0,
        "{far}"
    );
    assert!(far["round_trip_ms"].as_f64().is_some(), "{far}");
    baresip.ended();
    arrives(&clip("mrs_gao_stop"), &baresip.heard());
    let [_, callee] = channels(&outcome.wav());
    assert!(
        voiced_ms(&callee) > 300,
        "what baresip said is in the recording"
    );
}

/// Both sides are heard through SRTP: `how` is our flag, `lines` and `mediaenc` are baresip's.
fn encrypted_both_ways(how: &str, lines: &str, mediaenc: &str) {
    let _alone = only_one_speaks();
    let port = free_port();
    let says = [clip("mrs_gao_hello"), vec![0; 240_000]].concat();
    let parameters = format!("audio_codecs=pcma;mediaenc={mediaenc}");
    let mut baresip = Baresip::with(port, &says, lines, &parameters);
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}"))
        .args(["--play", "fixtures/audio/mrs_gao_stop.flac", "--srtp", how])
        .args(["--hangup-after", "8"])
        .call();
    let record = &outcome.record;
    assert_eq!(
        (outcome.exit, &record["why"], &record["srtp"]),
        (0, &"local_bye".into(), &true.into()),
        "{}",
        outcome.said
    );
    let rtp = &record["rtp"];
    assert!(
        rtp["received"].as_u64() > Some(50) && rtp["lost"] == 0,
        "{rtp}"
    );
    assert!(
        rtp["far"]["reports"].as_u64() > Some(0),
        "their reports are encrypted too: {rtp}"
    );
    baresip.ended();
    arrives(&clip("mrs_gao_stop"), &baresip.heard());
    let [_, callee] = channels(&outcome.wav());
    assert!(
        voiced_ms(&callee) > 300,
        "what baresip said is in the recording"
    );
}

#[test]
fn speaking_encrypted_both_ways_to_baresip() {
    encrypted_both_ways("sdes", "module srtp.so\n", "srtp-mand");
}

#[test]
fn speaking_encrypted_by_a_handshake_both_ways_to_baresip() {
    let lines = "module dtls_srtp.so\nrtcp_mux yes\n";
    encrypted_both_ways("dtls", lines, "dtls_srtp");
}

/// Its reports have a port, a handshake and keys of their own.
#[test]
fn speaking_encrypted_by_two_handshakes_to_baresip_that_reports_on_a_port_apart() {
    let lines = "module dtls_srtp.so\nrtcp_mux no\n";
    encrypted_both_ways("dtls", lines, "dtls_srtp");
}

#[test]
fn speaking_to_baresip_by_g722() {
    let _alone = only_one_speaks();
    let port = free_port();
    let says = [clip("mrs_gao_hello"), vec![0; 240_000]].concat();
    let mut baresip = Baresip::with(
        port,
        &says,
        "module g722.so\nausrc_srate 8000\n",
        "audio_codecs=g722",
    );
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}"))
        .args([
            "--play",
            "fixtures/audio/mrs_gao_stop.flac",
            "--codecs",
            "g722,pcma",
        ])
        .args(["--hangup-after", "8"])
        .call();
    assert_eq!(outcome.record["codec"], "g722", "{}", outcome.said);
    baresip.ended();
    arrives(&clip("mrs_gao_stop"), &baresip.heard());
    let [_, callee] = channels(&outcome.wav());
    arrives(&clip("mrs_gao_hello"), &callee);
}

#[test]
fn sipp_takes_thirty_calls_at_once_and_each_is_counted_and_recorded() {
    let port = free_port();
    let (at, media) = (port.to_string(), free_port().to_string());
    let mut command = Command::new("sipp");
    command.args([
        "-sn",
        "uas",
        "-i",
        "127.0.0.1",
        "-m",
        "30",
        "-nostdin",
        "-rtp_echo",
    ]);
    command.args(["-p", &at, "-mp", &media]);
    let sipp = Process::start(&mut command, "apt-get install sip-tester (make test does)");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recordings = folder.path().join("recordings");
    let mut bench = Process::start(
        Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args([
                "bench",
                "calls",
                "--json",
                "--to",
                &format!("sip:1000@127.0.0.1:{port}"),
            ])
            .args(["--calls", "30", "--rate", "60", "--seconds", "2"])
            .args(["--play", "fixtures/audio/mrs_gao_stop.flac", "--record"])
            .arg(&recordings),
        "cargo build",
    );
    let exit = bench.finish(Duration::from_secs(60));
    let said = bench.said.join("\n");
    assert_eq!(exit, 0, "{said}");
    let last = bench.said.last().expect("a report");
    let report: Value = serde_json::from_str(last).expect("JSON");
    let count = |key: &str| report[key].as_u64();
    assert_eq!(
        (count("placed"), count("answered")),
        (Some(30), Some(30)),
        "{said}"
    );
    assert_eq!(report["ends"], serde_json::json!({ "local_bye": 30 }));
    // Two seconds are a hundred packets a call.
    let sent = report["packets"]["sent"].as_u64().expect("a count");
    assert!((2_900..3_200).contains(&sent), "{said}");
    assert!(report["send_lateness_ms"]["p99"].is_number() && report["cpu_s"].is_number());
    let recorded = std::fs::read_dir(&recordings).expect("a folder").count();
    assert_eq!(recorded, 30);
    ran_to_its_end(sipp);
}

#[test]
fn more_calls_than_files_may_be_open_are_refused_with_the_cure() {
    let program = env!("CARGO_BIN_EXE_aftercall");
    let run = format!(
        "ulimit -n 124 && exec {program} bench calls --to sip:1000@127.0.0.1:9 --calls 21 --rate 60 --seconds 1 --play \
         fixtures/audio/mrs_gao_stop.flac"
    );
    let mut shell = Command::new("sh");
    shell
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-c", &run]);
    let output = shell.output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let permitted = "the limit of open files, 124, permits 20 calls at once, and 21 are asked for";
    assert!(
        said.contains(permitted) && said.contains("`ulimit -n 127`"),
        "{said}"
    );
}

#[test]
fn sipp_is_handed_on_and_rung_off_when_that_has_worked() {
    let port = free_port();
    let sipp = sipp(port, "sipp_refer.xml");
    let outcome = Robot::new(&format!("sip:phone@127.0.0.1:{port}"))
        .args(["--refer-to", "sip:nurse@127.0.0.1:5099"])
        .args(["--refer-after", "0.5"])
        .call();
    assert_eq!(
        (outcome.exit, &outcome.record["why"]),
        (0, &"local_bye".into()),
        "{}",
        outcome.said
    );
    let steps = ["accepted", "trying 180", "succeeded 200"];
    assert_eq!(outcome.texts("transfer"), steps);
    assert_eq!(outcome.record["transfer"], serde_json::json!(steps));
    ran_to_its_end(sipp);
}

#[test]
fn baresip_is_handed_on_to_sipp() {
    let (port, nurse) = (free_port(), free_port());
    let mut baresip = Baresip::start(port, &vec![0; 240_000]);
    let sipp = sipp(nurse, "sipp_answers.xml");
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}"))
        .args(["--refer-to", &format!("sip:200@127.0.0.1:{nurse}")])
        .args(["--refer-after", "1", "--hangup-after", "20"])
        .call();
    assert_eq!(outcome.exit, 0, "{}", outcome.said);
    let steps = outcome.texts("transfer");
    assert_eq!(steps.last(), Some(&"succeeded 200"), "{steps:?}");
    baresip.ended();
    ran_to_its_end(sipp);
}

#[test]
fn speaking_baresip_is_heard_and_hears_us_and_hangs_up() {
    let _alone = only_one_speaks();
    let port = free_port();
    let mut baresip = Baresip::start(port, &[clip("mrs_gao_hello"), vec![0; 16_000]].concat());
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}")).call();
    assert_eq!(
        outcome.ending(),
        (3, "unidentified", Some(200)),
        "{}",
        outcome.said
    );
    let [_, callee] = channels(&outcome.wav());
    let (said, heard) = (voiced_ms(&clip("mrs_gao_hello")), voiced_ms(&callee));
    assert!(
        heard.abs_diff(said) < said / 4,
        "{said} ms were said and {heard} ms heard"
    );
    baresip.ended();
    assert!(baresip.said("Set audio decoder: PCMA") && baresip.said("Call established"));
    let ours = voiced_ms(&baresip.heard());
    assert!(ours > 500, "baresip heard {ours} ms of the opening");
}

#[test]
fn speaking_baresip_opts_out_and_the_robot_hangs_up() {
    let _alone = only_one_speaks();
    let port = free_port();
    // The opening lasts 15 s, and the question waits longer than these 2 s.
    let mut says = clip("mrs_gao_hello");
    says.resize(18 * 8_000, 0);
    says.extend(clip("mrs_gao_stop"));
    says.resize(60 * 8_000, 0);
    let mut baresip = Baresip::start(port, &says);
    let outcome = Robot::new(&format!("sip:1000@127.0.0.1:{port}")).call();
    assert_eq!(
        outcome.ending(),
        (3, "opted_out", Some(200)),
        "{}",
        outcome.said
    );
    assert!(baresip.ended().contains("terminated"));
    assert!(
        !baresip.said("audio error"),
        "the robot hung up, not the end of the clip"
    );
    let ours = voiced_ms(&baresip.heard());
    assert!(ours > 10_000, "baresip heard {ours} ms of the robot");
}

/// Li Xiuying, well three days after a stay for heart failure, answers every question.
#[test]
fn speaking_patient_is_called_to_the_end() {
    let _alone = only_one_speaks();
    let mut phones = Process::start(
        Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["phones", "--listen", "127.0.0.1:0"]),
        "cargo build",
    );
    let listening = phones.wait_for("listening", Duration::from_secs(60));
    let listening: Value = serde_json::from_str(&listening).expect("a JSON line");
    let target = format!(
        "sip:+8613800001001@{}",
        listening["at"].as_str().expect("where it listens")
    );
    let outcome = Robot::new(&target)
        .args([
            "--script",
            "cardiac",
            "--day",
            "3",
            "--name",
            "李秀英",
            "--birth",
            "1954-05-20",
        ])
        .call();
    // The telephones' side of the story, for the message.
    phones.listen_until_silent();
    assert_eq!(
        outcome.ending(),
        (0, "completed", Some(200)),
        "{}\n{}",
        outcome.said,
        phones.said.join("\n")
    );
    let record = &outcome.record;
    assert_eq!(record["answered_by"], "patient");
    let progress = &record["progress"];
    assert!(
        ["identified", "screened", "closing_spoken"]
            .iter()
            .all(|step| progress[step] == true),
        "{progress}"
    );
    let [robot, callee] = channels(&outcome.wav());
    assert!(voiced_ms(&robot) > 40_000 && voiced_ms(&callee) > 10_000);
    found_where_it_was_said(record, &callee);
    latencies_are_taken(record);
    assert!(phones.said.iter().any(|line| line.contains("hung_up")));
}

/// Each finding names an interval, and it is a voice on the callee's channel.
fn found_where_it_was_said(record: &Value, callee: &[i16]) {
    let findings = record["findings"].as_array().expect("a list");
    let chest = findings
        .iter()
        .find(|placed| placed["node"] == "screen_chest");
    let chest = chest.unwrap_or_else(|| panic!("no answer to the chest question: {findings:?}"));
    assert_eq!(chest["finding"]["polarity"], "absent", "{chest}");
    for placed in findings {
        let at = |key: &str| {
            let ms = placed[key].as_u64().expect("milliseconds");
            usize::try_from(ms).expect("a short call") * 8
        };
        let voice = voiced_ms(&callee[at("from_ms")..at("to_ms")]);
        assert!(voice > 300, "{voice} ms of voice in {placed}");
    }
}

/// Latencies are taken down by turn. (What they should be is measured elsewhere: a busy machine asks more often again.)
fn latencies_are_taken(record: &Value) {
    let latencies = record["latency_ms"].as_object().expect("by turn");
    let turns = record["turns"].as_array().expect("a list");
    assert!(latencies.len() >= 5, "{latencies:?}");
    for (turn, ms) in latencies {
        let turn: usize = turn.parse().expect("a turn's index");
        assert!(!turns[turn]["reply"].is_null(), "{turn} has no reply");
        assert!(ms.as_u64().is_some_and(|ms| ms > 0), "{ms}");
    }
}
