//! What tells who somebody is, by the cells of every table: names, telephones, hospital numbers, birth dates, and what staff
//! wrote about a call. Nothing of it lies open, it is found all the same, and an erasure leaves nothing that opens.

use aftercall::jobs::retention::erase;
use aftercall::recording::Recordings;
use aftercall::store::audit_item::{AuditState, Decision};
use aftercall::store::erase::Erasure;
use aftercall::store::feed::{FeedMessage, MessageState, Numbers, Settled};
use aftercall::store::message::NewMessage;
use aftercall::store::page::PageRequest;
use aftercall::store::patient::Enrolment;
use aftercall::store::{Backend, Store, StoreError};
use aftercall_core::attempt::Disposition;
use aftercall_core::audit::{Drawn, Judged, Subject, Verdict};
use aftercall_core::feed::Ack;
use aftercall_core::finding::Urgency;
use aftercall_core::id::AttemptId;
use aftercall_core::phi::Phi;
use aftercall_core::plan::message::MessageKind;
use aftercall_core::review::Review;
use aftercall_core::staff::Wards;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use crate::record::{at, calling, enrol, finding, finish, master_key, phone};

const DAY: i64 = 86_400;
const NUMBER: &str = "7300519";
const CALLEE: &str = "+86138007300519";
const CONTACT: &str = "+8613900000001";
/// Whatever of it stands in a cell lies open.
const TELLING: [&str; 11] = [
    "张建国",
    "李梅",
    NUMBER,
    "13900000001",
    "1951-03-07",
    "enc-",
    "he named his village",
    "she named her street",
    "reported by her son",
    "PID|",
    "a court",
];

/// Every cell of every table that is not empty, with its place.
async fn cells(store: &Store, url: &str) -> Vec<(String, String)> {
    let mut raw = AnyConnection::connect(url).await.expect("the database");
    let columns = match store.backend() {
        Backend::Sqlite => {
            "select m.name as t, c.name as c from sqlite_master m join pragma_table_info(m.name) c \
             where m.type = 'table' and m.name not like '\\_sqlx%' escape '\\' order by 1, 2"
        }
        Backend::Postgres => {
            "select cast(table_name as text) as t, cast(column_name as text) as c from information_schema.columns \
             where table_schema = current_schema() and table_name not like '\\_sqlx%' order by 1, 2"
        }
    };
    let columns = sqlx::query(columns).fetch_all(&mut raw).await;
    let mut found = Vec::new();
    for column in columns.expect("its tables") {
        let (table, column): (String, String) = (column.get("t"), column.get("c"));
        let sql = format!(
            "select cast(\"{column}\" as text) as value from {table} where \"{column}\" is not null"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut raw).await;
        for row in rows.expect("its rows") {
            found.push((format!("{table}.{column}"), row.get("value")));
        }
    }
    found
}

fn open_cells(cells: &[(String, String)]) -> Vec<&(String, String)> {
    let tells = |value: &str| TELLING.iter().any(|part| value.contains(part));
    cells.iter().filter(|(_, value)| tells(value)).collect()
}

fn message(id: &str, content: &str) -> FeedMessage {
    FeedMessage {
        id: id.to_owned(),
        application: "HIS".to_owned(),
        facility: "first".to_owned(),
        control_id: id.to_owned(),
        digest: format!("digest of {content}"),
        event: "A03".to_owned(),
        received_at: at(1),
        content: content.to_owned(),
        state: MessageState::Received,
        fault: None,
        ack: None,
    }
}

/// A patient of whom every table tells.
async fn told_of(store: &Store) -> (AttemptId, Enrolment) {
    let (new, enrolment) = calling(store, NUMBER).await;
    let heard = finding("chest_pain", Urgency::Emergent);
    let mut end = finish(&new, Disposition::Completed, vec![heard]);
    end.raise = None;
    end.audit = Some(Judged {
        alerted: false,
        drawn: vec![Drawn {
            subject: Subject::Call,
            share: 0.5,
        }],
    });
    store.finish_attempt(&end).await.expect("it ends");
    let review = Review {
        note: Phi::new("he named his village".to_owned()),
        ..Review::default()
    };
    let saved = store.save_review(&new.id, "li", &review, at(200)).await;
    saved.expect("saved");
    let all = PageRequest::default();
    let drawn = store.audit_items(Some(AuditState::Open), &all).await;
    let decision = Decision {
        verdict: Verdict::Right,
        missed: None,
        note: "she named her street".to_owned(),
    };
    let item = &drawn.expect("drawn").items[0].id.clone();
    let decided = store
        .decide_audit_item(item, &decision, "li", at(201))
        .await;
    assert_eq!(decided.expect("decided").note, Some(decision.note));
    let (step, patient) = (&enrolment.steps[1], &enrolment.patient);
    let writes = NewMessage {
        id: "prewarm".to_owned(),
        patient: patient.id.clone(),
        episode: step.episode.clone(),
        step: step.id.clone(),
        kind: MessageKind::Prewarm,
        template: "prewarm".to_owned(),
        phone: Some(phone(CONTACT)),
        announces: Some((4, at(DAY))),
        send_at: at(300),
    };
    let written = store
        .announce(&step.id, Some(&writes), at(300), at(300))
        .await;
    assert!(written.expect("written"));
    let shared = phone(CONTACT);
    let added = store.suppress_number(&shared, "reported by her son", "li", at(300));
    assert!(added.await.expect("added"));
    for (id, number) in [("m1", Some(NUMBER)), ("m2", None)] {
        let kept = store.keep_message(&message(id, "PID|1||张建国")).await;
        kept.expect("kept");
        let numbers = number.map(|number| Numbers {
            hospital: "first",
            number,
            prior: None,
        });
        let settled = store.settle_message(id, numbers, "feed", at(301), |known| {
            assert_eq!(known.patient.is_some(), number.is_some());
            Settled {
                state: MessageState::Unchanged,
                ack: Ack::Accept,
                fault: None,
                change: None,
                mark: None,
                person_told_at: number.map(|_| at(301)),
                died: false,
                merge: None,
            }
        });
        settled.await.expect("settled");
    }
    let held = store
        .hold_patient(&patient.id, "a court", "li", at(302))
        .await;
    assert!(held.expect("held"));
    (new.id, enrolment)
}

/// Everything reads as it was written, and is found by what it is known by.
async fn reads(store: &Store, attempt: &AttemptId, enrolment: &Enrolment) {
    let patient = &enrolment.patient;
    let known = store.patient(&patient.id).await.expect("read back");
    assert_eq!(
        (
            &known.number,
            &known.birth_date,
            &known.phone,
            &known.contacts
        ),
        (
            &patient.number,
            &patient.birth_date,
            &patient.phone,
            &patient.contacts
        )
    );
    let stay = store
        .episode(&enrolment.episode.id)
        .await
        .expect("read back");
    assert_eq!(stay.encounter, enrolment.episode.encounter);
    let call = store.attempt(attempt).await.expect("read back");
    assert_eq!(call.attempt.callee, Some(phone(CALLEE)));
    let by_number = store.patient_by_number("first", NUMBER).await;
    assert_eq!(by_number.expect("looked up").as_ref(), Some(&patient.id));
    for (number, of) in [
        (CALLEE, Some(&patient.id)),
        (CONTACT, Some(&patient.id)),
        ("+8613800000002", None),
    ] {
        let rings = store
            .patients_of_numbers(&[phone(number)])
            .await
            .expect("looked up");
        assert_eq!(
            rings.first().map(|(patient, _)| &patient.id),
            of,
            "{number}"
        );
    }
    let past = store.past_attempts_of_number(&phone(CALLEE), at(0)).await;
    assert_eq!(past.expect("counted").len(), 1, "caps count it");
    let past = store.past_attempts_of_step(&enrolment.steps[0].id).await;
    assert_eq!(past.expect("counted")[0].number, Some(phone(CALLEE)));
    let listed = store.suppressed_number(&phone("13900000001")).await;
    let listed = listed.expect("looked up").expect("by any spelling");
    assert_eq!(
        (listed.phone, listed.why.as_str()),
        (Some(phone(CONTACT)), "reported by her son")
    );
    let reviews = store.reviews(attempt).await.expect("read back");
    assert_eq!(reviews[0].review.note.expose(), "he named his village");
    let messages = store.messages(&patient.id, &PageRequest::default()).await;
    assert_eq!(
        messages.expect("listed").items[0].phone,
        Some(phone(CONTACT))
    );
    for id in ["m1", "m2"] {
        let kept = store.feed_message(id).await.expect("read back");
        assert_eq!(kept.content, "PID|1||张建国");
    }
    let again = store.enrol(("first", &[NUMBER]), "test", at(400), |known| {
        assert_eq!(
            known[NUMBER].stays[0].0.encounter,
            enrolment.episode.encounter
        );
        Vec::new()
    });
    again.await.expect("known by its number");
}

// On both databases: see `store`.
pub async fn nothing_that_tells_who_somebody_is_lies_open(store: Store, url: String) {
    let (attempt, enrolment) = told_of(&store).await;
    reads(&store, &attempt, &enrolment).await;
    let cells_now = cells(&store, &url).await;
    assert!(cells_now.len() > 200, "{} cells", cells_now.len());
    assert_eq!(open_cells(&cells_now), Vec::<&(String, String)>::new());

    // After her erasure the old cells, back from a copy, open for nobody; that her number is not rung outlives her.
    let patient = &enrolment.patient.id;
    let released = store.release_patient(patient, "li", at(3 * DAY)).await;
    assert!(released.expect("released"));
    let sealed: Vec<&(String, String)> = cells_now
        .iter()
        .filter(|(place, _)| {
            ["patient.number", "patient.phone", "feed_message.content"].contains(&place.as_str())
        })
        .collect();
    assert_eq!(
        sealed.len(),
        4,
        "her number and telephone, and two messages"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recordings = Recordings::new(folder.path().join("recordings"));
    let erasure = Erasure {
        patient: patient.clone(),
        at: at(3 * DAY),
        by: "test".to_owned(),
        reason: "asked for".to_owned(),
    };
    let written = folder.path().join("erased");
    erase(&store, &recordings, &written, &erasure)
        .await
        .expect("erased");
    let mut raw = AnyConnection::connect(&url).await.expect("the database");
    let back = "update feed_message set content = $1, sealed_by = $2 where id = 'm1'";
    let content = cells_now
        .iter()
        .filter(|(place, _)| place == "feed_message.content");
    let mut opened = 0;
    for (_, content) in content {
        let query = sqlx::query(back).bind(content).bind(&patient.0);
        query.execute(&mut raw).await.expect("the table is this");
        opened += u32::from(store.feed_message("m1").await.is_ok());
    }
    assert_eq!(opened, 0);
    let rings = store
        .patients_of_numbers(&[phone(CALLEE), phone(CONTACT)])
        .await;
    assert!(rings.expect("looked up").is_empty());
    let listed = store.suppressed_number(&phone(CONTACT)).await;
    let listed = listed
        .expect("looked up")
        .expect("nobody rings it by the erasure");
    assert_eq!((listed.phone, listed.why.as_str()), (None, ""));
    let known = store.patient_by_number("first", NUMBER).await;
    assert_eq!(known.expect("looked up"), None);
}

/// Puts a database back to how an earlier version left it.
async fn open_again(url: &str) {
    let mut raw = AnyConnection::connect(url).await.expect("the database");
    let born = "1951-03-07";
    for sql in [
        format!("update patient set number_index = '{NUMBER}', number = null, birth_year = '{born}', birth_date = null, phone_index = '{CALLEE}', phone = null"),
        format!("update contact set phone_index = '{CONTACT}', phone = null"),
        format!("update episode set encounter_index = 'enc-{NUMBER}', encounter = null"),
        format!("update attempt set phone_index = '{CALLEE}', phone = null"),
        format!("update do_not_call set phone_index = '{CONTACT}', phone = null, why = 'reported by her son'"),
        format!("update patient_message set phone = '{CONTACT}', reason = 'reported by her son'"),
        "update review set body = '{\"form\":\"\",\"revision\":0,\"scores\":{},\"marks\":[],\"note\":\"he named his village\"}'".to_owned(),
        "update audit_item set note = 'she named her street'".to_owned(),
        format!("update feed_message set content = 'PID|1||张建国', sealed_by = null, number_index = case when id = 'm1' then '{NUMBER}' end, digest = 'digest of PID|1||张建国'"),
        format!("update feed_visit set number_index = '{NUMBER}', encounter = null"),
        "update legal_hold set reason = 'a court'".to_owned(),
        "update vault set swept = 0".to_owned(),
    ] {
        let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut raw).await;
        assert!(done.expect("the table is this").rows_affected() > 0);
    }
}

// On both databases: see `store`.
pub async fn what_an_earlier_version_left_open_is_sealed_at_the_next_start(
    store: Store,
    url: String,
) {
    let (attempt, enrolment) = told_of(&store).await;
    open_again(&url).await;
    assert!(open_cells(&cells(&store, &url).await).len() > 12);
    // A first pass was broken off: one table is as it is to be.
    store.sweep().await.expect("sealed");
    let mut raw = AnyConnection::connect(&url).await.expect("the database");
    for sql in [
        "update vault set swept = 0",
        "update attempt set phone_index = '+86138007300519', phone = null",
    ] {
        sqlx::query(sql)
            .execute(&mut raw)
            .await
            .expect("the table is this");
    }
    let next = Store::open(&url, &master_key()).await.expect("opens");
    reads(&next, &attempt, &enrolment).await;
    assert_eq!(
        open_cells(&cells(&next, &url).await),
        Vec::<&(String, String)>::new()
    );
    // And nothing is done twice.
    let before = cells(&next, &url).await;
    next.close().await;
    let again = Store::open(&url, &master_key()).await.expect("opens");
    assert_eq!(cells(&again, &url).await, before);
    // A message that comes once more is known by its content still.
    let same = again.keep_message(&message("m1", "PID|1||张建国")).await;
    assert!(
        matches!(same, Ok(aftercall::store::feed::Kept::Known(_))),
        "{same:?}"
    );
    again.close().await;
}

/// How many are found, or `None` where a name had to be opened that cannot be.
async fn found(store: &Store, text: &str) -> Option<usize> {
    Some(store.find_patients(text, &Wards::ALL).await.ok()?.len())
}

// On both databases: see `store`.
pub async fn a_name_is_found_and_those_that_begin_otherwise_are_not_opened(
    store: Store,
    url: String,
) {
    for (number, name) in [
        ("1", "王建国"),
        ("2", "王芳"),
        ("3", "李秀英"),
        ("4", "Eleanor Whitfield"),
    ] {
        let (_, mut enrolment) = enrol(&store, number).await;
        enrolment.patient.name = Phi::new(name.to_owned());
        let saved = store
            .save_patient_with_episode_and_steps(&enrolment, "test", at(2))
            .await;
        saved.expect("saved");
    }
    let mut raw = AnyConnection::connect(&url).await.expect("the database");
    let her = store.patient_by_number("first", "3").await;
    let her = her.expect("looked up").expect("she is known").0;
    let sealed = sqlx::query("select name from patient where id = $1")
        .bind(&her)
        .fetch_one(&mut raw)
        .await;
    let sealed: String = sealed.expect("her row").get("name");
    let mut set_name = async |name: &str| {
        let sql = "update patient set name = $2 where id = $1";
        let done = sqlx::query(sql)
            .bind(&her)
            .bind(name)
            .execute(&mut raw)
            .await;
        done.expect("the table is this");
    };
    set_name(&sealed[..sealed.len() - 8]).await;
    for (text, count) in [
        ("王", Some(2)),
        ("wang", Some(2)),
        (" Wang jian", Some(1)),
        ("王五", Some(0)),
        ("whit", Some(1)),
        ("eleanor", Some(1)),
        ("李", None),
        // One letter is looked for in every name.
        ("w", None),
    ] {
        assert_eq!(found(&store, text).await, count, "{text}");
    }
    // What an earlier version wrote has no hash: it is opened until it is given one, at the next start.
    set_name(&sealed).await;
    for sql in [
        "update patient set name_index = null, family_index = null",
        "update vault set swept = 0",
    ] {
        let done = sqlx::query(sql).execute(&mut raw).await;
        done.expect("the table is this");
    }
    assert_eq!(found(&store, "王").await, Some(2));
    let next = Store::open(&url, &master_key()).await.expect("opens");
    let hashes = "select count(*) as hashes from patient where name_index is not null";
    let row = sqlx::query(hashes).fetch_one(&mut raw).await;
    assert_eq!(row.expect("a count").get::<i64, _>("hashes"), 4);
    assert_eq!(found(&next, "whit").await, Some(1));
    next.close().await;
}

// On both databases: see `store`.
pub async fn a_rotation_keeps_what_numbers_are_looked_up_by(store: Store, url: String) {
    store.close().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = aftercall::vault::Source::File(folder.path().join("master.key"));
    let engine = Store::open(&url, &file).await.expect("an engine");
    let (attempt, enrolment) = told_of(&engine).await;
    let hashes = async |store: &Store| -> Vec<(String, String)> {
        let all = cells(store, &url).await;
        all.into_iter()
            .filter(|(place, _)| place.ends_with("_index"))
            .collect()
    };
    let before = hashes(&engine).await;
    assert!(before.len() > 6, "{before:?}");
    let desk = Store::open(&url, &file).await.expect("another process");
    desk.rotate_keys(|_| {}).await.expect("rotated");
    assert_eq!(hashes(&desk).await, before);
    for store in [engine, desk] {
        reads(&store, &attempt, &enrolment).await;
        store.close().await;
    }
    let started = Store::open(&url, &file).await.expect("a new process");
    reads(&started, &attempt, &enrolment).await;
    let gone: Result<_, StoreError> = started.patient_by_number("second", NUMBER).await;
    assert_eq!(gone.expect("looked up"), None);
    started.close().await;
}
