//! A whole demo and its API at trace level: no name, number or word of a patient in a log line, metric or file name.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use aftercall::store::page::PageRequest;
use reqwest::{Client, Method};
use serde_json::json;

use crate::crash_demo::{Stage, read};

/// An emergency, one who wants no calls, and one who is in hospital again: short calls with much in them.
const CAST: [&str; 3] = ["RH10023", "RH10018", "RH10019"];

fn fixture(path: &str) -> String {
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(path),
    )
}

/// The rows of the cast, the header first.
fn patients() -> String {
    let list = fixture("patients.csv");
    let of_cast = |line: &&str| CAST.iter().any(|number| line.starts_with(number));
    let lines = list.lines().take(1).chain(list.lines().filter(of_cast));
    lines.map(|line| format!("{line}\n")).collect()
}

fn phones() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phones");
    let files = std::fs::read_dir(folder).expect("the demo's telephones");
    let mut phones = Vec::new();
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let of_cast = CAST
            .iter()
            .any(|number| name.starts_with(&number.to_lowercase()));
        if of_cast {
            let stem = name.trim_end_matches(".toml").to_owned();
            phones.push((stem, read(&file.path())));
        }
    }
    assert_eq!(phones.len(), CAST.len());
    phones
}

fn cases() -> String {
    let outcome = |number: &str, day: u16, disposition: &str| {
        format!("[patient.{number}]\nday = {day}\nrung = true\ndisposition = \"{disposition}\"\n")
    };
    let [emergency, refusal, readmitted] = CAST;
    [
        outcome(emergency, 3, "completed"),
        outcome(refusal, 7, "opted_out"),
        outcome(readmitted, 30, "reported_readmission"),
    ]
    .concat()
}

/// What must stand nowhere: the list's cells that name or number somebody, and what was heard.
fn secrets() -> BTreeSet<String> {
    let list = patients();
    let mut secrets = BTreeSet::new();
    for row in list.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let contacts = cells.last().expect("contacts");
        let of_contacts = contacts.split('|').flat_map(|contact| {
            let mut parts = contact.split(':');
            [parts.next(), parts.nth(1)].into_iter().flatten()
        });
        for cell in cells.iter().take(4).copied().chain(of_contacts) {
            // A number may be written without its plus, or as its last digits.
            let cell = cell.trim_start_matches("+86").trim_start_matches("+65");
            if !cell.is_empty() {
                secrets.insert(cell.to_owned());
            }
        }
    }
    secrets
}

/// Words of a reply, as they were heard; one word alone may stand anywhere.
async fn words(stage: &Stage) -> BTreeSet<String> {
    let store = stage.store().await;
    let all = PageRequest {
        limit: 200,
        after: None,
    };
    let mut words = BTreeSet::new();
    for row in store.attempts(None, &all).await.expect("listed").items {
        for turn in store.turns(&row.attempt.id).await.expect("listed") {
            let reply = turn.reply.map(|reply| reply.heard.expose().text.clone());
            words.extend(reply.filter(|text| is_telling(text)));
        }
    }
    store.close().await;
    words
}

fn is_telling(text: &str) -> bool {
    let characters = text.chars().filter(|letter| !letter.is_ascii()).count();
    characters > 1 || text.trim().contains(' ')
}

/// Waits for what the demo says when it is over: where its API is, and the token for it.
async fn api(stage: &Stage) -> (String, String) {
    let began = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let said = read(&stage.path("demo.out"));
        let line = said.lines().find(|line| line.starts_with("try: curl"));
        if let Some(line) = line {
            let (_, rest) = line.split_once("Bearer ").expect("a token");
            let (token, url) = rest.split_once("' ").expect("an address");
            let base = url.split("/work-orders").next().expect("a base");
            return (base.to_owned(), token.to_owned());
        }
        if began.elapsed() > Duration::from_secs(300) {
            stage.give_up("the demo's end");
        }
    }
}

/// Looks at everything, and misuses names where a clumsy client would: in paths, queries, methods and bodies.
async fn look_around(base: &str, token: &str) {
    let client = Client::new();
    let ask = async |method: &str, path: &str, body: Option<serde_json::Value>| {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        let mut request = client
            .request(method, format!("{base}{path}"))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request
            .send()
            .await
            .expect("it answers")
            .text()
            .await
            .expect("text")
    };
    let found = ask("GET", "/patients", None).await;
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    let patients = found["items"].as_array().expect("a list");
    assert_eq!(patients.len(), CAST.len());
    for patient in patients {
        let id = patient["id"].as_str().expect("an id");
        for path in ["", "/why", "/attempts", "/plans", "/trends"] {
            ask("GET", &format!("/patients/{id}{path}"), None).await;
        }
    }
    let attempts = ask("GET", "/attempts", None).await;
    let attempts: serde_json::Value = serde_json::from_str(&attempts).expect("JSON");
    for attempt in attempts["items"].as_array().expect("a list") {
        let id = attempt["id"].as_str().expect("an id");
        ask("GET", &format!("/calls/{id}"), None).await;
    }
    ask("GET", "/work-orders", None).await;
    ask("GET", "/patients/高淑华", None).await;
    ask("GET", "/patients?cursor=高淑华", None).await;
    ask("GET", "/no/such/13800001018", None).await;
    ask("RH10018", "/patients", None).await;
    let broken = json!({ "number": "RH10018", "name": "高淑华", "phone": "13800001018" });
    ask("POST", "/patients", Some(broken)).await;
    ask(
        "POST",
        "/do-not-call",
        Some(json!({ "phone": "+86 138 0000 1018 x" })),
    )
    .await;
}

fn leaks(text: &str, secrets: &BTreeSet<String>) -> Vec<String> {
    let lines = text.lines().filter_map(|line| {
        let secret = secrets.iter().find(|secret| line.contains(*secret))?;
        Some(format!("{secret}: {line}"))
    });
    lines.take(20).collect()
}

fn file_names(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("readable").flatten() {
        into.push_str(&format!("{}\n", entry.path().display()));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            file_names(&entry.path(), into);
        }
    }
}

#[tokio::test]
async fn no_name_number_or_word_is_logged_counted_or_made_a_file_name() {
    let mut stage = Stage::with(&patients(), &cases(), phones());
    stage.start_with(&["--lines", "3"], false, Some("trace"));
    let (base, token) = api(&stage).await;
    look_around(&base, &token).await;
    let root = base.trim_end_matches("/api/v1");
    let metrics = reqwest::get(format!("{root}/metrics"))
        .await
        .expect("it answers");
    let metrics = metrics.text().await.expect("text");
    assert!(
        metrics.contains("aftercall_calls_dialled_total 3"),
        "{metrics}"
    );

    let mut secrets = secrets();
    let heard = words(&stage).await;
    assert!(heard.len() > 3, "little was heard: {heard:?}");
    secrets.extend(heard);
    for known in ["高淑华", "13800001018", "RH10018", "1950-11-05", "Mei Wong"] {
        assert!(secrets.contains(known), "{known} is looked for");
    }
    let log = read(&stage.path("demo.log"));
    assert!(
        log.contains("TRACE") && log.contains("attempt ended"),
        "a whole log"
    );
    assert_eq!(leaks(&log, &secrets), [] as [String; 0], "in the log");
    assert_eq!(
        leaks(&metrics, &secrets),
        [] as [String; 0],
        "in the metrics"
    );
    let mut names = String::new();
    file_names(&stage.path("data"), &mut names);
    assert!(names.contains(".chunk"), "{names}");
    assert_eq!(leaks(&names, &secrets), [] as [String; 0], "in file names");
}
