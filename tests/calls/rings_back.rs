//! Whole calls that patients make to us, in virtual time: resumed, connected, after hours, a stranger, given up.

use aftercall_core::attempt::{CallNote, Disposition};
use aftercall_core::call::CallEvent;
use aftercall_core::lang::Lang;
use aftercall_core::script::RingBack;
use aftercall_core::sim::{Fixture, Outcome, World};
use aftercall_core::work_order::{Cause, Subject, causes_of};

use crate::whole::{fixture, kit, order};

/// Somebody rings who answers as in this fixture.
fn run(name: &str, kind: RingBack, change: impl Fn(&mut Fixture)) -> Outcome {
    let mut fixture = fixture(name);
    change(&mut fixture);
    let order = order(&fixture);
    let kit = kit(fixture.prompt_ms);
    World::ringing_back(fixture, order, kind, kit, [42; 32]).run()
}

fn causes(outcome: &Outcome) -> Vec<Cause> {
    let subject = Subject {
        patient: None,
        episode: None,
        attempt: None,
        high_risk: false,
    };
    causes_of(&outcome.record, &subject)
}

/// What the robot said, in order: the node and the words.
fn said(outcome: &Outcome) -> Vec<(String, String)> {
    let asked = |event: &CallEvent| match event {
        CallEvent::Asked { node, prompt } => Some((node.0.clone(), prompt.expose().clone())),
        _ => None,
    };
    outcome.events.iter().filter_map(asked).collect()
}

/// SIP of the trace without its times.
fn ladder(outcome: &Outcome) -> Vec<String> {
    let sip = outcome.trace.iter().map(|line| line.trim_start());
    let sip = sip.filter_map(|line| Some(line.split_once(' ')?.1.to_owned()));
    sip.filter(|what| what.starts_with("->") || what.starts_with("<-"))
        .collect()
}

/// Words that would tell whoever listens of an illness; none stands in what is said before identity.
const HEALTH: [&str; 12] = [
    "胸",
    "疼",
    "喘",
    "药",
    "出院",
    "病",
    "手术",
    "chest",
    "pain",
    "medicine",
    "discharge",
    "illness",
];

#[test]
fn who_rings_back_is_greeted_identified_and_asked_what_the_missed_call_would_have() {
    for name in ["good_cardiac_zh.toml", "good_cardiac_en.toml"] {
        let outcome = run(name, RingBack::Resume, |_| {});
        assert_eq!(
            outcome.record.ending.disposition,
            Disposition::Completed,
            "{:#?}",
            outcome.trace
        );
        assert!(
            !outcome.record.ending.rang,
            "no ring of the patient's telephone"
        );
        assert!(outcome.record.progress.screened && outcome.bye_received);
        let said = said(&outcome);
        let (first, greeting) = &said[0];
        assert_eq!(first, "identity", "the greeting and the question are one");
        let name = ["仁和医院", "Renhe Hospital"];
        assert!(
            name.iter().any(|name| greeting.contains(name)),
            "{greeting}"
        );
        let identified = said.iter().position(|(node, _)| node == "screen_chest");
        for (node, words) in &said[..identified.expect("the screen begins")] {
            for word in HEALTH {
                assert!(!words.contains(word), "{node}: {words}");
            }
        }
        assert!(causes(&outcome).is_empty(), "{:?}", causes(&outcome));
        let sip = ladder(&outcome);
        assert_eq!(sip, ["-> 100", "-> 200", "<- ACK", "-> BYE", "<- 200"]);
    }
}

/// The same way as on the next call of ours.
#[test]
fn who_rings_back_after_the_line_broke_goes_on_where_it_did() {
    let outcome = run("goes_on_after_the_screen.toml", RingBack::Resume, |_| {});
    assert_eq!(outcome.record.ending.disposition, Disposition::Completed);
    assert_eq!(outcome.record.notes, [CallNote::WentOn]);
    let said = said(&outcome);
    let nodes: Vec<&str> = said.iter().map(|(node, _)| node.as_str()).collect();
    assert_eq!(nodes[..3], ["identity", "birth", "legs"]);
}

#[test]
fn an_emergency_told_by_who_rings_back_is_one() {
    let outcome = run("chest_tightness.toml", RingBack::Resume, |_| {});
    let is_finding = |cause: &Cause| matches!(cause, Cause::Finding { .. });
    assert!(
        causes(&outcome).iter().any(is_finding),
        "{:#?}",
        outcome.trace
    );
}

#[test]
fn who_has_nothing_due_is_connected_after_identity_and_only_then() {
    let outcome = run("good_cardiac_zh.toml", RingBack::Person, |_| {});
    let said = said(&outcome);
    let nodes: Vec<&str> = said.iter().map(|(node, _)| node.as_str()).collect();
    assert_eq!(
        nodes,
        ["identity", "birth", "end"],
        "no question of the script"
    );
    assert_eq!(
        outcome.record.ending.disposition,
        Disposition::AskedForPerson
    );
    assert_eq!(causes(&outcome), [Cause::AskedForPerson]);
    // Who cannot say who they are is connected with nobody, and hears nothing.
    let unknown = |fixture: &mut Fixture| {
        fixture
            .says
            .insert("birth".to_owned(), "一月一号".to_owned());
    };
    let outcome = run("good_cardiac_zh.toml", RingBack::Person, unknown);
    assert_eq!(outcome.record.ending.disposition, Disposition::Unidentified);
    assert_eq!(outcome.record.notes, [CallNote::IdentityFailed]);
    assert!(!outcome.record.progress.identified);
}

#[test]
fn a_person_on_call_takes_the_call_of_who_rings_back() {
    let nurse = "script = \"cardiac\"\nday = 3\nline = [\"+200ms 180\", \"+2s 200 pcmu\", \"+60s bye\"]\n\
                 says = { offer = \"(keys 1) / 您好，我是护士 / 我马上来看您，您先躺着不要动 / (hangs up)\" }\n\
                 [expect]\ndisposition = \"\"\norder = \"\"\n";
    let nurse = Fixture::parse("nurse", nurse).expect("a fixture that reads");
    let mut fixture = fixture("good_cardiac_zh.toml");
    let words = "我这两天觉得没有力气，吃饭也不香，晚上睡不着觉，心里很不踏实，想问问你们护士应该怎么办才好";
    fixture.says.insert("person".to_owned(), words.to_owned());
    let mut order = order(&fixture);
    order.rungs = 1;
    let kit = kit(fixture.prompt_ms);
    let outcome = World::ringing_back(fixture, order, RingBack::Person, kit, [42; 32])
        .with_ladder(vec![nurse])
        .run();
    let connected = |note: &CallNote| matches!(note, CallNote::Connected { rung: 0, .. });
    assert!(
        outcome.record.notes.iter().any(connected),
        "{:#?}",
        outcome.trace
    );
}

#[test]
fn out_of_hours_the_emergency_number_comes_first_and_an_order_stands() {
    for (name, number) in [
        ("good_cardiac_zh.toml", "幺二零"),
        ("good_cardiac_en.toml", "nine one one"),
    ] {
        let outcome = run(name, RingBack::Closed, |_| {});
        let said = said(&outcome);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].1.contains(number), "{said:?}");
        for word in HEALTH {
            assert!(!said[0].1.contains(word), "{said:?}");
        }
        assert_eq!(
            causes(&outcome),
            [Cause::AskedForPerson],
            "somebody calls back"
        );
        assert!(outcome.bye_received);
    }
}

#[test]
fn a_stranger_hears_the_neutral_name_and_the_number_and_that_is_all() {
    let outcome = run("good_cardiac_zh.toml", RingBack::Stranger, |_| {});
    let said = said(&outcome);
    assert_eq!(said.len(), 1, "{said:?}");
    let (_, words) = &said[0];
    assert!(
        words.contains("仁和医院") && words.contains("幺二三四五六七八"),
        "{words}"
    );
    assert!(!words.contains("王建国"), "{words}");
    assert!(causes(&outcome).is_empty());
    assert!(outcome.bye_received && !outcome.record.ending.rang);
}

#[test]
fn who_rings_back_and_hangs_up_leaves_no_order() {
    for lang in [Lang::Zh, Lang::En] {
        let name = match lang {
            Lang::Zh => "good_cardiac_zh.toml",
            Lang::En => "good_cardiac_en.toml",
        };
        let gone = |fixture: &mut Fixture| {
            let says = &mut fixture.says;
            says.insert("identity".to_owned(), "(hangs up)".to_owned());
        };
        let outcome = run(name, RingBack::Resume, gone);
        assert_eq!(outcome.record.ending.disposition, Disposition::Unidentified);
        assert!(causes(&outcome).is_empty());
        assert_eq!(ladder(&outcome)[3..], ["<- BYE", "-> 200"]);
    }
}
