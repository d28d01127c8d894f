//! The shipped scripts against every rule, and whole conversations by text.

use aftercall_core::attempt::Disposition;
use aftercall_core::finding::Confirmation;
use aftercall_core::id::ConceptId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::Hearing;
use aftercall_core::phi::Phi;
use aftercall_core::redflag::Lexicon;
use aftercall_core::script::check::{Concepts, check};
use aftercall_core::script::speaking::variables;
use aftercall_core::script::{Act, Conversation, Facts, Input, Note, Segment, Verdict, paths};
use jiff::civil::date;

use super::files::{root, script, shipped, text_files};

/// The concepts of the shipped lexicon; before there is one, those that the shipped scripts name.
pub fn concepts() -> Concepts {
    let lexicon = Lexicon::compile(&text_files(&root().join("dialogs/redflags"), "tsv"));
    let known = Concepts::of(&lexicon.expect("the shipped lexicon compiles"));
    if !known.all.is_empty() {
        return known;
    }
    let mut named = Concepts::default();
    for script in shipped() {
        named
            .all
            .extend(script.nodes.iter().flat_map(|n| n.asks.clone()));
        let confirmed = script
            .prompts
            .keys()
            .filter_map(|name| name.strip_prefix("confirm_"));
        named
            .emergent
            .extend(confirmed.map(|id| ConceptId(id.to_owned())));
    }
    named
}

#[test]
fn the_shipped_scripts_keep_every_rule() {
    let scripts = shipped();
    assert_eq!(scripts.len(), 6, "three scripts in two languages");
    let errors: Vec<String> = check(&scripts, &concepts())
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn no_usual_path_is_longer_than_fifteen_questions_and_four_minutes() {
    for script in shipped() {
        for day in &script.days {
            let length = paths::longest(&script, *day);
            println!("{} {} day {day}: {length:?}", script.id, script.lang);
            assert!(
                (10..=paths::MAX_QUESTIONS).contains(&length.questions),
                "{} {day}",
                script.id
            );
            assert!(
                (90.0..=paths::MAX_SECONDS).contains(&length.seconds),
                "{} {day}",
                script.id
            );
        }
    }
}

pub fn facts(lang: Lang) -> Facts {
    Facts {
        lang,
        day: 3,
        hospital: "仁和医院".to_owned(),
        patient: Phi::new("王建国".to_owned()),
        birth: Some(Phi::new(date(1951, 9, 14))),
        contacts: vec![],
        knows_diagnosis: false,
        hearing: Hearing::Normal,
        dialect: None,
        emergency_number: None,
        crisis_line: None,
        callback_number: "01055501234".to_owned(),
        next_call: None,
        today: date(2026, 11, 23),
        earlier: None,
    }
}

/// Says the replies in order; `~` is silence, `?` is noise, `!concept` and `^concept` are certain and doubtful
/// findings heard in the words after them.
fn talk(replies: &[&str]) -> (Conversation, Vec<Note>, String) {
    let mut talk = Conversation::new(script("general", Lang::Zh), facts(Lang::Zh));
    let mut acts = talk.start();
    let mut notes = Vec::new();
    let mut spoken = String::new();
    for reply in replies.iter().map(Some).chain([None]) {
        for act in std::mem::take(&mut acts) {
            match act {
                Act::Note(note) => notes.push(note),
                Act::Say(segments) => spoken.extend(segments.iter().map(Segment::text)),
                Act::Listen(_) | Act::HangUp => {}
            }
        }
        talk.handle(Input::PromptDone);
        let Some(reply) = reply else { break };
        let (verdict, text) = judged(reply);
        acts = match text {
            "~" => talk.handle(Input::Silence),
            "?" => talk.handle(Input::Unclear),
            text => talk.handle(Input::Said {
                text,
                logprob: -0.2,
                verdict,
            }),
        };
    }
    (talk, notes, spoken)
}

fn judged(reply: &str) -> (Verdict, &str) {
    let concept = |c: &str| Some(ConceptId(c.to_owned()));
    let mut verdict = Verdict::default();
    match (reply.strip_prefix('!'), reply.strip_prefix('^')) {
        (Some(rest), _) => {
            let (c, text) = rest.split_once(' ').expect("!concept words");
            verdict.emergent = concept(c);
            (verdict, text)
        }
        (_, Some(rest)) => {
            let (c, text) = rest.split_once(' ').expect("^concept words");
            verdict.confirm = concept(c);
            (verdict, text)
        }
        (None, None) => (verdict, reply),
    }
}

#[test]
fn an_emergency_is_advised_at_once_and_ends_with_the_safety_line() {
    let (talk, notes, spoken) = talk(&[
        "是我",
        "九月十四号",
        "!chest_pain 昨天晚上胸口闷",
        "有",
        "不用",
    ]);
    assert_eq!(talk.disposition(), Disposition::Completed);
    assert!(talk.progress().screened && talk.progress().closing_spoken);
    assert!(
        notes
            .iter()
            .any(|n| matches!(n, Note::EmergencyAdviceGiven { .. }))
    );
    assert!(spoken.contains("请马上拨打幺二零") && spoken.contains("不能判断病情"));
    assert!(
        !spoken.contains("喘不上气"),
        "the questionnaire does not go on"
    );
    assert!(talk.is_over());
}

#[test]
fn a_doubtful_emergency_is_asked_about_once() {
    let start = ["是我", "九月十四号", "^dyspnea 有点别"];
    let confirmed = [&start[..], &["是的", "没有人"]].concat();
    let (_, notes, _) = talk(&confirmed);
    let outcome = |notes: &[Note]| {
        notes.iter().find_map(|n| match n {
            Note::Confirmation { outcome, .. } => Some(*outcome),
            _ => None,
        })
    };
    assert_eq!(outcome(&notes), Some(Confirmation::Confirmed));
    let (talking, notes, _) = talk(&[&start[..], &["没有"]].concat());
    assert_eq!(outcome(&notes), Some(Confirmation::Denied));
    assert!(!talking.is_over());
    let (talking, notes, spoken) = talk(&[&start[..], &["?"]].concat());
    assert_eq!(outcome(&notes), Some(Confirmation::Unclear));
    assert!(!talking.is_over() && spoken.contains("如果真有这种情况"));
}

#[test]
fn thoughts_of_suicide_are_stayed_with_for_half_an_hour_and_never_for_ever() {
    let silence = ["~"; 200];
    let start = ["是我", "九月十四号", "!suicidal_ideation 不想活了"];
    let (short, _, spoken) = talk(&[&start[..], &silence[..60]].concat());
    assert!(!short.is_over(), "sixty silences of 25 s");
    assert!(spoken.contains("幺二三五六") && spoken.contains("我不会挂断"));
    let (long, notes, spoken) = talk(&[&start[..], &silence[..]].concat());
    assert!(long.is_over() && spoken.contains("医院的人会马上给您打电话"));
    assert!(notes.contains(&Note::AskedForPerson));
    assert_eq!(long.disposition(), Disposition::AskedForPerson);
}

#[test]
fn a_hospital_abroad_speaks_its_own_emergency_number() {
    for (lang, usual, own, alone) in [
        (Lang::Zh, "幺二零", "九九九", "没有人"),
        (Lang::En, "nine one one", "9 9 9", "No, I am alone"),
    ] {
        let facts = Facts {
            emergency_number: Some("999".to_owned()),
            crisis_line: Some("18111".to_owned()),
            ..facts(lang)
        };
        let script = script("general", lang);
        let ready = variables(&script, &facts);
        let mut talk = Conversation::new(script, facts);
        let mut acts = talk.start();
        let replies = match lang {
            Lang::Zh => ["是我", "九月十四号", "胸口疼", alone],
            Lang::En => [
                "This is me",
                "September fourteenth",
                "My chest hurts",
                alone,
            ],
        };
        for (at, text) in replies.iter().enumerate() {
            acts = talk.handle(Input::Said {
                text,
                logprob: -0.2,
                verdict: Verdict {
                    emergent: (at == 2).then(|| ConceptId("chest_pain".to_owned())),
                    ..Verdict::default()
                },
            });
            for act in &acts {
                let Act::Say(segments) = act else { continue };
                for segment in segments {
                    let text = segment.text();
                    assert!(!text.contains(usual), "{text}");
                    if text.contains(own) {
                        let made = ready.iter().any(|made| made.expose() == text);
                        assert!(made, "not synthesised before dialling: {text}");
                    }
                }
            }
        }
        let said =
            |act: &Act| matches!(act, Act::Say(s) if s.iter().any(|s| s.text().contains(own)));
        assert!(acts.iter().any(said), "{acts:?}");
    }
}

#[test]
fn an_emergency_question_unanswered_twice_goes_to_a_human_and_the_call_goes_on() {
    let (talk, notes, spoken) = talk(&["是我", "九月十四号", "~", "?", "没有"]);
    let left: Vec<_> = notes
        .iter()
        .filter(|n| matches!(n, Note::NotAssessed { .. }))
        .collect();
    assert_eq!(left.len(), 1, "{notes:?}");
    assert!(spoken.contains("护士会再问您") && !talk.is_over());
}

#[test]
fn two_failures_of_identity_go_to_a_human_and_nothing_about_health_is_said() {
    let (talk, notes, spoken) = talk(&["是我", "五月一号", "六月一号"]);
    assert!(notes.contains(&Note::IdentityFailed) && talk.is_over());
    assert_eq!(talk.disposition(), Disposition::Unidentified);
    assert!(!spoken.contains("胸口"));
    let (talk, notes, _) = self::talk(&["嗯", "嗯"]);
    assert!(notes.contains(&Note::IdentityFailed) && !talk.is_identified());
}

#[test]
fn he_left_is_asked_about_and_may_only_mean_that_he_went_out() {
    let (talk, notes, _) = talk(&["他走了", "只是出门了", "晚上七点"]);
    assert!(!notes.contains(&Note::ReportedDeath));
    assert_eq!(talk.disposition(), Disposition::NotNow);
    let (talk, _, _) = self::talk(&["他走了", "去世了"]);
    assert_eq!(talk.disposition(), Disposition::ReportedDeath);
}
