//! `aftercall redflags` as clinicians use it: labelling blind at a terminal, comparing two raters.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aftercall::eval::set::{self, OWN, Set};
use serde_json::{Value, json};

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Desk {
        Desk(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, lines: &[Value]) -> PathBuf {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.path(name), text).expect("the folder is writable");
        self.path(name)
    }

    /// A set of so many replies, each with a label and a note that no rater may see.
    fn set(&self, count: u32) -> PathBuf {
        let items: Vec<Value> = (0..count)
            .map(|number| {
                json!({
                    "id": format!("i{number}"), "lang": "zh", "question": "您胸口疼吗？", "reply": format!("第{number}次有点疼"),
                    "context": { "type": "yes_no", "asks": ["chest_pain"], "respondent": "patient" },
                    "expected": [{ "concept": "chest_pain", "polarity": "present" }], "alert": true,
                    "category": "colloquial", "source": "authored", "note": "SECRET"
                })
            })
            .collect();
        self.put("set.jsonl", &items)
    }
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("it was written");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn redflags(args: &[&str], typed: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .arg("redflags")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that refuses its arguments reads nothing.
    stdin.write_all(typed.as_bytes()).ok();
    drop(stdin);
    child.wait_with_output().expect("a child of ours")
}

fn label(set: &Path, rater: &str, out: &Path, more: &[&str], typed: &str) -> Output {
    let (set, out) = (set.display().to_string(), out.display().to_string());
    let mut args = vec!["label", &set, "--rater", rater, "--out", &out];
    args.extend(more);
    redflags(&args, typed)
}

#[test]
fn a_rater_labels_blind_and_goes_on_where_they_stopped() {
    let desk = Desk::new();
    let (set, out) = (desk.set(5), desk.path("li.jsonl"));
    // A misspelt concept and a state that is none are asked again; the second reply is corrected before it is kept.
    let typed = "chest_pian 有\nchest_pain 也许\nchest_pain 有, fever 没有\ny\ny\n\nn\nn\ndyspnea 可能\ny\ny\nq\n";
    let first = label(&set, "li", &out, &["--count", "4"], typed);
    assert!(first.status.success(), "{first:?}");
    let seen = text(&first.stdout);
    assert!(
        seen.contains("chest_pain?") && seen.contains("没有这个状态"),
        "{seen}"
    );
    assert!(
        !seen.contains("SECRET") && !seen.contains("colloquial"),
        "{seen}"
    );
    assert!(seen.contains("已标注 2 / 4"), "{seen}");
    let labelled = rows(&out);
    assert_eq!(labelled.len(), 2);
    let expected = json!([
        { "concept": "chest_pain", "polarity": "present" }, { "concept": "fever", "polarity": "absent" }
    ]);
    assert_eq!(
        (&labelled[0]["expected"], &labelled[0]["alert"]),
        (&expected, &json!(true))
    );
    assert_eq!(
        labelled[1]["expected"],
        json!([{ "concept": "dyspnea", "polarity": "uncertain" }])
    );
    assert_eq!(labelled[1]["labelled_by"], "li");
    let second = label(&set, "li", &out, &["--count", "4"], "\nn\ny\n\nn\ny\n");
    assert!(text(&second.stdout).contains("已标注 4 / 4"), "{second:?}");
    let all = rows(&out);
    assert_eq!(all[..2], labelled[..], "what was labelled stays");
    let mut ids: Vec<&str> = all
        .iter()
        .map(|row| row["id"].as_str().expect("an id"))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let third = label(&set, "li", &out, &["--count", "4"], "");
    assert!(
        third.status.success() && rows(&out).len() == 4,
        "nothing is left: {third:?}"
    );
    // The file is a set: it scores, and says whose labels it has.
    let path = out.display().to_string();
    let scored = text(&redflags(&["eval", &path], "").stdout);
    assert!(
        scored.contains("4 items. The labels were given blind by li."),
        "{scored}"
    );
}

#[test]
fn a_file_belongs_to_one_rater_and_one_sample() {
    let desk = Desk::new();
    let (set, out) = (desk.set(30), desk.path("li.jsonl"));
    label(
        &set,
        "li",
        &out,
        &["--count", "3"],
        "\nn\ny\n\nn\ny\n\nn\ny\n",
    );
    for (rater, more) in [("wang", ["--count", "3"]), ("li", ["--seed", "9"])] {
        let more = if rater == "li" {
            vec![more[0], more[1], "--count", "3"]
        } else {
            more.to_vec()
        };
        let refused = label(&set, rater, &out, &more, "\nn\ny\n");
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(text(&refused.stderr).contains("li.jsonl:"), "{refused:?}");
        assert_eq!(rows(&out).len(), 3, "nothing is added");
    }
}

#[test]
fn two_raters_get_the_same_replies_in_another_order() {
    let desk = Desk::new();
    let set = desk.set(60);
    let order = |rater: &str| -> Vec<String> {
        let out = desk.path(&format!("{rater}.jsonl"));
        label(
            &set,
            rater,
            &out,
            &["--count", "20"],
            &"\nn\ny\n".repeat(20),
        );
        let ids = rows(&out).into_iter().map(|row| row["id"].to_string());
        ids.collect()
    };
    let (li, wang) = (order("li"), order("wang"));
    assert_eq!(li.len(), 20);
    assert_ne!(li, wang);
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(sorted(li), sorted(wang));
}

#[test]
fn kappa_is_printed_for_the_alert_and_each_concept() {
    let desk = Desk::new();
    // Cohen's kappa 0.4: both yes 20, only the first 5, only the second 10, neither 15.
    let cells = [
        (true, true, 20),
        (true, false, 5),
        (false, true, 10),
        (false, false, 15),
    ];
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (a, b, count) in cells {
        for _ in 0..count {
            let id = first.len();
            let row = |alert: bool| {
                let fever = json!([{ "concept": "fever", "polarity": if alert { "uncertain" } else { "absent" } }]);
                json!({ "id": format!("i{id}"), "expected": fever, "alert": alert })
            };
            first.push(row(a));
            second.push(row(b));
        }
    }
    first.push(json!({ "id": "only li", "expected": [], "alert": false }));
    let (li, wang) = (
        desk.put("li.jsonl", &first),
        desk.put("wang.jsonl", &second),
    );
    let (li, wang) = (li.display().to_string(), wang.display().to_string());
    let compared: Value = serde_json::from_str(&text(
        &redflags(&["kappa", &li, &wang, "--json"], "").stdout,
    ))
    .expect("JSON");
    assert_eq!(
        (
            &compared["items"],
            &compared["only_first"],
            &compared["only_second"]
        ),
        (&json!(50), &json!(1), &json!(0))
    );
    let by_name: BTreeMap<&str, &Value> = compared["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["what"].as_str().expect("a name"), row))
        .collect();
    for what in ["alert", "fever"] {
        let row = by_name[what];
        assert_eq!(row["counts"], json!([20, 5, 10, 15]), "{what}");
        assert!(
            (row["kappa"].as_f64().expect("a number") - 0.4).abs() < 1e-9,
            "{row}"
        );
    }
    let table = text(&redflags(&["kappa", &li, &wang], "").stdout);
    assert!(
        table.contains("0.400")
            && table.contains("70.0 %")
            && table.contains("50 replies labelled by both"),
        "{table}"
    );
    let stranger = desk.put(
        "zhao.jsonl",
        &[json!({ "id": "x", "expected": [], "alert": false })],
    );
    let refused = redflags(&["kappa", &li, &stranger.display().to_string()], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("no reply is labelled in both files"),
        "{refused:?}"
    );
}

/// Every concept, wording and threshold stands on the page; nothing on it asks the network for anything.
#[test]
fn the_report_holds_everything_a_clinician_signs() {
    let desk = Desk::new();
    let (set, page) = (desk.set(12), desk.path("page.html"));
    let named = format!("<b>own=={}", set.display()).replacen("==", "=", 1);
    let out = page.display().to_string();
    let written = redflags(&["report", "--set", &named, "--out", &out], "");
    assert!(written.status.success(), "{written:?}");
    assert!(
        text(&written.stdout).contains("The labels are not a clinician's."),
        "{written:?}"
    );
    let html = std::fs::read_to_string(&page).expect("it was written");
    for (name, body) in [
        (
            "concepts.tsv",
            include_str!("../../dialogs/redflags/concepts.tsv"),
        ),
        (
            "wordings.zh.tsv",
            include_str!("../../dialogs/redflags/wordings.zh.tsv"),
        ),
        (
            "wordings.en.tsv",
            include_str!("../../dialogs/redflags/wordings.en.tsv"),
        ),
        (
            "maskers.tsv",
            include_str!("../../dialogs/redflags/maskers.tsv"),
        ),
        (
            "cues.zh.tsv",
            include_str!("../../dialogs/redflags/cues.zh.tsv"),
        ),
        (
            "thresholds.tsv",
            include_str!("../../dialogs/redflags/thresholds.tsv"),
        ),
        (
            "packs.tsv",
            include_str!("../../dialogs/redflags/packs.tsv"),
        ),
        (
            "details.tsv",
            include_str!("../../dialogs/redflags/details.tsv"),
        ),
    ] {
        let rows = body
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .skip(1);
        let plain = |text: &str| {
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
        };
        for row in rows {
            let cells = row
                .split('\t')
                .flat_map(|cell| cell.split('|'))
                .map(str::trim);
            for cell in cells.filter(|cell| !cell.is_empty() && !cell.contains('{')) {
                assert!(
                    html.contains(&plain(cell)),
                    "{name}: `{cell}` is not on the page"
                );
            }
        }
    }
    // 12 replies, all labelled and judged as chest pain: 12 of 12, from 75.8 % (Wilson) on.
    assert!(
        html.contains("100.0 % (75.8–100.0) 12/12"),
        "the score of chest pain"
    );
    assert!(
        html.contains(" → present") && html.contains("temperature_c ≥ "),
        "thresholds"
    );
    assert!(
        html.contains("&lt;b&gt;own") && !html.contains("<b>own"),
        "texts are escaped"
    );
    assert_eq!(
        html.matches("The labels are not a clinician&#39;s.")
            .count()
            + html.matches("The labels are not a clinician's.").count(),
        2
    );
    for outside in ["http:", "https:", "src=", "<script", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    for (at, _) in html.match_indices("href=\"#") {
        let anchor = html[at + 7..].split('"').next().expect("it is closed");
        assert!(
            html.contains(&format!("id=\"{anchor}\"")),
            "#{anchor} leads nowhere"
        );
    }
    let again = desk.path("again.html");
    redflags(
        &[
            "report",
            "--set",
            &named,
            "--out",
            &again.display().to_string(),
        ],
        "",
    );
    assert_eq!(
        std::fs::read_to_string(&again).expect("it was written"),
        html,
        "the same bytes"
    );
    let wrong = redflags(&["report", "--set", "dev.jsonl"], "");
    assert!(
        !wrong.status.success() && text(&wrong.stderr).contains("NAME=FILE"),
        "{wrong:?}"
    );
}

/// A rule that the page does not explain would be a rule that nobody has signed.
#[test]
fn every_rule_that_fires_is_explained_on_the_page() {
    use aftercall_core::lang::Lang;
    use aftercall_core::question::{Question, QuestionKind, Respondent};
    use aftercall_core::redflag::{Reply, assess};
    let lexicon = aftercall::redflags::load(None).expect("the built-in lexicon");
    let mut seen = std::collections::BTreeSet::new();
    for line in include_str!("../../fixtures/redflag/replies.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let cells: Vec<&str> = line.split('\t').collect();
        let [reply, kind, asks, respondent, ..] = cells[..] else {
            continue;
        };
        let word = |text: &str| Value::String(text.to_owned());
        let kind: QuestionKind = serde_json::from_value(word(kind)).expect("a kind of question");
        let respondent: Respondent =
            serde_json::from_value(word(respondent)).expect("a respondent");
        let asks = asks.split(',').filter(|id| !id.is_empty() && *id != "-");
        let question = Question {
            lang: if reply.is_ascii() { Lang::En } else { Lang::Zh },
            text: cells.get(5).copied().unwrap_or_default().to_owned(),
            kind,
            asks: asks
                .map(|id| aftercall_core::id::ConceptId(id.to_owned()))
                .collect(),
            respondent,
        };
        let assessment = assess(
            &lexicon,
            &question,
            &Reply {
                text: reply,
                logprob: None,
            },
        );
        let rules = assessment
            .findings
            .iter()
            .flat_map(|finding| &finding.evidence.rules);
        seen.extend(rules.map(|fired| fired.rule.clone()));
        let asked = assessment
            .suppressed
            .iter()
            .flat_map(|kept| &kept.evidence.rules);
        seen.extend(asked.map(|fired| fired.rule.clone()));
    }
    for own in OWN.map(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path)) {
        if !own.exists() {
            continue;
        }
        let set = set::load(&own, lexicon.concepts()).expect("our own rows");
        let Set::Replies(items) = set else {
            panic!("our own rows are replies");
        };
        for item in &items {
            let reply = Reply {
                text: &item.reply,
                logprob: None,
            };
            let assessment = assess(&lexicon, &item.question, &reply);
            let found = assessment.findings.iter().map(|one| &one.evidence);
            let kept = assessment.suppressed.iter().map(|one| &one.evidence);
            let rules = found.chain(kept).flat_map(|evidence| &evidence.rules);
            seen.extend(rules.map(|fired| fired.rule.clone()));
        }
    }
    assert!(seen.len() > 12, "the replies meet most rules: {seen:?}");
    for rule in seen {
        let explained = aftercall::report::RULES
            .iter()
            .any(|(id, _, _)| *id == rule);
        assert!(explained, "{rule} is not explained in src/report/rules.rs");
    }
}
