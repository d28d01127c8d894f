//! Drafts of scripts: edited, handed in, signed by somebody else, put in force and taken back; on both databases and over
//! HTTP.

use std::path::Path;

use aftercall::cli::check::KeyFile;
use aftercall::config::Config;
use aftercall::library::{Library, trusted_keys};
use aftercall::redflags;
use aftercall::scripts::{self, Files};
use aftercall::store::draft::{DraftState, Edit, Publication};
use aftercall::store::{Store, StoreError};
use aftercall_core::lang::Lang;
use aftercall_core::signature::{Claim, Signature, Work, sign};
use aftercall_core::staff::{Role, Wards};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::{Date, date};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::people::{Browser, account};
use crate::record::at;
use crate::web::{Server, body, problem, send};

fn folder(name: &str) -> String {
    let path = Path::new("dialogs").join(name);
    std::fs::read_to_string(path).expect("a file of the project")
}

fn key() -> (KeyFile, [u8; 32]) {
    let file = KeyFile::read(Path::new("fixtures/demo_signing_key.toml")).expect("the demo's key");
    let secret = file.secret.clone().expect("it is published");
    let secret = STANDARD.decode(secret).expect("base64");
    (file, secret.try_into().expect("32 bytes"))
}

/// A signature of a script's content by the demo's key.
fn signature(script: &str, hash: &str, signed_on: Date, expires: Date) -> Signature {
    let (file, secret) = key();
    let claim = Claim {
        work: Work::Script(script.to_owned()),
        hash,
        signature: None,
    };
    sign(&claim, &secret, &file.clinician, signed_on, expires)
}

/// A draft of the cardiac script that only counts its revision on, signed by the demo's key: its id, its hash, and the
/// folder's.
pub async fn signed_draft(store: &Store, today: Date) -> (String, String, String) {
    let lexicon = redflags::load(None).expect("the built-in lexicon compiles");
    let all = scripts::folder(Path::new("dialogs")).expect("our scripts");
    let hash = |all: &Files| {
        scripts::version(all, "cardiac", &lexicon).scripts[0]
            .hash
            .clone()
    };
    let name = "cardiac/script.toml";
    let text = all[name].replacen("revision = 1", "revision = 2", 1);
    let files = Files::from([(name.to_owned(), text)]);
    let drafted = hash(&scripts::overlaid(&all, "cardiac", &files, None));
    let edit = Edit {
        note: "counted on".to_owned(),
        files,
        hash: drafted.clone(),
        by: "wen".to_owned(),
    };
    let draft = store.begin_draft("cardiac", "folder", &edit, at(1)).await;
    let draft = draft.expect("begun");
    let handed = store
        .submit_draft(&draft.id, draft.revision, "wen", at(2))
        .await;
    let signed = signature("cardiac", &drafted, today, date(2036, 1, 1));
    let by = ("lin", Role::Clinician);
    let revision = handed.expect("open").revision;
    let kept = store
        .sign_draft(&draft.id, revision, &signed, by, at(3))
        .await;
    (kept.expect("signed").id, drafted, hash(&all))
}

pub async fn a_draft_is_signed_by_somebody_else(store: Store) {
    let edit = |by: &str, text: &str| Edit {
        note: "shorter".to_owned(),
        files: Files::from([("cardiac/script.toml".to_owned(), text.to_owned())]),
        hash: "h".to_owned(),
        by: by.to_owned(),
    };
    let is_late =
        |result: Result<_, StoreError>| matches!(result, Err(StoreError::Conflict { .. }));
    let first = store
        .begin_draft("cardiac", "folder", &edit("wen", "one"), at(1))
        .await;
    let first = first.expect("begun");
    let second = store
        .edit_draft(&first.id, first.revision, &edit("xu", "two"), at(2))
        .await;
    let second = second.expect("nobody was faster");
    assert!(is_late(
        store
            .edit_draft(&first.id, first.revision, &edit("wen", "three"), at(3))
            .await
    ));
    assert_eq!(second.files["cardiac/script.toml"], "two");
    assert_eq!(Vec::from_iter(&second.edited_by), ["wen", "xu"]);
    let publish = |draft: Option<&str>, seconds| Publication {
        draft: draft.map(str::to_owned),
        why: "reviewed".to_owned(),
        by: "admin".to_owned(),
        at: at(seconds),
    };
    let unsigned = store
        .publish_draft("cardiac", &publish(Some(&first.id), 3))
        .await;
    assert!(matches!(unsigned, Err(StoreError::Conflict { .. })));
    let handed = store
        .submit_draft(&first.id, second.revision, "wen", at(4))
        .await
        .expect("open");
    assert!(is_late(
        store
            .edit_draft(&first.id, handed.revision, &edit("wen", "late"), at(5))
            .await
    ));
    let signed = signature("cardiac", "h", date(2026, 9, 1), date(2027, 9, 1));
    let clinician = Role::Clinician;
    for own in ["wen", "xu"] {
        let own = store
            .sign_draft(&first.id, handed.revision, &signed, (own, clinician), at(6))
            .await;
        assert!(is_late(own), "nobody signs their own edit");
    }
    let other = signature(
        "cardiac",
        "another text",
        date(2026, 9, 1),
        date(2027, 9, 1),
    );
    let other = store
        .sign_draft(
            &first.id,
            handed.revision,
            &other,
            ("lin", clinician),
            at(6),
        )
        .await;
    assert!(is_late(other), "the signature is of another text");
    let kept = store
        .sign_draft(
            &first.id,
            handed.revision,
            &signed,
            ("lin", clinician),
            at(7),
        )
        .await;
    let kept = kept.expect("somebody else's");
    assert_eq!(
        (kept.state, kept.signature.as_ref()),
        (DraftState::Signed, Some(&signed))
    );
    let back = store
        .return_draft(&first.id, kept.revision, DraftState::Draft)
        .await;
    assert!(is_late(back), "what is signed stays as it is");

    assert!(store.drafts_in_force().await.expect("read").is_empty());
    store
        .publish_draft("cardiac", &publish(Some(&first.id), 8))
        .await
        .expect("signed");
    assert_eq!(store.drafts_in_force().await.expect("read"), [kept]);
    store
        .publish_draft("cardiac", &publish(None, 9))
        .await
        .expect("the folder's");
    assert!(store.drafts_in_force().await.expect("read").is_empty());
    let told = store.publications("cardiac").await.expect("read");
    assert_eq!(told, [publish(None, 9), publish(Some(&first.id), 8)]);
}

async fn put(author: &Browser<'_>, script: &str, sent: Value) -> Value {
    let path = format!("/scripts/{script}/drafts");
    let saved = send(author.request(Method::PUT, &path).json(&sent)).await;
    assert_eq!(saved.status(), StatusCode::OK);
    body(saved).await
}

#[tokio::test]
async fn a_text_goes_from_its_author_over_a_clinician_into_calls() {
    let server = Server::start().await;
    account(&server.store, "wen", &[Role::Author], &Wards::ALL).await;
    account(
        &server.store,
        "both",
        &[Role::Author, Role::Clinician],
        &Wards::ALL,
    )
    .await;
    account(&server.store, "lin", &[Role::Clinician], &Wards::ALL).await;
    account(&server.store, "gang", &[Role::SystemAdmin], &Wards::ALL).await;
    let author = Browser::open(&server, "wen").await;
    let both = Browser::open(&server, "both").await;
    let clinician = Browser::open(&server, "lin").await;
    let admin = Browser::open(&server, "gang").await;

    // What is shown of the folder's version.
    let shown = body(send(author.bare(Method::GET, "/scripts/cardiac?lang=en")).await).await;
    assert_eq!(
        (&shown["head"]["refused"], &shown["errors"]),
        (&Value::Null, &json!([]))
    );
    let nodes = shown["nodes"].as_array().expect("a list");
    let legs = nodes
        .iter()
        .find(|node| node["id"] == "legs")
        .expect("a node of it");
    assert_eq!(legs["says"][0]["text"], "Are the legs or the feet swollen?");
    assert_eq!(legs["says"][0]["recording"], "cardiac/en/legs");
    let next = json!({ "on": "next", "to": "puncture" });
    assert!(legs["edges"].as_array().expect("a list").contains(&next));
    let sound = send(author.bare(Method::GET, "/scripts/prompts/cardiac/en/legs")).await;
    assert!(sound.bytes().await.expect("a body").starts_with(b"RIFF"));
    let outside = author.bare(Method::GET, "/scripts/prompts/..%2F..%2Ffixtures/en/legs");
    problem(outside, 404, "not_found").await;

    // A broken text is kept, with its fault at the line.
    let script = folder("cardiac/script.toml").replacen("revision = 1", "revision = 2", 1);
    let english = folder("cardiac/prompts/en.toml");
    let english = english.replacen(
        "Are the legs or the feet swollen?",
        "Are your legs or feet swollen?",
        1,
    );
    let broken = script.replacen("next = \"puncture\"", "next = \"nowhere\"", 1);
    let files =
        |script: &str| json!({ "cardiac/script.toml": script, "cardiac/prompts/en.toml": english });
    let draft = put(
        &author,
        "cardiac",
        json!({ "note": "shorter", "files": files(&broken) }),
    )
    .await;
    assert_eq!(draft["errors"][0]["rule"], "unknown_node");
    assert_eq!(draft["errors"][0]["file"], "cardiac/script.toml");
    let line = broken
        .lines()
        .position(|line| line.contains("nowhere"))
        .expect("there")
        + 1;
    assert_eq!(draft["errors"][0]["line"], line);
    let id = draft["id"].as_str().expect("an id").to_owned();
    let step = |who: &Browser<'_>, revision: &Value, to: &str| {
        let request = who.request(Method::POST, &format!("/drafts/{id}/state"));
        request.json(&json!({ "revision": revision, "to": to }))
    };
    problem(
        step(&author, &draft["revision"], "submitted"),
        409,
        "script_broken",
    )
    .await;
    let foreign = json!({ "note": "", "files": { "surgery/script.toml": "" } });
    let foreign = author
        .request(Method::PUT, "/scripts/cardiac/drafts")
        .json(&foreign);
    problem(foreign, 400, "invalid_body").await;

    // Mended, by the author and one who is a clinician too.
    let mended = json!({ "note": "shorter", "files": files(&script), "draft": id, "revision": draft["revision"] });
    let draft = put(&both, "cardiac", mended.clone()).await;
    assert_eq!(draft["errors"], json!([]));
    let late = author
        .request(Method::PUT, "/scripts/cardiac/drafts")
        .json(&mended);
    problem(late, 409, "conflict").await;
    problem(
        step(&clinician, &draft["revision"], "submitted"),
        403,
        "not_allowed",
    )
    .await;
    let handed = body(send(step(&author, &draft["revision"], "submitted")).await).await;
    assert_eq!(handed["state"], "submitted");

    // Rehearsed as it will be said.
    let replies = json!(["yes, speaking", "September fourteenth"]);
    let said = json!({ "lang": "en", "day": 3, "draft": id, "replies": replies });
    let said = author
        .request(Method::POST, "/scripts/cardiac/rehearse")
        .json(&said);
    let said = body(send(said).await).await;
    assert_eq!(
        (&said["identified"], &said["over"]),
        (&json!(true), &json!(false))
    );

    // Signed where the key lies, by who changed nothing.
    let (file, _) = key();
    let key_id = aftercall_core::signature::key_id(&file.public);
    let expires = date(2036, 1, 1);
    let asks = json!({ "key_id": key_id, "expires": expires });
    let prepare = format!("/drafts/{id}/signing");
    problem(
        both.request(Method::POST, &prepare).json(&asks),
        403,
        "own_edit",
    )
    .await;
    assert_eq!(author.status(Method::POST, &prepare).await, 403);
    let asked = body(send(clinician.request(Method::POST, &prepare).json(&asks)).await).await;
    let signed_on: Date = asked["signed_on"]
        .as_str()
        .expect("a day")
        .parse()
        .expect("a day");
    let hash = handed["hash"].as_str().expect("a hash");
    let signed = signature("cardiac", hash, signed_on, expires);
    let sent = |signature: &str| {
        json!({ "revision": handed["revision"], "key_id": key_id, "signed_on": signed_on,
                "expires": expires, "signature": signature })
    };
    let path = format!("/drafts/{id}/sign");
    let forged = signature("cardiac", "another text", signed_on, expires).signature;
    let forged = clinician.request(Method::POST, &path).json(&sent(&forged));
    problem(forged, 409, "signature_refused").await;
    let kept = send(
        clinician
            .request(Method::POST, &path)
            .json(&sent(&signed.signature)),
    )
    .await;
    let kept = body(kept).await;
    assert_eq!(
        (&kept["state"], &kept["signed_by"]),
        (&json!("signed"), &json!("lin"))
    );

    // In force, and back.
    let publish = "/scripts/cardiac/publish";
    let why = json!({ "draft": id, "why": "reviewed" });
    assert_eq!(clinician.status(Method::POST, publish).await, 403);
    let done = send(admin.request(Method::POST, publish).json(&why)).await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    let keys = trusted_keys(&Config::default().scripts, true).expect("the demo's");
    let in_force = server.store.drafts_in_force().await.expect("read");
    let library = Library::load_with(Path::new("dialogs"), &in_force, &keys, signed_on);
    let library = library.expect("everything is signed");
    let taken = library
        .script("cardiac", Lang::En, signed_on)
        .expect("may dial");
    assert_eq!((taken.revision, taken.hash.as_str()), (2, hash));
    let spoken = &library.kit.prompts;
    assert!(
        !spoken.contains_key("cardiac/en/legs"),
        "the recording says the old words"
    );
    assert!(spoken.contains_key("cardiac/en/puncture") && spoken.contains_key("cardiac/zh/legs"));
    let back = send(
        admin
            .request(Method::POST, publish)
            .json(&json!({ "why": "complaints" })),
    )
    .await;
    assert_eq!(back.status(), StatusCode::NO_CONTENT);
    assert!(
        server
            .store
            .drafts_in_force()
            .await
            .expect("read")
            .is_empty()
    );
}
