//! Packs held to `fixtures/redflag/packs.tsv`.

use std::fs;

use aftercall_core::finding::Urgency;
use aftercall_core::id::{ConceptId, PackId};
use aftercall_core::redflag::pack::Sign;
use aftercall_core::redflag::{Lexicon, LexiconError};

use crate::redflag::{files, root};

/// A sign as the table writes it: `fever`, `dyspnea.on_exertion`, `fever worse`.
struct Written {
    concept: ConceptId,
    detail: Option<String>,
    urgency: Urgency,
    worse: bool,
}

fn written(lexicon: &Lexicon, text: &str) -> Written {
    let (name, worse) = match text.strip_suffix(" worse") {
        Some(name) => (name, true),
        None => (text, false),
    };
    let (concept, detail) = match name.split_once('.') {
        Some((concept, detail)) => (concept, Some(detail)),
        None => (name, None),
    };
    let of_detail = detail.map(|id| {
        let known = lexicon.details().iter().find(|d| d.id == id);
        known.expect("the table names known details").urgency
    });
    let of_concept = lexicon.concepts().iter().find(|c| c.id.0 == concept);
    let usual = of_concept.expect("the table names known concepts").urgency;
    Written {
        concept: ConceptId(concept.to_owned()),
        detail: detail.map(str::to_owned),
        urgency: of_detail.unwrap_or(usual),
        worse,
    }
}

fn list(cell: &str) -> Vec<String> {
    let items = cell.split(',').map(str::trim);
    items
        .filter(|item| !item.is_empty() && *item != "-")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_row_of_signs_is_as_urgent_as_written() {
    let lexicon = Lexicon::compile(&files()).expect("the lexicon of the project compiles");
    let table = fs::read_to_string(root().join("fixtures/redflag/packs.tsv"))
        .expect("the fixture is in the repository");
    let mut rows = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let packs: Vec<PackId> = list(cells[0]).into_iter().map(PackId).collect();
        let said: Vec<Written> = list(cells[1])
            .iter()
            .map(|text| written(&lexicon, text))
            .collect();
        let signs: Vec<Sign<'_>> = said
            .iter()
            .map(|sign| Sign {
                concept: &sign.concept,
                detail: sign.detail.as_deref(),
                urgency: sign.urgency,
                worse: sign.worse,
            })
            .collect();
        let urgency = lexicon.packs().urgency(&packs, &signs);
        assert_eq!(urgency.to_string(), cells[2], "{line}");
        let raised = lexicon.packs().raise(&packs, &signs);
        let rules: Vec<&str> = raised.iter().map(|r| r.rule.id.as_str()).collect();
        assert_eq!(rules, list(cells[3]), "{line}");
        rows += 1;
    }
    assert!(rows >= 25, "the table has only {rows} rows");
}

#[test]
fn a_broken_detail_or_rule_is_named_with_file_and_line() {
    let cases = [
        (
            "wordings.zh.tsv",
            "dyspnea\tcyanosis\t嘴发紫",
            "`cyanosis` is no detail of `dyspnea`",
        ),
        (
            "wordings.zh.tsv",
            "dyspnea\tblue\t嘴发紫",
            "unknown detail `blue`",
        ),
        (
            "details.tsv",
            "x\tno_such\t\t\turgent\t\t\t",
            "unknown concept `no_such`",
        ),
        (
            "details.tsv",
            "at_rest\tdyspnea\t\t\temergent\t\t\t",
            "detail `at_rest` stands here twice",
        ),
        (
            "details.tsv",
            "x\tdyspnea\t\t\turgent\t\t\t",
            "less urgent than `dyspnea`, and no reason in why_lower",
        ),
        (
            "details.tsv",
            "x\tdyspnea\t\t\troutine\t\t\tsays so",
            "`dyspnea` alerts, so its details must as well",
        ),
        (
            "details.tsv",
            "x\tdyspnea\t\t\tsoon\t\t\t",
            "unknown urgency `soon`",
        ),
        (
            "mapping.tsv",
            "x\tP9\tfever\t\tsame_day\t",
            "unknown tier `P9`",
        ),
        (
            "mapping.tsv",
            "x\tP2\tfever\t\turgent\t",
            "it says urgent, the lexicon gives same_day",
        ),
        (
            "mapping.tsv",
            "x\tP1\tfever\t\tsame_day\t",
            "less urgent than P1, and no word of it in loss",
        ),
        (
            "mapping.tsv",
            "x\tP2\tfever\tat_rest\tsame_day\t",
            "`at_rest` is no detail of `fever`",
        ),
        (
            "packs.tsv",
            "cardiac\tx\tfevr\turgent\twhy",
            "unknown concept `fevr`",
        ),
        (
            "packs.tsv",
            "cardiac\tx\tfever.at_rest\turgent\twhy",
            "`at_rest` is no detail of `fever`",
        ),
        (
            "packs.tsv",
            "cardiac\tx\t@soon worse\turgent\twhy",
            "unknown urgency `soon`",
        ),
        (
            "packs.tsv",
            "cardiac\tcardiac-drug\tfever\turgent\twhy",
            "rule `cardiac-drug` stands here twice",
        ),
        (
            "packs.tsv",
            "cardiac\tx\tfever\turgent\t",
            "a rule needs a pack, an id and a reason",
        ),
    ];
    for (file, row, problem) in cases {
        let mut broken = files();
        let (_, text) = broken
            .iter_mut()
            .find(|(name, _)| name == file)
            .expect("it is one of the files");
        text.push_str(row);
        let line = text.lines().count();
        let errors = Lexicon::compile(&broken).expect_err(row);
        let expected = LexiconError::Line {
            file: file.to_owned(),
            line,
            problem: problem.to_owned(),
        };
        assert_eq!(errors, [expected], "{row}");
    }
}
