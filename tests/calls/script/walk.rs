//! The shipped scripts against every rule.

use aftercall_core::id::ConceptId;
use aftercall_core::redflag::Lexicon;
use aftercall_core::script::check::{Concepts, check};
use aftercall_core::script::paths;

use super::files::{root, shipped, text_files};

/// The concepts of the shipped lexicon; before there is one, those that the shipped scripts name.
pub fn concepts() -> Concepts {
    let lexicon = Lexicon::compile(&text_files(&root().join("dialogs/redflags"), "tsv"));
    let known = Concepts::of(lexicon.expect("the shipped lexicon compiles").concepts());
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
