//! No hot word is a red flag: a word that is favoured is a word that noise may be taken for.

use std::fs;

use aftercall_core::question::Question;
use aftercall_core::redflag::{FILES, Lexicon, Reply, assess};
use aftercall_core::script::{hot, speaking};

use super::files::{root, shipped};

#[test]
fn no_hot_word_is_a_red_flag_by_itself() {
    let folder = root().join("dialogs/redflags");
    let files = FILES.map(|name| {
        let text = fs::read_to_string(folder.join(name)).expect("the lexicon is in the repository");
        (name.to_owned(), text)
    });
    let lexicon = Lexicon::compile(&files).expect("the shipped lexicon compiles");
    let mut judged = 0;
    for script in shipped() {
        let lang = script.lang;
        for node in script.nodes.iter().filter(|node| node.kind.asks()) {
            let asked = speaking::question_text(&script, node);
            for text in &hot::words(&node.kind, &asked, &node.asks, lang) {
                // Of no question at all, so that 有 is not yet an answer.
                let question = Question {
                    lang,
                    text: String::new(),
                    kind: Default::default(),
                    asks: Vec::new(),
                    respondent: Default::default(),
                };
                let judgement = assess(
                    &lexicon,
                    &question,
                    &Reply {
                        text,
                        logprob: None,
                    },
                );
                assert!(
                    judgement.findings.is_empty() && judgement.suppressed.is_empty(),
                    "{}: {text}: {judgement:?}",
                    node.id
                );
                judged += 1;
            }
        }
    }
    assert!(judged > 50, "{judged} words judged");
}
