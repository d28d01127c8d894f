//! Replies as they are heard: what is sure stands, what is doubtful is asked about, and no emergency is denied faintly.

use std::sync::Arc;

use aftercall_core::call::hearing::{judge, words};
use aftercall_core::call::{Findings, Spot};
use aftercall_core::heard::{Chosen, Transcript};
use aftercall_core::id::NodeId;
use aftercall_core::lang::Lang;
use aftercall_core::redflag::Lexicon;
use aftercall_core::script::{Act, Conversation, Input, Note, Script};

use super::files::{root, script, text_files};
use super::walk::facts;

/// What the transcript notes of a reply to a question.
fn meaning(lexicon: &Lexicon, node: &str, heard: &Transcript) -> String {
    answered(lexicon, node, heard).0
}

/// What the transcript notes of a reply to a question, and the red flags that it says are there.
fn answered(lexicon: &Lexicon, node: &str, heard: &Transcript) -> (String, Vec<String>) {
    let mut asked = Script::clone(&script("general", Lang::Zh));
    asked.start = asked.find(node).expect("a node of the script");
    asked.nodes[asked.start].when.clear();
    asked.nodes[asked.start].days.clear();
    let mut talking = Conversation::new(Arc::new(asked), facts(Lang::Zh));
    talking.start();
    let question = talking.question().expect("a question");
    let found = judge(lexicon, &talking, &question, heard);
    let spot = Spot {
        turn: 0,
        node: NodeId(node.to_owned()),
        from_ms: 0,
        to_ms: 0,
    };
    let there = found.findings.iter().filter(|finding| finding.is_there());
    let there = there.map(|finding| finding.concept.to_string()).collect();
    let verdict = Findings::default().place(&question.asks, found.findings, &spot, None);
    let (text, logprob) = words(&talking, heard, &verdict);
    let acts = talking.handle(Input::Said {
        text,
        logprob,
        verdict: verdict.clone(),
    });
    let closed = acts.into_iter().find_map(|act| match act {
        Act::Note(Note::TurnClosed { meaning }) => Some(meaning),
        Act::Note(_) | Act::Say(_) | Act::Listen(_) | Act::HangUp => None,
    });
    (closed.expect("every reply closes its turn"), there)
}

fn lexicon() -> Lexicon {
    Lexicon::compile(&text_files(&root().join("dialogs/redflags"), "tsv"))
        .expect("the shipped lexicon compiles")
}

fn by_sound(words: &str, logprob: f32, ahead: f32) -> Option<Chosen> {
    Some(Chosen {
        words: words.to_owned(),
        logprob,
        ahead,
    })
}

/// What is believed by its sound raises the same red flag as the words would: no finding is dropped.
#[test]
fn an_answer_told_by_its_sound_says_what_is_there() {
    let lexicon = lexicon();
    for (node, sound, means, there) in [
        ("falls", "有", "yes", Some("fall")),
        ("falls", "摔过", "yes", Some("fall")),
        ("falls", "没摔过", "no", None),
        ("eating", "吃不下", "no", Some("poor_appetite")),
        ("screen_faint", "没有晕倒过", "no", None),
        ("screen_faint", "晕倒过", "doubtful", Some("syncope")),
        ("screen_chest", "疼", "doubtful", Some("chest_pain")),
    ] {
        let heard = Transcript {
            text: "冤斗".to_owned(),
            logprob: -0.9,
            choice: by_sound(sound, -3.0, 4.0),
            ..Transcript::default()
        };
        let want = (
            means.to_owned(),
            there.map(str::to_owned).into_iter().collect(),
        );
        assert_eq!(answered(&lexicon, node, &heard), want, "{node}: {sound}");
    }
}

#[test]
fn what_is_doubtful_is_asked_about_and_nothing_emergent_is_denied_faintly() {
    let lexicon = lexicon();
    let emergency = "screen_chest";
    for (node, text, logprob, choice, otherwise, means) in [
        (emergency, "没有", -0.2, None, "", "no"),
        // 有 is in it, and no yes.
        ("screen_weak", "手脚都有劲", -0.2, None, "", "no"),
        (emergency, "没有", -1.4, None, "", "unclear"),
        (emergency, "没有", -0.7, None, "没油", "no"),
        // Another hearing holds an emergency.
        (emergency, "没有", -0.7, None, "胸口疼", "doubtful"),
        (emergency, "有", -0.2, None, "没有", "emergent"),
        // Only the script reads a yes in it.
        (emergency, "有电儿", -0.6, None, "", "doubtful"),
        // Words that say nothing, and a sound that does.
        (
            emergency,
            "美容",
            -0.2,
            by_sound("没有", -3.4, 3.5),
            "",
            "no",
        ),
        (
            emergency,
            "美容",
            -0.2,
            by_sound("没有", -8.4, 3.5),
            "",
            "unclear",
        ),
        (
            emergency,
            "美容",
            -0.2,
            by_sound("没有", -3.4, 1.9),
            "",
            "unclear",
        ),
        (
            emergency,
            "没有",
            -1.4,
            by_sound("没有", -3.4, 3.5),
            "",
            "no",
        ),
        (
            emergency,
            "没有",
            -1.4,
            by_sound("没有", -3.4, 1.9),
            "",
            "unclear",
        ),
        (
            emergency,
            "没有",
            -0.9,
            by_sound("有", -1.0, 3.0),
            "",
            "doubtful",
        ),
        (
            emergency,
            "要",
            -0.9,
            by_sound("有", -1.0, 3.0),
            "",
            "doubtful",
        ),
        ("falls", "美容", -0.2, by_sound("没有", -2.4, 1.2), "", "no"),
        ("falls", "要", -0.9, by_sound("有", -1.0, 3.0), "", "yes"),
        // Unsure words that resemble a usual denial, and a sound that denies.
        (
            "screen_faint",
            "没有缘头过",
            -1.1,
            by_sound("没有", -8.4, 2.9),
            "",
            "no",
        ),
        (
            "screen_faint",
            "没有缘头过",
            -1.4,
            by_sound("没有", -8.4, 2.9),
            "",
            "unclear",
        ),
        // Unsure words that say something else after the no.
        (
            "screen_faint",
            "没有头昏过",
            -1.1,
            by_sound("没有", -8.4, 2.9),
            "",
            "unclear",
        ),
        // Another hearing of a denial is a yes.
        ("falls", "不要过", -0.8, None, "有过", "unclear"),
        ("falls", "不要过", -0.8, None, "没有", "no"),
        // Points by their sound.
        (
            "satisfaction",
            "大西粉",
            -0.6,
            by_sound("十分", -6.0, 4.0),
            "",
            "10",
        ),
        (
            "satisfaction",
            "三",
            -0.9,
            by_sound("四", -6.0, 4.0),
            "",
            "unclear",
        ),
        (
            "satisfaction",
            "三",
            -0.9,
            by_sound("三分", -6.0, 4.0),
            "",
            "3",
        ),
        (
            "satisfaction",
            "不知道",
            -0.9,
            by_sound("七分", -6.0, 4.0),
            "",
            "unclear",
        ),
        (
            "satisfaction",
            "有",
            -0.9,
            by_sound("有", -1.0, 4.0),
            "",
            "unclear",
        ),
        ("satisfaction", "五打九分", -0.3, None, "", "9"),
        // Words and sound that say the opposite of each other.
        (
            "falls",
            "没有",
            -0.9,
            by_sound("有", -1.0, 3.0),
            "",
            "unclear",
        ),
        ("falls", "没有", -0.9, by_sound("没有", -1.0, 3.0), "", "no"),
        (
            emergency,
            "有",
            -0.9,
            by_sound("没有", -1.0, 3.0),
            "",
            "doubtful",
        ),
    ] {
        let heard = Transcript {
            text: text.to_owned(),
            logprob,
            choice,
            alternates: (!otherwise.is_empty())
                .then(|| otherwise.to_owned())
                .into_iter()
                .collect(),
            ..Transcript::default()
        };
        let found = meaning(&lexicon, node, &heard);
        assert_eq!(found, means, "{node}: {text} ({logprob}), {otherwise}");
    }
}
