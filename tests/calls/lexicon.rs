//! The data of `dialogs/redflags` held to itself: every wording is heard, and the clinical table is mapped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use aftercall_core::finding::Polarity;
use aftercall_core::id::ConceptId;
use aftercall_core::lang::Lang;
use aftercall_core::question::Question;
use aftercall_core::redflag::mapping::Destination;
use aftercall_core::redflag::{Lexicon, Reply, assess};
use aftercall_core::script::node::Jump;

use crate::redflag::{files, root};

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let kept = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    kept.map(|line| line.split('\t').collect())
}

/// Wordings and concepts that are not heard when said alone, with the reason in the file.
fn unsaid() -> BTreeSet<(String, String)> {
    let path = root().join("fixtures/redflag/wordings_unsaid.tsv");
    let text = fs::read_to_string(path).expect("the fixture is in the repository");
    let pairs = rows(&text).map(|cells| {
        assert!(!cells[2].is_empty(), "`{}` needs a reason", cells[0]);
        (cells[0].to_owned(), cells[1].to_owned())
    });
    pairs.collect()
}

#[test]
fn every_plain_wording_said_alone_is_its_concept_and_detail() {
    let files = files();
    let lexicon = Lexicon::compile(&files).expect("the lexicon of the project compiles");
    let unsaid = unsaid();
    let (mut wrong, mut judged) = (Vec::new(), 0);
    for (file, lang) in [("wordings.zh.tsv", Lang::Zh), ("wordings.en.tsv", Lang::En)] {
        let (_, text) = files
            .iter()
            .find(|(name, _)| name == file)
            .expect("it is a file");
        for cells in rows(text).skip(1) {
            let (concept, detail) = (cells[0], cells[1]);
            let plain = cells[2].split('|').map(str::trim);
            for wording in plain.filter(|w| !w.is_empty() && !w.contains(['{', '~'])) {
                let question = Question {
                    lang,
                    text: String::new(),
                    kind: Default::default(),
                    asks: Vec::new(),
                    respondent: Default::default(),
                };
                let reply = Reply {
                    text: wording,
                    logprob: None,
                };
                let found = assess(&lexicon, &question, &reply).findings;
                let heard = found.iter().any(|finding| {
                    finding.concept.0 == concept
                        && finding.polarity == Polarity::Present
                        && (detail.is_empty() || finding.detail.as_deref() == Some(detail))
                });
                let excused = unsaid.contains(&(wording.to_owned(), concept.to_owned()));
                if heard == excused {
                    let what = if heard {
                        "heard, but excused"
                    } else {
                        "not heard"
                    };
                    wrong.push(format!("{file}: {concept} {detail} `{wording}`: {what}"));
                }
                judged += 1;
            }
        }
    }
    assert!(judged > 4_000, "only {judged} wordings");
    assert!(
        wrong.is_empty(),
        "mend them, or excuse them in fixtures/redflag/wordings_unsaid.tsv:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_group_of_the_clinical_table_is_mapped() {
    let lexicon = Lexicon::compile(&files()).expect("the lexicon of the project compiles");
    let mut tiers: BTreeMap<&str, &str> = BTreeMap::new();
    let mut concepts: BTreeSet<&ConceptId> = BTreeSet::new();
    for row in lexicon.mapping() {
        let tier = *tiers.entry(&row.group).or_insert(&row.tier);
        assert_eq!(tier, row.tier, "group {} has two tiers", row.group);
        match &row.to {
            Destination::Concept { concept, .. } => {
                concepts.insert(concept);
            }
            Destination::Command(name) => {
                let known = Jump::ALL.iter().any(|jump| jump.to_string() == *name);
                assert!(known, "group {}: unknown command {name}", row.group);
            }
        }
    }
    assert_eq!(tiers.len(), 67);
    let used = lexicon.details().iter().filter(|detail| {
        let told = |row: &&aftercall_core::redflag::mapping::Mapped| {
            matches!(&row.to, Destination::Concept { detail: Some(id), .. } if *id == detail.id)
        };
        lexicon.mapping().iter().any(|row| told(&row))
    });
    assert_eq!(
        used.count(),
        lexicon.details().len(),
        "a detail that no group needs"
    );
}
