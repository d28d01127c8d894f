//! A whole demo at the most talkative level of our logs: calls over real SIP and RTP, real whisper, the API. Nothing that it
//! writes where others read (logs, metrics, file names) names a patient or repeats her words.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use aftercall::store::page::PageRequest;

use crate::crash_demo::{Stage, read};
use crate::patience::until;
use crate::vault::files;

/// A line that drops in mid-sentence, an emergency, and a daughter who says that her father has died.
const CAST: [&str; 3] = ["RH10015", "RH10002", "RH10027"];
/// Loaded machines transcribe slowly.
const LIMIT: Duration = Duration::from_secs(540);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the cast in the demo's list, under its heading.
fn rows(list: &str) -> Vec<Vec<&str>> {
    let is_cast = |row: &Vec<&str>| CAST.contains(&row[0]);
    let all = list.lines().map(|line| line.split(',').collect());
    all.filter(is_cast).collect()
}

fn stage() -> Stage {
    let list = read(&root().join("fixtures/patients.csv"));
    let heading = list.lines().next().expect("a heading");
    let rows: Vec<String> = rows(&list).iter().map(|row| row.join(",")).collect();
    let all: toml::Table =
        toml::from_str(&read(&root().join("fixtures/expected.toml"))).expect("a table");
    let cases = CAST.map(|who| (who.to_owned(), all["patient"][who].clone()));
    let patient: toml::Table = cases.into_iter().collect();
    let cases = toml::Table::from_iter([("patient".to_owned(), patient.into())]);
    let phones = std::fs::read_dir(root().join("fixtures/phones")).expect("telephones");
    let phones = phones.filter_map(|entry| {
        let path = entry.expect("readable").path();
        let name = path.file_stem()?.to_str()?.to_owned();
        let is_cast = CAST.iter().any(|who| name.starts_with(&who.to_lowercase()));
        is_cast.then(|| (name, read(&path)))
    });
    Stage::with(
        &format!("{heading}\n{}\n", rows.join("\n")),
        &toml::to_string(&cases).expect("a table"),
        phones.collect::<Vec<_>>(),
    )
}

/// What the list says of the cast: numbers, names, birth dates, telephones, of contacts too.
fn known_before() -> BTreeSet<String> {
    let list = read(&root().join("fixtures/patients.csv"));
    let mut secrets = BTreeSet::new();
    for row in rows(&list) {
        secrets.extend([row[0], row[1], row[2], row[12]].map(str::to_owned));
        secrets.insert(row[3].trim_start_matches('+').to_owned());
        // `name:relation:telephone:topics`, one after the other.
        let parts = row[19].split([':', ';']);
        let tells = |part: &&str| !part.is_ascii() || part.starts_with("+86");
        secrets.extend(
            parts
                .filter(tells)
                .map(|part| part.trim_start_matches('+').to_owned()),
        );
    }
    secrets
}

/// What was said in the calls, as it lies in the record: nobody but the store can read it.
async fn said(stage: &Stage) -> BTreeSet<String> {
    let store = stage.store().await;
    let calls = store.attempts(None, &PageRequest::default()).await;
    let mut said = BTreeSet::new();
    for row in calls.expect("listed").items {
        let call = store.call(&row.attempt.id).await.expect("readable");
        for reply in call.turns.iter().filter_map(|turn| turn.reply.as_ref()) {
            said.insert(reply.heard.expose().text.clone());
            said.insert(reply.keys.expose().clone());
        }
        let quotes = call.findings.iter().map(|placed| &placed.finding.evidence);
        said.extend(quotes.map(|quote| quote.raw.to_string()));
    }
    store.close().await;
    // A single syllable, or a word of English that our own lines use, proves nothing.
    said.retain(|text| match text.is_ascii() {
        true => text.len() >= 12,
        false => text.chars().count() >= 2,
    });
    said
}

/// Waits until the demo has shown its summary and how its API is reached.
async fn api_of(stage: &Stage) -> (String, String) {
    let shown = until(LIMIT, async || {
        let shown = read(&stage.path("demo.out"));
        let line = shown.lines().find(|line| line.starts_with("try: curl"))?;
        let token = line.split("Bearer ").nth(1)?.split('\'').next();
        let address = line.rsplit(' ').next()?.split("/api/").next();
        let both = address.zip(token).expect("the demo shows both");
        Some((both.0.to_owned(), both.1.to_owned()))
    });
    let shown = shown.await;
    shown.unwrap_or_else(|| stage.give_up("the demo's summary"))
}

/// Reads what programs and nurses read of a server.
async fn look_at(address: &str, token: &str) -> String {
    let client = reqwest::Client::new();
    let mut metrics = String::new();
    for path in [
        "/metrics",
        "/api/v1/patients",
        "/api/v1/calls",
        "/api/v1/work-orders",
        "/api/v1/health",
    ] {
        let request = client.get(format!("{address}{path}")).bearer_auth(token);
        let answer = request.send().await.expect("the API answers");
        let text = answer.text().await.expect("text");
        if path == "/metrics" {
            metrics = text;
        }
    }
    metrics
}

#[tokio::test]
async fn a_whole_demo_names_no_patient_where_others_read() {
    crate::speech::model();
    let mut stage = stage();
    let talkative = "info,aftercall=trace,aftercall_core=trace";
    stage.start_with(&["--lines", "3"], false, Some(talkative));
    let (address, token) = api_of(&stage).await;
    let metrics = look_at(&address, &token).await;
    assert!(metrics.contains("aftercall_"), "{metrics}");
    let said = said(&stage).await;
    assert!(said.len() >= 5, "{} replies were heard", said.len());
    let secrets: Vec<String> = known_before().into_iter().chain(said).collect();

    let log = read(&stage.path("demo.log"));
    assert!(log.lines().count() > 20, "a talkative log");
    let names = files(&stage.path("data"));
    let names: Vec<String> = names
        .iter()
        .map(|(path, _)| {
            path.strip_prefix(stage.path("data"))
                .expect("below")
                .display()
                .to_string()
        })
        .collect();
    let mut found = Vec::new();
    for secret in &secrets {
        let tells = |line: &&str| line.contains(secret.as_str());
        for (place, text) in [
            ("log", &log),
            ("metrics", &metrics),
            ("file names", &names.join("\n")),
        ] {
            let line = text.lines().find(tells);
            found.extend(line.map(|line| format!("{place}: {secret}: {line}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
