//! What a second listening adds to what a call found: only what is new, and never as certain.

use aftercall_core::call::second_look::adds;
use aftercall_core::finding::{Confirmation, PlacedFinding, Polarity, Urgency};
use aftercall_core::id::{ConceptId, NodeId};
use aftercall_core::lang::Lang;
use aftercall_core::question::{Question, QuestionKind, Respondent};
use aftercall_core::redflag::{Lexicon, Reply, assess};

use crate::redflag::files;

fn question(asks: &str) -> Question {
    Question {
        lang: Lang::Zh,
        text: "您有没有胸口疼？".to_owned(),
        kind: QuestionKind::YesNo,
        asks: vec![ConceptId(asks.to_owned())],
        respondent: Respondent::Patient,
    }
}

/// What the call found in these words, as its confirming question left it.
fn known(lexicon: &Lexicon, said: &str, confirmation: Confirmation) -> Vec<PlacedFinding> {
    let reply = Reply {
        text: said,
        logprob: Some(-0.1),
    };
    let findings = assess(lexicon, &question("chest_pain"), &reply).findings;
    let place = |mut finding: aftercall_core::finding::Finding| {
        if finding.is_there() {
            finding.confirmation = confirmation;
        }
        PlacedFinding {
            finding,
            turn: 0,
            node: NodeId("chest".to_owned()),
            from_ms: 0,
            to_ms: 0,
            denied: None,
        }
    };
    findings.into_iter().map(place).collect()
}

#[test]
fn only_what_is_new_is_added() {
    let lexicon = Lexicon::compile(&files()).expect("the lexicon of the project compiles");
    let found = Confirmation::NotNeeded;
    for (first, settled, again, wanted) in [
        // Misheard, or not heard at all.
        ("凶口不堂", found, "胸口疼得厉害", vec!["chest_pain"]),
        ("", found, "有", vec!["chest_pain"]),
        ("没有", found, "没有，胸口不疼", vec![]),
        ("没有", found, "", vec![]),
        // The second ear disagrees with a denial: a person listens.
        ("没有", found, "有", vec!["chest_pain"]),
        ("胸口疼", found, "胸口疼，喘不上气", vec!["dyspnea"]),
        ("胸口疼", Confirmation::Confirmed, "胸口疼", vec![]),
        ("胸口疼", Confirmation::Unclear, "胸口疼", vec![]),
        // It was asked about, and denied.
        ("胸口疼", Confirmation::Denied, "胸口疼", vec![]),
    ] {
        let known = known(&lexicon, first, settled);
        let added = adds(&lexicon, &question("chest_pain"), (again, -0.2), &known);
        let names: Vec<&str> = added.iter().map(|f| f.concept.0.as_str()).collect();
        assert_eq!(names, wanted, "{first}, then {again}");
        for finding in added {
            assert_eq!(finding.polarity, Polarity::Uncertain);
            assert_eq!(finding.confirmation, Confirmation::Unclear);
            assert_eq!(finding.urgency, Urgency::Emergent);
        }
    }
}
