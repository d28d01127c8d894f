//! What the pages ask the API, and how long the answers take: for who sees the whole hospital, and for who sees two wards.

use std::time::Duration;

use aftercall_core::staff::Wards;
use serde_json::{Value, json};

use crate::server::{Caller, Server};

/// How often each question is asked.
const LOOKS: usize = 30;
/// What a press waits for, and what a report over many days may take, in milliseconds.
const PRESS_MS: f64 = 100.0;
const REPORT_MS: f64 = 1_500.0;

struct Question {
    page: &'static str,
    what: &'static str,
    path: String,
    body: Option<Value>,
    goal_ms: f64,
}

impl Question {
    fn get(page: &'static str, what: &'static str, path: impl Into<String>) -> Self {
        Self {
            page,
            what,
            path: path.into(),
            body: None,
            goal_ms: PRESS_MS,
        }
    }

    fn post(page: &'static str, what: &'static str, path: &str, body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::get(page, what, path)
        }
    }

    fn report(page: &'static str, what: &'static str, path: &str) -> Self {
        Self {
            goal_ms: REPORT_MS,
            ..Self::get(page, what, path)
        }
    }
}

/// Asks everything; returns how many goals are missed.
pub async fn ask(name: &str, server: &Server) -> usize {
    println!("{name:<11} page         question                 ms: p50       p95      goal");
    let of_wards = Wards::only(vec!["W3".to_owned(), "W7".to_owned()]);
    let everything = questions(&server.caller("looks", &Wards::ALL).await).await;
    let narrowed = narrowed();
    let mut missed = 0;
    for question in &everything {
        let caller = server.caller(question.what, &Wards::ALL).await;
        missed += usize::from(measure(name, &caller, question).await);
    }
    for question in &narrowed {
        let caller = server.caller(question.what, &of_wards).await;
        missed += usize::from(measure(name, &caller, question).await);
    }
    missed
}

/// True where the goal is missed.
async fn measure(name: &str, caller: &Caller<'_>, question: &Question) -> bool {
    let mut took = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let (one, _) = caller.ask(&question.path, question.body.as_ref()).await;
        took.push(one);
        // What is hopeless is not asked thirty times.
        if took.iter().sum::<Duration>() > Duration::from_secs(10) {
            break;
        }
    }
    took.sort_unstable();
    let (median, p95) = (ms(took[took.len() / 2]), ms(took[took.len() * 95 / 100]));
    let is_missed = p95 > question.goal_ms;
    let mark = if is_missed { "  missed" } else { "" };
    println!(
        "{name:<11} {:<12} {:<24} {median:>8.1}  {p95:>8.1}  {:>8.0}{mark}",
        question.page, question.what, question.goal_ms
    );
    is_missed
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}

/// What the pages ask of the whole hospital.
async fn questions(caller: &Caller<'_>) -> Vec<Question> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (_, orders) = caller.ask("/work-orders?limit=200", None).await;
    let order = &orders["items"][0];
    let (id, patient, call) = (
        text(&order["id"]),
        text(&order["patient"]),
        text(&order["attempt"]),
    );
    let next = text(&orders["next_cursor"]);
    let mut search = json!({ "answered": true });
    for _ in 0..20 {
        let (_, page) = caller.ask("/calls/search", Some(&search)).await;
        search["cursor"] = page["next_cursor"].clone();
    }
    let searched = |body: Value| move |what| Question::post("calls", what, "/calls/search", body);
    let get = |page, what, path: &str| Question::get(page, what, path);
    vec![
        get("worklist", "first 200", "/work-orders?limit=200"),
        get(
            "worklist",
            "second 200",
            &format!("/work-orders?limit=200&cursor={next}"),
        ),
        get("worklist", "one ward", "/work-orders?limit=200&ward=W3"),
        get("worklist", "mine", "/work-orders?limit=200&mine=true"),
        get("order", "order", &format!("/work-orders/{id}")),
        get("order", "its life", &format!("/work-orders/{id}/events")),
        get("order", "patient", &format!("/patients/{patient}")),
        get("order", "plans", &format!("/patients/{patient}/plans")),
        get(
            "order",
            "earlier calls",
            &format!("/patients/{patient}/attempts"),
        ),
        get("order", "call", &format!("/calls/{call}")),
        get("live", "calls in progress", "/live"),
        searched(json!({ "answered": true }))("newest"),
        searched(search)("page 21"),
        searched(json!({ "concept": "chest_pain" }))("by finding"),
        searched(json!({ "concept": "black_stool" }))("by a finding of none"),
        searched(json!({ "ward": "W3" }))("by ward"),
        searched(json!({ "ward": "none" }))("by a ward of none"),
        searched(json!({ "script": "surgery", "disposition": "partial" }))("by script and end"),
        searched(json!({ "disposition": "declined" }))("by an end of none"),
        searched(json!({ "reviews": "second" }))("second review due"),
        searched(json!({ "reviews": "twice" }))("reviewed twice"),
        searched(json!({ "reviews": "mine" }))("reviewed by me"),
        searched(json!({ "patient": "P777" }))("by hospital number"),
        searched(json!({ "patient": "王建" }))("by name"),
        get("call", "reviews", &format!("/calls/{call}/reviews")),
        get("sample", "open items", "/audit/items?state=open&limit=200"),
        Question::report("sample", "figures", "/audit/figures"),
        Question::report("agreement", "kappa", "/review/agreement"),
        get("patients", "list", "/patients?limit=200"),
        Question::post(
            "patients",
            "find by number",
            "/patients/find",
            json!({ "text": "P777" }),
        ),
        Question::post(
            "patients",
            "find by name",
            "/patients/find",
            json!({ "text": "王建" }),
        ),
        get(
            "patients",
            "why not rung",
            &format!("/patients/{patient}/why"),
        ),
        get("plans", "steps", "/steps?limit=200"),
        get("plans", "pauses", "/pauses"),
        get("plans", "imports", "/imports?limit=200"),
        get("plans", "trunks", "/trunks"),
        get("hours", "week", "/calling-hours"),
        Question::report("hours", "heat map, 90 days", "/calling-hours/reach?days=90"),
        Question::report("dashboard", "30 days by day", "/figures?by=day"),
        Question::report("dashboard", "30 days by ward", "/figures?by=ward"),
        Question::report("dashboard", "calls behind", "/figures/calls?only=alerted"),
        Question::report("scripts", "figures of nodes", "/scripts/cardiac/figures"),
        get("audit log", "newest", "/audit/log?newest=true"),
        get("audit log", "by who", "/audit/log?newest=true&who=wang.min"),
        get(
            "audit log",
            "by nobody",
            "/audit/log?newest=true&who=nobody",
        ),
        get(
            "audit log",
            "by subject",
            "/audit/log?newest=true&subject=subject-77",
        ),
        Question::report("audit log", "whole chain", "/audit/chain"),
        get("staff", "accounts", "/staff"),
    ]
}

/// What somebody of two wards asks.
fn narrowed() -> Vec<Question> {
    let get = |page, what, path: &str| Question::get(page, what, path);
    vec![
        get("two wards", "worklist", "/work-orders?limit=200"),
        Question::post(
            "two wards",
            "newest calls",
            "/calls/search",
            json!({ "answered": true }),
        ),
        Question::post(
            "two wards",
            "find by name",
            "/patients/find",
            json!({ "text": "王建" }),
        ),
        get("two wards", "patients", "/patients?limit=200"),
        get("two wards", "steps", "/steps?limit=200"),
        Question::report("two wards", "30 days by day", "/figures?by=day"),
    ]
}
