//! A patient who asks for a person, in whole calls: the ladder of those on call, tried one after the other.

use aftercall_core::attempt::CallNote;
use aftercall_core::call::CallEvent;
use aftercall_core::script::Note;
use aftercall_core::sim::{Fixture, Outcome, World};
use aftercall_core::work_order::{Cause, Subject, causes_of};

use crate::whole::{fixture, kit, order};

/// A telephone of the ladder: what its line does, and what it does when it was told of the call.
fn nurse(line: &str, does: &str) -> Fixture {
    let text = format!(
        "script = \"cardiac\"\nday = 3\nline = [{line}]\nsays = {{ offer = \"{does}\" }}\n\
         [expect]\ndisposition = \"\"\norder = \"\"\n"
    );
    Fixture::parse("nurse", &text).expect("a fixture that reads")
}

fn run(name: &str, ladder: &[Fixture], change: impl Fn(&mut Fixture)) -> Outcome {
    let mut fixture = fixture(name);
    change(&mut fixture);
    let mut order = order(&fixture);
    order.rungs = u32::try_from(ladder.len()).expect("a short ladder");
    let kit = kit(fixture.prompt_ms);
    World::new(fixture, order, kit, [42; 32])
        .with_ladder(ladder.to_vec())
        .run()
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

/// The rung that took the call, if any.
fn connected(outcome: &Outcome) -> Option<u32> {
    outcome.record.notes.iter().find_map(|note| match note {
        CallNote::Connected { rung, .. } => Some(*rung),
        _ => None,
    })
}

/// INVITEs to each telephone, by the ladder's trace.
fn invites(outcome: &Outcome, rung: u32) -> usize {
    let invite = format!("nurse {rung} -> INVITE");
    let is = |line: &&String| line.ends_with(&invite);
    outcome.trace.iter().filter(is).count()
}

const ANSWERS: &str = "\"+200ms 180\", \"+2s 200 pcmu\", \"+60s bye\"";
const TALKS: &str = "(keys 1) / 您好，我是护士，您哪里不舒服 / 好的，我马上通知医生来看您 / 您先躺着不要动，不要着急 \
                     / 好的，那就这样 / (hangs up)";

#[test]
fn the_patient_talks_to_the_nurse_who_pressed_the_key() {
    let outcome = run(
        "asks_for_a_person.toml",
        &[nurse(ANSWERS, TALKS)],
        |fixture| {
            let says = "我不想跟机器人说，转人工 / \
                    我这两天觉得没有力气，吃饭也不香，晚上睡不着觉，心里很不踏实，想问问你们护士应该怎么办才好 / \
                    好的好的，谢谢您 / 知道了，我等着你们";
            fixture
                .says
                .insert("screen_faint".to_owned(), says.to_owned());
        },
    );
    let trace = outcome.trace.join("\n");
    assert_eq!(connected(&outcome), Some(0), "{trace}");
    assert_eq!(invites(&outcome, 0), 1, "{trace}");
    assert_eq!(
        outcome.record.ending.disposition.to_string(),
        "asked_for_person"
    );
    assert!(
        !causes(&outcome).contains(&Cause::AskedForPerson),
        "{trace}"
    );
    // The nurse hears the patient (mu-law), and the recording has her voice on the robot's side.
    assert!(
        outcome.nurse_heard_ms[&0] >= 1_000,
        "{:?}",
        outcome.nurse_heard_ms
    );
    assert!(
        outcome.nurse_said_ms >= 1_000,
        "{} ms",
        outcome.nurse_said_ms
    );
    assert!(outcome.bye_received);
}

#[test]
fn a_crash_says_good_bye_to_the_nurse_too() {
    let outcome = run("asks_for_a_person.toml", &[nurse(ANSWERS, TALKS)], |_| {});
    let method = |farewell: &Vec<u8>| {
        let text = String::from_utf8_lossy(farewell).into_owned();
        text.split(' ').next().unwrap_or_default().to_owned()
    };
    let mut kept: Vec<Vec<String>> = Vec::new();
    for event in &outcome.events {
        if let CallEvent::Dialog(snapshot) = event {
            kept.push(snapshot.farewells().iter().map(method).collect());
        }
    }
    kept.dedup();
    // The patient's line rings and is answered; then the nurse's; and it is over before the patient's.
    let expected: [&[&str]; 5] = [
        &["CANCEL"],
        &["BYE"],
        &["BYE", "CANCEL"],
        &["BYE", "BYE"],
        &["BYE"],
    ];
    assert_eq!(kept, expected, "{}", outcome.trace.join("\n"));
}

#[test]
fn busy_silent_and_mechanical_telephones_are_passed_over() {
    let busy = nurse("\"+200ms 180\", \"+1s 486\"", "(silent)");
    let silent = nurse("\"+200ms 180\"", "(silent)");
    let mut machine = nurse(ANSWERS, "您好，我现在不方便接电话，请留言");
    machine.greeting = Some("您好，您已接通护士站的语音信箱，请在提示音后留言 (beep)".to_owned());
    let ladder = [busy, silent, machine, nurse(ANSWERS, TALKS)];
    let outcome = run("asks_for_a_person.toml", &ladder, |_| {});
    let trace = outcome.trace.join("\n");
    assert_eq!(connected(&outcome), Some(3), "{trace}");
    for rung in 0..4 {
        assert_eq!(invites(&outcome, rung), 1, "rung {rung}\n{trace}");
    }
    let heard = |rung: u32| outcome.nurse_heard_ms.get(&rung).copied().unwrap_or(0);
    assert_eq!((heard(0), heard(1)), (0, 0));
}

#[test]
fn where_nobody_takes_the_call_the_patient_is_told_and_an_order_stands() {
    let busy = nurse("\"+200ms 180\", \"+1s 486\"", "(silent)");
    let outcome = run("asks_for_a_person.toml", &[busy.clone(), busy], |_| {});
    let trace = outcome.trace.join("\n");
    assert_eq!(connected(&outcome), None, "{trace}");
    assert!(causes(&outcome).contains(&Cause::AskedForPerson), "{trace}");
    let told = |event: &CallEvent| matches!(event, CallEvent::Asked { prompt, .. } if prompt.expose().contains("给您回电话"));
    assert!(outcome.events.iter().any(told), "{trace}");
}

#[test]
fn a_patient_who_hangs_up_meanwhile_leaves_an_order_and_no_ringing_telephone() {
    let silent = nurse("\"+200ms 180\"", "(silent)");
    let outcome = run(
        "asks_for_a_person.toml",
        &[silent.clone(), silent],
        |fixture| {
            fixture.line.push(aftercall_core::sim::LineEvent::HangUp {
                after: std::time::Duration::from_secs(45),
            });
        },
    );
    let trace = outcome.trace.join("\n");
    assert!(causes(&outcome).contains(&Cause::AskedForPerson), "{trace}");
    let cancels = outcome
        .trace
        .iter()
        .filter(|line| line.contains("-> CANCEL"));
    assert!(cancels.count() >= 1, "{trace}");
    let noted = |event: &CallEvent| matches!(event, CallEvent::Noted(Note::AskedForPerson));
    assert!(outcome.events.iter().any(noted));
}

#[test]
fn in_a_crisis_the_robot_stays_until_somebody_takes_the_call() {
    let outcome = run("thoughts_of_suicide.toml", &[nurse(ANSWERS, TALKS)], |_| {});
    let trace = outcome.trace.join("\n");
    assert_eq!(connected(&outcome), Some(0), "{trace}");
    let stays = |event: &CallEvent| matches!(event, CallEvent::Asked { node, .. } if node.0 == "crisis_stay");
    assert!(outcome.events.iter().any(stays), "{trace}");
    // What was found keeps its order, whoever was talked to.
    assert!(
        causes(&outcome)
            .iter()
            .any(|cause| matches!(cause, Cause::Finding { .. }))
    );
}
