//! The audit sample: drawn as calls end, decided once, counted by stratum; over the store, the API and the program.

use std::process::{Command, Output};

use aftercall::config::Config;
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules};
use aftercall::store::audit_item::{AuditItem, AuditState, Decision, Period};
use aftercall::store::page::PageRequest;
use aftercall::store::{Store, StoreError};
use aftercall::vault::Source;
use aftercall_core::attempt::Disposition;
use aftercall_core::audit::{Decided, Drawn, Judged, Subject, Tally, Verdict};
use aftercall_core::finding::{PlacedFinding, Urgency};
use aftercall_core::id::ConceptId;
use aftercall_core::work_order::{Act, Outcome};
use reqwest::Method;
use serde_json::{Value, json};

use crate::record::{at, calling, deadlines, finding, finish, master_key};
use crate::web::{Server, body, problem, send};

/// A call of a new patient that ended so: its order, where it raised one.
async fn ended(
    store: &Store,
    number: &str,
    findings: Vec<PlacedFinding>,
    drawn: &[(Subject, f64)],
) -> Option<aftercall_core::id::WorkOrderId> {
    let (new, _) = calling(store, number).await;
    let alerted = !findings.is_empty();
    let mut end = finish(&new, Disposition::Completed, findings);
    let drawn = drawn.iter().map(|(subject, share)| Drawn {
        subject: *subject,
        share: *share,
    });
    end.audit = Some(Judged {
        alerted,
        drawn: drawn.collect(),
    });
    let finished = store.finish_attempt(&end).await.expect("it ends");
    finished.raised.map(|raised| raised.id)
}

async fn items(store: &Store, state: Option<AuditState>) -> Vec<AuditItem> {
    let page = PageRequest {
        limit: 200,
        after: None,
    };
    store.audit_items(state, &page).await.expect("listed").items
}

fn says(verdict: Verdict) -> Decision {
    Decision {
        verdict,
        missed: None,
        note: "听了录音".to_owned(),
    }
}

fn pain() -> Vec<PlacedFinding> {
    vec![finding("chest_pain", Urgency::Emergent)]
}

pub async fn a_call_is_drawn_in_the_transaction_that_ends_it(store: Store) {
    let (new, _) = calling(&store, "1").await;
    let mut end = finish(&new, Disposition::Completed, vec![]);
    end.audit = Some(Judged {
        alerted: false,
        drawn: vec![
            Drawn {
                subject: Subject::Call,
                share: 0.05,
            },
            Drawn {
                subject: Subject::Suppressed(0),
                share: 0.1,
            },
        ],
    });
    store.finish_attempt(&end).await.expect("it ends");
    let again = store.finish_attempt(&end).await.expect_err("it has ended");
    assert!(matches!(again, StoreError::Conflict { .. }), "{again:?}");
    let drawn = items(&store, Some(AuditState::Open)).await;
    let shown: Vec<_> = drawn
        .iter()
        .map(|item| {
            (
                item.attempt.clone(),
                item.subject,
                item.concept.clone(),
                item.share,
                item.drawn_at,
            )
        })
        .collect();
    let dyspnea = Some(ConceptId("dyspnea".to_owned()));
    assert_eq!(
        shown,
        [
            (new.id.clone(), Subject::Call, None, 0.05, at(120)),
            (
                new.id.clone(),
                Subject::Suppressed(0),
                dyspnea,
                0.1,
                at(120)
            ),
        ]
    );
    // A call that fails to end leaves nothing drawn: no such step's attempt.
    let mut lost = end.clone();
    lost.attempt = aftercall_core::id::AttemptId("none".to_owned());
    store.finish_attempt(&lost).await.expect_err("no such call");
    assert_eq!(items(&store, None).await.len(), 2);
    let one = PageRequest {
        limit: 1,
        after: None,
    };
    let first = store.audit_items(None, &one).await.expect("listed");
    let rest = PageRequest {
        limit: 1,
        after: first.next,
    };
    let rest = store.audit_items(None, &rest).await.expect("listed");
    assert_eq!((rest.items, rest.next), (drawn[1..].to_vec(), None));
}

pub async fn an_item_gets_one_verdict(store: Store) {
    ended(
        &store,
        "1",
        vec![],
        &[(Subject::Call, 0.05), (Subject::Suppressed(0), 0.1)],
    )
    .await;
    let drawn = items(&store, None).await;
    let (right, missed) = (says(Verdict::Right), says(Verdict::Missed));
    let (one, other) = tokio::join!(
        store.decide_audit_item(&drawn[0].id, &right, "li", at(500)),
        store.decide_audit_item(&drawn[0].id, &right, "wang", at(501)),
    );
    let (won, lost) = if one.is_ok() {
        (one, other)
    } else {
        (other, one)
    };
    let won = won.expect("one of two decides");
    assert!(matches!(lost, Err(StoreError::Conflict { state, .. }) if state == "decided"));
    assert_eq!(
        (won.verdict, won.state),
        (Some(Verdict::Right), AuditState::Decided)
    );
    assert!(won.decided_by.is_some() && won.decided_at.is_some() && won.note.is_some());
    let kept = store
        .decide_audit_item(&drawn[1].id, &missed, "li", at(502))
        .await
        .expect("the other item is open");
    assert_eq!(
        kept.missed, kept.concept,
        "what was suppressed is what was missed"
    );
    let none = store.decide_audit_item("none", &right, "li", at(503)).await;
    assert!(matches!(none, Err(StoreError::NotFound { .. })));
    assert!(items(&store, Some(AuditState::Open)).await.is_empty());
    let counted = store.audit_items_by_verdict().await.expect("counted");
    assert_eq!(
        counted,
        [
            ("call".to_owned(), Some(Verdict::Right), 1),
            ("suppressed".to_owned(), Some(Verdict::Missed), 1),
        ]
    );
}

pub async fn a_tally_counts_both_strata(store: Store) {
    for (number, outcome) in [
        ("1", Some(Outcome::True)),
        ("2", Some(Outcome::False)),
        ("3", Some(Outcome::Unreachable)),
        ("4", None),
    ] {
        let order = ended(&store, number, pain(), &[(Subject::Suppressed(0), 0.1)]).await;
        let order = order.expect("an alert raises an order");
        if let Some(outcome) = outcome {
            store
                .act_on_work_order(
                    &order,
                    &Act::Acknowledge,
                    "nurse",
                    "",
                    &deadlines(),
                    at(200),
                )
                .await
                .expect("open");
            store
                .act_on_work_order(&order, &Act::Speak, "nurse", "", &deadlines(), at(250))
                .await
                .expect("open");
            store
                .act_on_work_order(
                    &order,
                    &Act::Close { outcome },
                    "nurse",
                    "",
                    &deadlines(),
                    at(300),
                )
                .await
                .expect("hers");
        }
    }
    for (number, share) in [("5", 0.05), ("6", 0.05), ("7", 0.2)] {
        ended(&store, number, vec![], &[(Subject::Call, share)]).await;
    }
    ended(&store, "8", vec![], &[]).await;
    let verdicts = [
        Verdict::Right,
        Verdict::Right,
        Verdict::Wrong,
        Verdict::Missed,
        Verdict::Right,
        Verdict::Missed,
    ];
    let drawn = items(&store, None).await;
    for (item, verdict) in drawn.iter().zip(verdicts) {
        store
            .decide_audit_item(&item.id, &says(verdict), "qa", at(400))
            .await
            .expect("open");
    }
    let decided = |share, verdict, items| Decided {
        share,
        verdict,
        items,
    };
    let expected = Tally {
        alerted_calls: 4,
        alerted_true: 1,
        alerted_false: 1,
        quiet_calls: 4,
        // Seven, drawn by another share, is still open.
        calls: vec![
            decided(0.05, Verdict::Missed, 1),
            decided(0.05, Verdict::Right, 1),
        ],
        suppressed: vec![
            decided(0.1, Verdict::Missed, 1),
            decided(0.1, Verdict::Right, 2),
            decided(0.1, Verdict::Wrong, 1),
        ],
    };
    let tally = store
        .audit_tally(&Period::default())
        .await
        .expect("counted");
    assert_eq!(tally, expected);
    let later = Period {
        since: Some(at(121)),
        until: None,
    };
    let earlier = Period {
        since: None,
        until: Some(at(120)),
    };
    for empty in [later, earlier] {
        assert_eq!(
            store.audit_tally(&empty).await.expect("counted"),
            Tally::default()
        );
    }
}

pub async fn a_late_alert_is_no_quiet_call(store: Store) {
    let (new, _) = calling(&store, "1").await;
    let mut closed = finish(&new, Disposition::Interrupted, vec![]);
    closed.audit = Some(Judged {
        alerted: false,
        drawn: vec![Drawn {
            subject: Subject::Call,
            share: 1.0,
        }],
    });
    store
        .finish_attempt(&closed)
        .await
        .expect("closed by the next start");
    assert_eq!(items(&store, Some(AuditState::Open)).await.len(), 1);
    let mut late = finish(&new, Disposition::Completed, pain());
    late.audit = Some(Judged {
        alerted: true,
        drawn: vec![],
    });
    assert!(store.finish_attempt(&late).await.expect("kept").late);
    assert!(items(&store, None).await.is_empty());
    let tally = store
        .audit_tally(&Period::default())
        .await
        .expect("counted");
    assert_eq!((tally.alerted_calls, tally.quiet_calls), (1, 0));
}

/// The shares of the configuration reach the end of every call.
#[tokio::test]
async fn a_recorded_call_is_drawn_by_the_configured_shares() {
    for (share, expected) in [(1.0, 2), (0.0, 0)] {
        let store = Store::open("sqlite::memory:", &master_key())
            .await
            .expect("a new database");
        let (new, _) = calling(&store, "1").await;
        let mut config = Config::default();
        config.audit.share_calls = share;
        config.audit.share_suppressed = share;
        let rules = Rules::of(&config, PlanClock::system(), crate::record::clinic())
            .expect("the defaults are lawful");
        let record = finish(&new, Disposition::Completed, vec![]).record;
        let told = Report {
            attempt: new.id.clone(),
            what: Told::Ended(Box::new(record)),
        };
        Recorder::new(store.clone(), rules).record(&told).await;
        assert_eq!(
            items(&store, None).await.len(),
            expected,
            "a share of {share}"
        );
        let tally = store
            .audit_tally(&Period::default())
            .await
            .expect("counted");
        assert_eq!(tally.quiet_calls, 1, "it counts, drawn or not");
    }
}

#[tokio::test]
async fn qa_decides_over_the_api_and_reads_the_figures() {
    let server = Server::start().await;
    let order = ended(&server.store, "1", pain(), &[])
        .await
        .expect("an alert");
    server
        .store
        .act_on_work_order(
            &order,
            &Act::Acknowledge,
            "nurse",
            "",
            &deadlines(),
            at(200),
        )
        .await
        .expect("open");
    server
        .store
        .act_on_work_order(&order, &Act::Speak, "nurse", "", &deadlines(), at(250))
        .await
        .expect("open");
    server
        .store
        .act_on_work_order(
            &order,
            &Act::Close {
                outcome: Outcome::True,
            },
            "nurse",
            "",
            &deadlines(),
            at(300),
        )
        .await
        .expect("hers");
    ended(
        &server.store,
        "2",
        vec![],
        &[(Subject::Call, 0.5), (Subject::Suppressed(0), 0.5)],
    )
    .await;
    let unknown = server.get("/audit/figures").await;
    assert_eq!(
        (&unknown["sensitivity"], &unknown["counts"]["quiet_calls"]),
        (&Value::Null, &json!(1))
    );
    let first = server.get("/audit/items?state=open&limit=1").await;
    let cursor = first["next_cursor"].as_str().expect("a second item");
    let second = server
        .get(&format!("/audit/items?state=open&limit=1&cursor={cursor}"))
        .await;
    let (call, kept) = (&first["items"][0], &second["items"][0]);
    assert_eq!(
        (&call["kind"], &call["share"], &call["suppressed"]),
        (&json!("call"), &json!(0.5), &Value::Null)
    );
    assert_eq!(
        (&kept["kind"], &kept["concept"], &kept["suppressed"]),
        (&json!("suppressed"), &json!("dyspnea"), &json!(0))
    );
    let path = format!(
        "/audit/items/{}/verdict",
        call["id"].as_str().expect("an id")
    );
    let verdict = |body: Value| server.request(Method::POST, &path).json(&body);
    let wrong = problem(
        verdict(json!({ "verdict": "missed", "concept": "headacke" })),
        400,
        "invalid_body",
    )
    .await;
    assert_eq!(wrong["field"], "concept");
    problem(
        verdict(json!({ "verdict": "right", "concept": "chest_pain" })),
        400,
        "invalid_body",
    )
    .await;
    problem(
        verdict(json!({ "verdict": "perhaps" })),
        400,
        "invalid_body",
    )
    .await;
    let decided = send(verdict(
        json!({ "verdict": "missed", "concept": "syncope", "note": "她说晕过一次" }),
    ))
    .await;
    let decided = body(decided).await;
    assert_eq!(
        (
            &decided["state"],
            &decided["missed"],
            &decided["decided_by"]
        ),
        (&json!("decided"), &json!("syncope"), &json!("ward"))
    );
    problem(
        verdict(json!({ "verdict": "right" })),
        409,
        "already_decided",
    )
    .await;
    let nowhere = server.request(Method::POST, "/audit/items/none/verdict");
    problem(
        nowhere.json(&json!({ "verdict": "right" })),
        404,
        "not_found",
    )
    .await;
    problem(
        server.request(Method::GET, "/audit/items?state=lost"),
        400,
        "invalid_query",
    )
    .await;
    problem(
        server.bare(Method::GET, "/api/v1/audit/figures"),
        401,
        "unauthorised",
    )
    .await;
    let known = server.get("/audit/figures").await;
    // One true call alerted; of the one quiet call, drawn and decided, something was missed.
    assert_eq!(
        (&known["sensitivity"]["value"], &known["ppv"]["value"]),
        (&json!(0.5), &json!(1.0))
    );
    assert_eq!(
        known["counts"]["calls"],
        json!({ "right": 0, "wrong": 0, "missed": 1 })
    );
    let none = server
        .get("/audit/figures?since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z")
        .await;
    assert_eq!(
        (&none["missed"], &none["counts"]["alerted_calls"]),
        (&Value::Null, &json!(0))
    );
    assert_eq!(
        (
            server.audited("audit_item.list").await,
            server.audited("audit_item.decide").await
        ),
        (2, 1)
    );
    let page = send(server.bare(Method::GET, "/metrics")).await;
    let page = page.text().await.expect("text");
    assert!(
        page.contains("aftercall_audit_items{kind=\"call\",verdict=\"missed\"} 1"),
        "{page}"
    );
    assert!(
        page.contains("aftercall_audit_items{kind=\"suppressed\",verdict=\"open\"} 1"),
        "{page}"
    );
    assert!(!page.contains("syncope") && !page.contains("晕"), "{page}");
}

#[tokio::test]
async fn qa_decides_at_the_command_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}/a.db", folder.path().display());
    // QA's own words lie under the patient's key: the program needs the master key.
    let data = folder.path().join("data");
    let config = folder.path().join("aftercall.toml");
    std::fs::write(
        &config,
        format!("data_dir = {:?}\n", data.display().to_string()),
    )
    .expect("own folder");
    let key = Source::File(folder.path().join("data.key"));
    let store = Store::open(&url, &key).await.expect("a new database");
    ended(
        &store,
        "1",
        vec![],
        &[(Subject::Call, 0.5), (Subject::Suppressed(0), 0.5)],
    )
    .await;
    store.close().await;
    let audit = |args: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .args(["audit", "--database", &url, "--config"])
            .arg(&config)
            .args(args)
            .output()
            .expect("the program was built")
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let listed = text(&audit(&["list", "--json"]));
    let rows: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(rows.len(), 2, "{listed}");
    let id = rows[0]["id"].as_str().expect("an id");
    let misspelt = audit(&["decide", id, "missed", "--concept", "fallen", "--by", "li"]);
    assert!(!misspelt.status.success());
    assert!(
        String::from_utf8_lossy(&misspelt.stderr).contains("concepts.tsv"),
        "{misspelt:?}"
    );
    let decided = audit(&["decide", id, "missed", "--concept", "fall", "--by", "li"]);
    assert!(decided.status.success(), "{decided:?}");
    assert!(
        text(&decided)
            .trim_end()
            .ends_with("whole call  missed fall"),
        "{decided:?}"
    );
    let again = audit(&["decide", id, "right", "--by", "wang"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("is decided by now"),
        "{again:?}"
    );
    let left = text(&audit(&["list"]));
    assert!(
        left.lines().count() == 1 && left.contains("suppressed dyspnea (0)  open"),
        "{left}"
    );
    let figures: Value = serde_json::from_str(&text(&audit(&["figures", "--json"]))).expect("JSON");
    assert_eq!(figures["missed"]["value"], json!(1.0));
    let table = text(&audit(&["figures"]));
    assert!(
        table.contains("quiet calls with a miss") && table.contains("100.0 %"),
        "{table}"
    );
    assert!(table.contains("no verdict yet"), "{table}");
}
