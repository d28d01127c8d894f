//! The engine stops: what rings is cancelled at once, who talks may talk on, nothing new begins.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aftercall::config::Config;
use aftercall::library::{Library, trusted_keys};
use aftercall::run::{start_ears, voice_config};
use aftercall::speech::voice::Voice;
use aftercall::trunk::config::{Telephone, Trunk};
use aftercall::trunk::driver::{Command, Driver, OnCall, Report, StartCall, Told};
use aftercall_core::attempt::CallRecord;
use aftercall_core::call::CallEvent;
use aftercall_core::id::AttemptId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::Hearing;
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::script::Facts;
use aftercall_core::sip::trace::Kept;
use jiff::civil::date;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::sipp::{free_port, ran_to_its_end, scenario, trunk};
use crate::speech::model;

/// A driver over the trunk, and what it tells.
pub struct Line {
    pub driver: Driver,
    told: UnboundedReceiver<Report>,
    library: Library,
}

impl Line {
    pub fn open(trunk: Trunk) -> Line {
        model();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut config = Config::default();
        config.ears.model = root.join(&config.ears.model);
        config.scripts.dir = root.join(&config.scripts.dir);
        let keys = trusted_keys(&config.scripts, true).expect("the demo's key");
        let library =
            Library::load(&config.scripts.dir, &keys, date(2026, 11, 23)).expect("scripts");
        let ears = Arc::new(start_ears(&config).expect("the model is there"));
        let voice = Arc::new(Voice::new(voice_config(&config)));
        let (reports, told) = unbounded_channel();
        let driver =
            Driver::start(trunk, ears, voice, None, reports).expect("the loopback is bound");
        Line {
            driver,
            told,
            library,
        }
    }

    fn call(&self, attempt: &str) {
        self.call_to(attempt, "1000", Lang::En, &[]);
    }

    /// With the telephones of people on call, each rung for so many seconds.
    pub fn call_to(&self, attempt: &str, number: &str, lang: Lang, ladder: &[(&str, u64)]) {
        let today = date(2026, 11, 23);
        let script = self.library.script("cardiac", lang, today);
        let on_call = ladder.iter().map(|(number, ring_s)| OnCall {
            to: Telephone::parse(number).expect("a telephone"),
            ring: Duration::from_secs(*ring_s),
        });
        self.driver.start_call(StartCall {
            caller: None,
            attempt: AttemptId(attempt.to_owned()),
            number: PhoneNumber::parse(number).expect("a number"),
            script: script.expect("a script that may be used"),
            kit: Arc::clone(&self.library.kit),
            facts: Facts {
                lang,
                day: 3,
                hospital: "Renhe Hospital".to_owned(),
                patient: Phi::new("John Smith".to_owned()),
                birth: None,
                contacts: Vec::new(),
                knows_diagnosis: false,
                hearing: Hearing::Normal,
                dialect: None,
                emergency_number: None,
                crisis_line: None,
                callback_number: "010-12345678".to_owned(),
                next_call: None,
                today,
                earlier: None,
            },
            record: None,
            leaves_message: false,
            on_call: on_call.collect(),
        });
    }

    /// The next thing told that `is` what is waited for.
    fn wait_for<T>(&mut self, mut is: impl FnMut(Told) -> Option<T>) -> T {
        loop {
            let report = self.told.blocking_recv().expect("the driver lives");
            if let Some(found) = is(report.what) {
                return found;
            }
        }
    }

    /// What had gone over the line when the call ended.
    pub fn trace(&mut self) -> Kept {
        let mut last = None;
        self.wait_for(|told| match told {
            Told::Trace(trace) => {
                last = Some(*trace);
                None
            }
            Told::Event(CallEvent::Ended(_)) => Some(()),
            Told::Event(_) | Told::Rings(_) | Told::NotStarted(_) => None,
        });
        last.expect("it is told before the end")
    }

    pub fn record(&mut self) -> CallRecord {
        self.wait_for(|told| match told {
            Told::Event(CallEvent::Ended(record)) => Some(*record),
            Told::Event(_) | Told::Trace(_) | Told::Rings(_) | Told::NotStarted(_) => None,
        })
    }
}

#[test]
fn who_talks_may_talk_on_and_nothing_new_begins() {
    let port = free_port();
    let sipp = scenario(port, "sipp_answers", &[]);
    let mut line = Line::open(trunk(&[port], ""));
    line.call("talks");
    line.wait_for(|told| matches!(told, Told::Event(CallEvent::Answered)).then_some(()));
    let patience = Duration::from_secs(30);
    line.driver.send(Command::Shutdown { patience });
    line.call("late");
    let why = line.wait_for(|told| match told {
        Told::NotStarted(why) => Some(why),
        Told::Event(_) | Told::Trace(_) | Told::Rings(_) => None,
    });
    assert!(why.contains("shutting down"), "{why}");
    let record = line.record();
    // The phone hangs up three seconds after its answer.
    assert!(
        record.ending.talk_ms > 2_500,
        "{} ms",
        record.ending.talk_ms
    );
    line.driver.shut_down(patience);
    ran_to_its_end(sipp);
}

#[test]
fn a_second_word_ends_talk_at_once() {
    let port = free_port();
    let _sipp = scenario(port, "sipp_answers", &[]);
    let mut line = Line::open(trunk(&[port], ""));
    line.call("talks");
    line.wait_for(|told| matches!(told, Told::Event(CallEvent::Answered)).then_some(()));
    for patience in [Duration::from_secs(30), Duration::ZERO] {
        line.driver.send(Command::Shutdown { patience });
    }
    let record = line.record();
    assert!(
        record.ending.talk_ms < 2_500,
        "{} ms",
        record.ending.talk_ms
    );
    line.driver.shut_down(Duration::ZERO);
}

#[test]
fn what_rings_is_cancelled_at_once() {
    let port = free_port();
    let sipp = scenario(port, "sipp_crosses", &[]);
    let mut line = Line::open(trunk(&[port], ""));
    line.call("rings");
    line.wait_for(|told| matches!(told, Told::Event(CallEvent::Ringing { .. })).then_some(()));
    let patience = Duration::from_secs(3_600);
    line.driver.send(Command::Shutdown { patience });
    let record = line.record();
    assert_eq!(record.ending.talk_ms, 0);
    line.driver.shut_down(patience);
    ran_to_its_end(sipp);
}
