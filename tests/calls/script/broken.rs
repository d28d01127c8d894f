//! Every rule refuses a script that breaks it, and names file and line.
//!
//! A fixture changes one place of the shipped files: `find` becomes `replace` in `file`. The error must carry
//! the rule and stand on a line that contains `at`, in that file unless `at` is empty.

use std::collections::BTreeSet;

use aftercall_core::script::check::check;
use aftercall_core::script::node::Rule;
use aftercall_core::script::{ScriptError, load};
use serde::Deserialize;

use super::files::{root, text_files};
use super::walk::concepts;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broken {
    rule: String,
    file: String,
    find: String,
    replace: String,
    at: String,
}

fn problems(files: &[(String, String)]) -> Vec<ScriptError> {
    match load(files) {
        Ok(scripts) => check(&scripts, &concepts()),
        Err(errors) => errors,
    }
}

#[test]
fn every_rule_refuses_the_script_that_breaks_it_and_names_the_line() {
    let shipped = text_files(&root().join("dialogs"), "toml");
    let mut proved: BTreeSet<String> = BTreeSet::new();
    let mut wrong = String::new();
    for (name, text) in text_files(&root().join("fixtures/scripts_broken"), "toml") {
        let broken: Broken = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut files = shipped.clone();
        let file = files
            .iter_mut()
            .find(|(n, _)| *n == broken.file)
            .expect("a shipped file");
        assert!(
            file.1.contains(&broken.find),
            "{name}: nothing to replace in {}",
            broken.file
        );
        file.1 = file.1.replacen(&broken.find, &broken.replace, 1);
        let found = problems(&files);
        let hit = found.iter().any(|error| {
            let text = files
                .iter()
                .find(|(n, _)| *n == error.at.file)
                .map(|(_, t)| t.as_str());
            let line = text.and_then(|t| t.lines().nth(error.at.line - 1));
            let there = broken.at.is_empty() || line.is_some_and(|l| l.contains(&broken.at));
            error.rule.to_string() == broken.rule && there && line.is_some()
        });
        if !hit {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            wrong.push_str(&format!(
                "{name}: no `{}`, but:\n  {}\n",
                broken.rule,
                found.join("\n  ")
            ));
        }
        proved.insert(broken.rule);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    let unproved: Vec<String> = Rule::ALL
        .iter()
        .map(ToString::to_string)
        .filter(|r| !proved.contains(r))
        .collect();
    assert!(
        unproved.is_empty(),
        "rules without a broken fixture: {unproved:?}"
    );
}
