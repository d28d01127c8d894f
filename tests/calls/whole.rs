//! Whole calls in virtual time: SIP, RTP, ear, script, red flags and work order, a fixture each.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aftercall_core::attempt::{CallNote, Disposition};
use aftercall_core::call::{CallEvent, CallKit, CallOrder, Limits};
use aftercall_core::codec::Codec;
use aftercall_core::finding::Polarity;
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Contact, Relation, Topic};
use aftercall_core::phi::Phi;
use aftercall_core::redflag::Lexicon;
use aftercall_core::script::{Earlier, EarlierCall, Facts, Note, Script};
use aftercall_core::sim::{Fixture, Outcome, World, spoken};
use aftercall_core::sip::event::{FIRST_ANSWER_LIMIT, LegConfig, Protection, Target, Transport};
use aftercall_core::work_order::{Cause, Subject, causes_of, urgency_of};
use jiff::civil::date;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn scripts() -> &'static [Arc<Script>] {
    static SCRIPTS: OnceLock<Vec<Arc<Script>>> = OnceLock::new();
    SCRIPTS.get_or_init(|| {
        let files = crate::support::dialog_files(&root().join("dialogs"));
        let scripts = aftercall_core::script::load(&files).expect("the shipped scripts load");
        scripts.into_iter().map(Arc::new).collect()
    })
}

/// Every prompt is voice of so many milliseconds: virtual time needs no words, only sound.
pub fn kit(prompt_ms: u64) -> Arc<CallKit> {
    static KITS: Mutex<BTreeMap<u64, Arc<CallKit>>> = Mutex::new(BTreeMap::new());
    static LEXICON: OnceLock<Arc<Lexicon>> = OnceLock::new();
    let lexicon = Arc::clone(LEXICON.get_or_init(|| {
        let files = crate::support::lexicon_files(&root().join("dialogs/redflags"));
        Arc::new(Lexicon::compile(&files).expect("the shipped lexicon compiles"))
    }));
    let mut kits = KITS.lock().expect("no test panics while it makes a kit");
    let made = kits.entry(prompt_ms).or_insert_with(|| {
        let voice: Arc<[i16]> = spoken(prompt_ms).into();
        let ids = scripts().iter().flat_map(|script| {
            script
                .prompts
                .values()
                .map(|prompt| prompt.id.recording(script.lang))
        });
        let prompts: BTreeMap<String, Arc<[i16]>> =
            ids.map(|id| (id, Arc::clone(&voice))).collect();
        Arc::new(CallKit {
            lexicon,
            prompts,
            limits: Limits::default(),
        })
    });
    Arc::clone(made)
}

fn script(id: &str, lang: Lang) -> Arc<Script> {
    let found = scripts()
        .iter()
        .find(|script| script.id == id && script.lang == lang);
    Arc::clone(found.unwrap_or_else(|| panic!("no script {id} in {lang}")))
}

fn facts(fixture: &Fixture) -> Facts {
    let (hospital, patient) = match fixture.lang {
        Lang::Zh => ("仁和医院", "王建国"),
        Lang::En => ("Renhe Hospital", "John Smith"),
    };
    Facts {
        lang: fixture.lang,
        day: fixture.day,
        hospital: hospital.to_owned(),
        patient: Phi::new(patient.to_owned()),
        birth: Some(Phi::new(date(1950, 4, 12))),
        contacts: vec![Contact {
            name: Phi::new("李梅".to_owned()),
            relation: Relation::Spouse,
            phone: None,
            topics: vec![Topic::Health, Topic::Medicines],
        }],
        knows_diagnosis: fixture.knows_diagnosis,
        hearing: fixture.hearing,
        dialect: fixture.dialect.clone(),
        emergency_number: None,
        crisis_line: None,
        callback_number: "010-12345678".to_owned(),
        next_call: Some(date(2026, 12, 1)),
        today: date(2026, 11, 23),
        earlier: earlier(fixture),
    }
}

/// What the call before leaves, two hours before this one.
fn earlier(now: &Fixture) -> Option<Earlier> {
    let before = fixture(now.after.as_ref()?);
    let record = run(&before).record;
    let script_hash = script(&before.script, before.lang).hash.clone();
    let call = EarlierCall {
        started_at: "2026-11-23T02:00:00Z".parse().expect("an instant"),
        script_hash,
        ended: record.ending.disposition,
        progress: record.progress,
        notes: record.notes,
        turns: record.turns,
        findings: record.findings,
    };
    let zone = aftercall_core::time::zone("Asia/Shanghai").expect("a known zone");
    let at = "2026-11-23T04:00:00Z".parse().expect("an instant");
    Earlier::of(&[call], &script(&now.script, now.lang).hash, &zone, at)
}

pub fn order(fixture: &Fixture) -> CallOrder {
    CallOrder {
        leg: LegConfig {
            targets: vec![Target {
                request_uri: "sip:1000@10.0.0.2:5060".to_owned(),
                address: ([10, 0, 0, 2], 5_060).into(),
                transport: Transport::Udp,
            }],
            large_by_tcp: false,
            from_uri: "sip:robot@10.0.0.1".to_owned(),
            from_display: None,
            contact_uri: "sip:10.0.0.1:5060".to_owned(),
            via_host: "10.0.0.1:5060".to_owned(),
            credentials: None,
            media_host: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            media_port: 40_000,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            ring_timeout: Duration::from_secs(20),
            first_answer_limit: FIRST_ANSWER_LIMIT,
            extra_headers: Vec::new(),
            user_agent: "aftercall-test".to_owned(),
            reliable_provisional: true,
            session_expires: None,
            redirects: Vec::new(),
            srtp: Protection::Off,
        },
        script: script(&fixture.script, fixture.lang),
        facts: facts(fixture),
        record: true,
        leaves_message: fixture.leaves_message,
        rungs: 0,
    }
}

/// Reads a fixture; nodes it does not name take the answers of its base file.
pub fn fixture(name: &str) -> Fixture {
    let dir = root().join("fixtures/calls");
    let mut fixture = Fixture::parse(name, &read(&dir.join(name))).expect("a fixture that reads");
    if let Some(base) = &fixture.base {
        #[derive(serde::Deserialize)]
        struct Base {
            says: BTreeMap<String, String>,
        }
        let base: Base = toml::from_str(&read(&dir.join(format!("base/{base}.toml"))))
            .expect("a base that reads");
        for (node, words) in base.says {
            fixture.says.entry(node).or_insert(words);
        }
    }
    fixture
}

fn run(fixture: &Fixture) -> Outcome {
    World::new(
        fixture.clone(),
        order(fixture),
        kit(fixture.prompt_ms),
        [42; 32],
    )
    .run()
}

fn cause_name(cause: &Cause) -> Option<String> {
    let value = serde_json::to_value(cause).expect("a cause is JSON");
    let kind = value["kind"]
        .as_str()
        .expect("a cause has a kind")
        .to_owned();
    (kind != "finding").then_some(kind)
}

/// Everything a fixture expects and the call did not do.
fn differences(fixture: &Fixture, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differ = |what: &str, want: String, got: String| {
        if want != got {
            wrong.push(format!("{what}: want {want}, got {got}"));
        }
    };
    let (record, expect) = (&outcome.record, &fixture.expect);
    differ(
        "disposition",
        expect.disposition.clone(),
        record.ending.disposition.to_string(),
    );
    if record.ending.disposition == Disposition::Completed {
        let spoken = record.progress.closing_spoken;
        differ("closing spoken", true.to_string(), spoken.to_string());
    }
    let mut found: Vec<String> = record
        .findings
        .iter()
        .filter(|placed| placed.finding.polarity != Polarity::Absent)
        .map(|placed| format!("{} {}", placed.finding.concept, placed.finding.polarity))
        .collect();
    found.sort();
    let mut want = expect.findings.clone();
    want.sort();
    differ("findings", want.join(", "), found.join(", "));
    let alerts = || {
        record
            .findings
            .iter()
            .filter(|placed| placed.finding.alerts())
    };
    if let Some(expected) = &expect.times {
        let times: Vec<String> = alerts()
            .map(|placed| format!("{} {}", placed.finding.concept, placed.finding.when))
            .collect();
        differ("times", expected.join(", "), times.join(", "));
    }
    if let Some(expected) = &expect.subjects {
        let subjects: Vec<String> = alerts()
            .map(|placed| format!("{} {}", placed.finding.concept, placed.finding.subject))
            .collect();
        differ("subjects", expected.join(", "), subjects.join(", "));
    }
    let came_to = |node: &String| {
        let asked =
            |event: &CallEvent| matches!(event, CallEvent::Asked { node: at, .. } if at.0 == *node);
        outcome.events.iter().any(asked)
    };
    for node in &expect.asked {
        differ(
            node,
            "asked".to_owned(),
            if came_to(node) { "asked" } else { "not" }.to_owned(),
        );
    }
    for node in &expect.not_asked {
        differ(
            node,
            "not".to_owned(),
            if came_to(node) { "asked" } else { "not" }.to_owned(),
        );
    }
    for (node, times) in &expect.times_asked {
        let asked = |event: &&CallEvent| matches!(event, CallEvent::Asked { node: at, .. } if at.0 == *node);
        let got = outcome.events.iter().filter(asked).count();
        differ(
            &format!("times {node} asked"),
            times.to_string(),
            got.to_string(),
        );
    }
    let interrupted =
        |event: &&CallEvent| matches!(event, CallEvent::Noted(Note::Interrupted { .. }));
    let got = outcome.events.iter().filter(interrupted).count();
    differ(
        "interrupted",
        expect.interrupted.to_string(),
        got.to_string(),
    );
    let patience = |event: &&CallEvent| matches!(event, CallEvent::AskedForPatience);
    let got = outcome.events.iter().filter(patience).count();
    differ(
        "asked for patience",
        expect.patience.to_string(),
        got.to_string(),
    );
    if let Some(most) = expect.talked_over_ms {
        let longest = outcome.talked_over.iter().max().map(Duration::as_millis);
        let fits = longest.is_some_and(|longest| longest <= u128::from(most));
        differ("stops in time", true.to_string(), format!("{fits}"));
        if !fits {
            differ("talked over ms", most.to_string(), format!("{longest:?}"));
        }
    }
    if let Some((least, most)) = expect.holds_ms {
        let fits = |held: &Duration| (least..=most).contains(&(held.as_millis() as u64));
        let holds = !outcome.breaths.is_empty() && outcome.breaths.iter().all(fits);
        let got = format!("{:?}", outcome.breaths);
        let want = format!("{least}-{most} ms");
        differ("holds", want.clone(), if holds { want } else { got });
    }
    if let Some((least, most)) = expect.lasts_s {
        let took = outcome.took.as_secs();
        let fits = (least..=most).contains(&took);
        differ(
            "fits its time",
            format!("{took} s"),
            format!("{took} s{}", if fits { "" } else { ", not" }),
        );
    }
    if let Some(expected) = &expect.suppressed {
        let kept: Vec<String> = record
            .suppressed
            .iter()
            .map(|kept| format!("{} {}", kept.concept, kept.why))
            .collect();
        let missing: Vec<&String> = expected
            .iter()
            .filter(|text| !kept.contains(text))
            .collect();
        differ("suppressed", "[]".to_owned(), format!("{missing:?}"));
    }
    let subject = Subject {
        patient: None,
        episode: None,
        attempt: None,
        high_risk: fixture.high_risk,
    };
    let causes = causes_of(record, &subject);
    let denied: Vec<String> = causes
        .iter()
        .filter_map(|cause| match cause {
            Cause::Finding { finding, .. } => {
                let denied = finding.denied.as_ref()?;
                Some(format!("{} @{}", finding.finding.concept, denied.node))
            }
            _ => None,
        })
        .collect();
    differ("denied", expect.denied.join(", "), denied.join(", "));
    let urgency = match causes.is_empty() {
        true => "none".to_owned(),
        false => urgency_of(&causes, fixture.high_risk).to_string(),
    };
    differ("order", expect.order.clone(), urgency);
    let mut named: Vec<String> = causes.iter().filter_map(cause_name).collect();
    named.sort();
    let mut wanted = expect.causes.clone();
    wanted.sort();
    differ("causes", wanted.join(", "), named.join(", "));
    if let Some(who) = &expect.answered_by {
        differ(
            "answered_by",
            who.clone(),
            record.ending.answered_by.to_string(),
        );
    }
    if let Some(told) = &expect.told {
        let met = record.ending.met.as_ref();
        let got = met.and_then(|met| met.told.clone());
        differ("told", told.clone(), got.unwrap_or("nothing".to_owned()));
    }
    let went_on = record.notes.contains(&CallNote::WentOn);
    differ("went on", expect.went_on.to_string(), went_on.to_string());
    if let Some(rang) = expect.rang {
        let found = record.ending.rang.to_string();
        differ("rang", rang.to_string(), found);
    }
    if let Some(screened) = expect.screened {
        differ(
            "screened",
            screened.to_string(),
            record.progress.screened.to_string(),
        );
    }
    let alerting = record
        .findings
        .iter()
        .filter(|placed| placed.finding.alerts())
        .count();
    let ordered = causes
        .iter()
        .filter(|cause| matches!(cause, Cause::Finding { .. }))
        .count();
    differ(
        "findings with an order",
        alerting.to_string(),
        ordered.to_string(),
    );
    wrong
}

fn fixture_names() -> Vec<String> {
    let dir = root().join("fixtures/calls");
    let entries = std::fs::read_dir(&dir).expect("fixtures/calls is there");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("a directory entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    names
}

#[test]
fn every_whole_call_ends_as_its_fixture_expects() {
    let mut failed = Vec::new();
    let names = fixture_names();
    assert!(names.len() >= 40, "only {} whole calls", names.len());
    for name in names {
        let fixture = fixture(&name);
        let outcome = run(&fixture);
        let wrong = differences(&fixture, &outcome);
        if !wrong.is_empty() {
            failed.push(format!(
                "{name} ({})\n  {}\n{}",
                fixture.story,
                wrong.join("\n  "),
                outcome.trace.join("\n")
            ));
        }
    }
    assert!(
        failed.is_empty(),
        "{} calls differ\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}

#[test]
fn the_same_inputs_and_seed_give_the_same_call() {
    let fixture = fixture("chest_tightness.toml");
    let (first, second) = (run(&fixture), run(&fixture));
    assert_eq!(first.trace, second.trace);
    assert_eq!(first.record, second.record);
}

#[test]
fn slower_speech_takes_longer() {
    let slow = fixture("slower_and_louder_please.toml");
    let mut usual = slow.clone();
    let again = "你再说一遍 / 你再说一遍 / 没有，胸口不疼".to_owned();
    usual.says.insert("screen_chest".to_owned(), again);
    let (slow, usual) = (run(&slow).took, run(&usual).took);
    assert!(
        slow > usual + Duration::from_secs(10),
        "{slow:?}, usually {usual:?}"
    );
}

#[test]
fn no_word_about_health_is_asked_before_identity() {
    for name in fixture_names() {
        let outcome = run(&fixture(&name));
        let mut identified = false;
        for event in &outcome.events {
            match event {
                CallEvent::Noted(aftercall_core::script::Note::Identified { .. }) => {
                    identified = true
                }
                CallEvent::Asked { node, .. } if !identified => {
                    assert!(
                        !node.0.starts_with("screen_"),
                        "{name} asked {node} before identity"
                    );
                }
                _ => {}
            }
        }
    }
}

/// What a human must have at once: on disk before the next word, or the database had two seconds.
#[test]
fn nothing_is_asked_before_an_emergent_finding_is_on_disk() {
    let mut waited = Vec::new();
    for name in fixture_names() {
        let outcome = run(&fixture(&name));
        let mut open: BTreeMap<String, u64> = BTreeMap::new();
        for line in &outcome.trace {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at: u64 = words[0].parse().expect("a trace line begins with its time");
            match words[1] {
                "found"
                    if words[5] == "emergent" && matches!(words[4], "present" | "uncertain") =>
                {
                    open.insert(words[2].to_owned(), at);
                }
                "stored" => {
                    let told = open.remove(words[2]);
                    waited.extend(told.map(|told| at - told));
                }
                "asked" => {
                    for (position, told) in std::mem::take(&mut open) {
                        let waited_ms = at - told;
                        assert!(
                            (1_980..2_100).contains(&waited_ms),
                            "{name}: {line} {waited_ms} ms after finding {position}, which is not on disk"
                        );
                        waited.push(waited_ms);
                    }
                }
                _ => {}
            }
        }
    }
    assert!(waited.contains(&700), "a slow database was waited for");
    assert!(waited.iter().any(|ms| *ms >= 1_980), "a silent one was not");
}

/// From the first syllable of a question on. Counted at the telephone to the robot's last loud frame: the line's and the
/// jitter buffer's time is in it.
#[test]
fn the_robot_falls_silent_as_soon_whenever_somebody_speaks_into_its_question() {
    let told = fixture("speaks_into_a_question.toml");
    let begin_ms: Vec<u64> = (0..20).map(|nth| 50 + nth * 150).collect();
    let mut talked_on: Vec<(u128, u64)> = std::thread::scope(|scope| {
        let runs = begin_ms.iter().map(|&ms| {
            let mut told = told.clone();
            let says = format!("(into {ms}ms) 没有啊，我今天早上吃过药了 / 好一些");
            told.says.insert("trend".to_owned(), says);
            scope.spawn(move || {
                let longest = run(&told).talked_over.into_iter().max();
                (longest.expect("somebody spoke into it").as_millis(), ms)
            })
        });
        let runs: Vec<_> = runs.collect();
        let done = runs.into_iter().map(|run| run.join().expect("it ends"));
        done.collect()
    });
    talked_on.sort_unstable();
    assert!(talked_on[19].0 <= 220, "(ms, begun at): {talked_on:?}");
}
