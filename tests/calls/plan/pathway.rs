//! Which pathway a stay gets, what it plans, and what is wrong with a file, by its line.

use aftercall_core::plan::{Case, Pathway, Pathways, Risk};

use super::{episode, patient};

fn file(id: &str, when: &str, steps: &str) -> Pathway {
    let text = format!(
        "version = 1\nscript = \"cardiac\"\nreviewed = {{ by = \"Dr Lin\", on = \"2026-11-01\" }}\n[when]\n{when}\n{steps}"
    );
    Pathway::parse(id, id, &text).expect("a sound pathway")
}

const DAY_3: &str = "[[step]]\nday = 3\ngrace_days = 2\n";

#[test]
fn the_pathway_that_asks_for_more_is_chosen() {
    let pathways = Pathways {
        list: vec![
            file("anybody", "", DAY_3),
            file("heart", "diagnoses = [\"I5\"]", DAY_3),
            file("failure", "diagnoses = [\"I50\"]", DAY_3),
            file(
                "failure_high",
                "diagnoses = [\"I50\"]\nrisk = [\"high\"]",
                DAY_3,
            ),
            file(
                "failure_ward",
                "diagnoses = [\"I50\"]\ndepartments = [\"CCU\"]",
                DAY_3,
            ),
            file("low", "risk = [\"low\"]", DAY_3),
        ],
        ..Pathways::default()
    };
    let discharged = "2026-03-02T03:00:00Z".parse().expect("an instant");
    for (codes, risk, department, named, expected) in [
        ("", None, "", "", Some("anybody")),
        ("I51.4", None, "", "", Some("heart")),
        ("i509", None, "", "", Some("failure")),
        ("E11 I50.9", Some(Risk::High), "", "", Some("failure_high")),
        ("I50.9", Some(Risk::High), "CCU", "", Some("failure_ward")),
        ("J44", Some(Risk::Low), "", "", Some("low")),
        ("I50.9", None, "", "low", Some("low")),
        ("I50.9", None, "", "surgery", None),
    ] {
        let mut episode = episode(discharged);
        (episode.department, episode.pathway) = (department.into(), named.into());
        let case = Case {
            diagnoses: codes.split_whitespace().map(str::to_owned).collect(),
            risk,
        };
        let plan = pathways
            .plan(&patient("Asia/Shanghai"), &episode, &case)
            .expect("a plan");
        assert_eq!(
            plan.pathway.as_deref(),
            expected,
            "{codes} {risk:?} {department} {named}"
        );
        if expected.is_none() {
            assert_eq!(
                (plan.script.as_str(), plan.steps.len()),
                ("surgery", 4),
                "the usual days"
            );
        }
    }
    let none = Pathways::default();
    let mut unnamed = episode(discharged);
    unnamed.pathway.clear();
    assert_eq!(
        none.plan(&patient("Asia/Shanghai"), &unnamed, &Case::default()),
        None
    );
}

#[test]
fn calls_tasks_and_messages_keep_their_days_and_their_ids() {
    let repeat = "[[repeat]]\nfrom = 30\nevery = 30\nuntil = 90\ngrace_days = 7\n";
    let others = "[[step]]\nday = 91\ngrace_days = 14\ntask = \"quarterly_review\"\n[[step]]\nday = 1\ngrace_days = 3\neducation = \"welcome\"\n";
    let pathways = Pathways {
        list: vec![file("middle", "", &format!("{DAY_3}{repeat}{others}"))],
        ..Pathways::default()
    };
    let discharged = "2026-03-02T03:00:00Z".parse().expect("an instant");
    let mut episode = episode(discharged);
    episode.pathway.clear();
    let plan = || {
        pathways
            .plan(&patient("Asia/Shanghai"), &episode, &Case::default())
            .expect("a plan")
    };
    assert_eq!(plan(), plan());
    let calls: Vec<String> = plan()
        .steps
        .iter()
        .map(|step| format!("{} {} {}", step.id, step.script, step.due_on))
        .collect();
    assert_eq!(
        calls,
        [
            "e1.d3 cardiac 2026-03-05",
            "e1.d30 cardiac 2026-04-01",
            "e1.d60 cardiac 2026-05-01",
            "e1.d90 cardiac 2026-05-31"
        ]
    );
    let errands: Vec<String> = plan()
        .errands
        .iter()
        .map(|errand| format!("{} {} {}", errand.id, errand.due_on, errand.lapses_on))
        .collect();
    assert_eq!(
        errands,
        [
            "e1.d1 2026-03-03 2026-03-07",
            "e1.d91 2026-06-01 2026-06-16"
        ]
    );
}

#[test]
fn a_broken_pathway_is_named_by_its_line() {
    let head =
        "version = 1\nscript = \"cardiac\"\nreviewed = { by = \"Dr Lin\", on = \"2026-11-01\" }\n";
    for (text, expected) in [
        (
            "version = 1\nscript = \"cardiac\"\n[[step]]\nday = 3\ngrace_days = 2\n".to_owned(),
            "p.toml:1: missing field `reviewed`",
        ),
        (
            format!("{head}[when]\ndiagnosis = []\n"),
            "p.toml:5: unknown field `diagnosis`",
        ),
        (
            format!("{head}{DAY_3}{DAY_3}"),
            "p.toml:7: day 3 has two steps",
        ),
        (
            format!("{head}[[step]]\nday = 0\ngrace_days = 2\n"),
            "p.toml:4: day 0 is outside 1 to 730",
        ),
        (
            format!("{head}[[repeat]]\nfrom = 9\nevery = 0\nuntil = 20\ngrace_days = 2\n"),
            "p.toml:4: needs every > 0",
        ),
        (
            format!("{head}[[repeat]]\nfrom = 7\nevery = 7\nuntil = 14\ngrace_days = 7\n"),
            "p.toml:1: the grace of day 7 reaches the call of day 14",
        ),
        (
            format!("{head}{DAY_3}task = \"a\"\neducation = \"b\"\n"),
            "p.toml:4: a step is a task or education, not both",
        ),
        (head.to_owned(), "p.toml:1: the pathway has no step"),
        (
            format!("{}{DAY_3}", head.replace("Dr Lin", " ")),
            "p.toml:3: reviewed.by is empty",
        ),
    ] {
        let errors = Pathway::parse("p.toml", "p", &text).expect_err(expected);
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(
            said.iter().any(|error| error.starts_with(expected)),
            "{expected}: {said:?}"
        );
    }
}
