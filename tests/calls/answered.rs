//! Who answered, in whole calls: how soon a person is greeted, and what a machine is told.

use aftercall_core::call::CallEvent;
use aftercall_core::ear::announcement::classify_announcement;
use aftercall_core::lang::Lang;
use aftercall_core::script::check::{health_word, is_neutral_name};
use aftercall_core::sim::{Outcome, World};

use crate::whole::{fixture, kit, order};

fn run(name: &str, greeting: Option<&str>) -> Outcome {
    let mut fixture = fixture(name);
    if let Some(greeting) = greeting {
        fixture.greeting = Some(greeting.to_owned());
    }
    let (order, kit) = (order(&fixture), kit(fixture.prompt_ms));
    World::new(fixture, order, kit, [42; 32]).run()
}

/// What the robot said: node, words, and where it began and ended.
fn said(outcome: &Outcome) -> Vec<(String, String, u64, u64)> {
    let turns = outcome.record.turns.iter();
    let part = |turn: &aftercall_core::attempt::Turn| {
        (
            turn.node.0.clone(),
            turn.prompt.expose().clone(),
            turn.prompt_from_ms,
            turn.prompt_to_ms,
        )
    };
    turns.map(part).collect()
}

/// The recording's clock begins with the answer. A word of 560 ms leaves the robot a quarter of a second.
#[test]
fn a_person_is_greeted_within_800_ms_while_the_verdict_is_open() {
    for (greeting, spoken_ms) in [(None, 0), (Some("喂"), 430), (Some("喂，你好"), 820)] {
        let outcome = run("nobody_speaks_first.toml", greeting);
        let spoke_ms = outcome.spoke_ms.expect("the robot spoke");
        assert!(spoke_ms >= spoken_ms, "{greeting:?} was spoken over");
        let waited_ms = spoke_ms - spoken_ms;
        assert!(
            waited_ms <= 800,
            "{greeting:?}: greeted after {waited_ms} ms"
        );
        if spoken_ms <= 430 {
            assert!(
                spoke_ms <= 800,
                "{greeting:?}: {spoke_ms} ms after the answer"
            );
        }
        let met = |event: &CallEvent| matches!(event, CallEvent::Met(_));
        let met = outcome.events.iter().position(met).expect("a verdict");
        let answered = |event: &CallEvent| matches!(event, CallEvent::Answered);
        let answered = outcome.events.iter().position(answered).expect("an answer");
        let verdict_ms = outcome.event_ms[met] - outcome.event_ms[answered];
        assert!(
            spoke_ms < verdict_ms,
            "{greeting:?}: the verdict was there first"
        );
    }
}

#[test]
fn a_message_begins_after_the_beep_and_holds_name_and_number_alone() {
    for (name, lang, has) in [
        (
            "voicemail_with_message.toml",
            Lang::Zh,
            ["仁和医院", "零幺零幺二三四五六七八"],
        ),
        (
            "voicemail_with_message_en.toml",
            Lang::En,
            ["Renhe Hospital", "0 1 0 1 2 3 4 5 6 7 8"],
        ),
    ] {
        let outcome = run(name, None);
        let beep = outcome.events.iter().find_map(|event| match event {
            CallEvent::Beep { from_ms, to_ms } => Some((*from_ms, *to_ms)),
            _ => None,
        });
        let (from_ms, to_ms) = beep.expect("the beep was heard");
        assert!(to_ms > from_ms);
        let spoke_ms = outcome.spoke_ms.expect("the message");
        assert!(
            spoke_ms >= to_ms,
            "{name}: {spoke_ms} ms, beep until {to_ms} ms"
        );
        let said = said(&outcome);
        assert_eq!(said.len(), 1, "{said:?}");
        let (node, words, begins_ms, ends_ms) = &said[0];
        assert_eq!(node, "voicemail_message");
        assert!(*begins_ms >= to_ms && ends_ms > begins_ms);
        assert!(has.iter().all(|part| words.contains(part)), "{words}");
        assert!(health_word(words, lang).is_none(), "{words}");
        assert!(is_neutral_name(words), "{words}");
    }
}

#[test]
fn nothing_is_left_where_the_site_leaves_no_messages() {
    let mut fixture = fixture("voicemail_with_message.toml");
    fixture.leaves_message = false;
    let (order, kit) = (order(&fixture), kit(fixture.prompt_ms));
    let outcome = World::new(fixture, order, kit, [42; 32]).run();
    let met = outcome
        .record
        .ending
        .met
        .clone()
        .expect("somebody answered");
    assert_eq!((met.who.as_str(), met.told), ("voicemail", None));
    assert_eq!(outcome.spoke_ms, None);
}

/// Before anybody has said who they are, only neutral names are spoken, whoever or whatever listens.
#[test]
fn what_a_machine_hears_names_no_health() {
    for name in [
        "call_screening_fetches.toml",
        "call_screening_holds_en.toml",
        "assistant_asks.toml",
        "voicemail_picked_up.toml",
    ] {
        let outcome = run(name, None);
        let lang = fixture(name).lang;
        for (node, words, ..) in said(&outcome) {
            if ["neutral_name", "voicemail_message"].contains(&node.as_str()) {
                assert!(health_word(&words, lang).is_none(), "{name}: {words}");
            }
        }
    }
}

/// Thousands of replies on the telephone, and how people answer it: doubt means human.
#[test]
fn nothing_that_people_say_is_an_announcement() {
    let tables = [
        (Lang::Zh, include_str!("../../fixtures/redflag/rows.zh.tsv")),
        (Lang::En, include_str!("../../fixtures/redflag/rows.en.tsv")),
    ];
    let replies = tables.iter().flat_map(|(lang, table)| {
        let lines = table.lines().filter(|line| !line.starts_with('#')).skip(1);
        lines.filter_map(|line| Some((*lang, line.split('\t').nth(6)?)))
    });
    // The frozen half is never looked at but for its figures.
    let openings = include_str!("../../fixtures/answered/openings.tsv").lines();
    let openings = openings.filter_map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let ["tuning", lang, "human", _, _, parts] = columns[..] else {
            return None;
        };
        Some((Lang::parse(lang)?, parts))
    });
    let mut said = 0;
    let taken: Vec<_> = replies
        .chain(openings)
        .inspect(|_| said += 1)
        .filter_map(|(lang, text)| Some((text, classify_announcement(text, lang)?)))
        .collect();
    assert!(said > 4_000, "{said}");
    assert_eq!(taken, [], "of {said}");
}
