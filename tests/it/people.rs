//! People and the audit chain: sign-in, roles and wards over real HTTP; accounts and chain on both databases.

use std::path::Path;
use std::time::Duration;

use aftercall::password;
use aftercall::store::staff::{SessionLimits, SignedInBy, Staff};
use aftercall::store::work_order::Raise;
use aftercall::store::{Store, StoreError};
use aftercall_core::audit_chain::{Fault, Head, is_signed, sign_head};
use aftercall_core::id::PatientId;
use aftercall_core::staff::{Lockout, Role, Wards};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Cause, Subject};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use totp_rs::{Builder, Secret};

use crate::record::{at, calling, enrolment, master_key, raise};
use crate::web::{Server, body, problem, send};

pub const PASSWORD: &str = "a long walk by the river";

pub async fn account(store: &Store, name: &str, roles: &[Role], wards: &Wards) -> Staff {
    let staff = store
        .add_staff(name, name, roles, wards, at(0))
        .await
        .expect("made");
    let phc = password::hash(name, PASSWORD).expect("strong");
    store
        .set_password(name, &phc, at(0))
        .await
        .expect("an account");
    staff
}

pub fn sign_in(server: &Server, body: &Value) -> RequestBuilder {
    server.bare(Method::POST, "/api/v1/session").json(body)
}

/// A browser: a cookie, and the token that goes with changes.
pub struct Browser<'a> {
    server: &'a Server,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    pub async fn open(server: &'a Server, name: &str) -> Self {
        let response = send(sign_in(
            server,
            &json!({ "name": name, "password": PASSWORD }),
        ))
        .await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        let cookie = response.headers()["set-cookie"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let session = body(response).await;
        Self {
            server,
            cookie: cookie.split(';').next().expect("a pair").to_owned(),
            csrf: session["csrf"].as_str().expect("a token").to_owned(),
        }
    }

    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.server
            .bare(method, &format!("/api/v1{path}"))
            .header("cookie", &self.cookie)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header("x-csrf-token", &self.csrf)
    }

    pub async fn status(&self, method: Method, path: &str) -> u16 {
        send(self.request(method, path)).await.status().as_u16()
    }
}

#[tokio::test]
async fn a_nurse_signs_in_works_and_signs_out() {
    let server = Server::start().await;
    account(&server.store, "li.na", &[Role::Nurse], &Wards::ALL).await;
    let nurse = Browser::open(&server, "li.na").await;
    let session = body(send(nurse.bare(Method::GET, "/session")).await).await;
    assert_eq!(
        (&session["name"], &session["roles"], &session["wards"]),
        (&json!("li.na"), &json!(["nurse"]), &Value::Null)
    );
    // Another site's page cannot read the token, so nothing it sends changes anything.
    let (new, _) = calling(&server.store, "1").await;
    let order = server
        .store
        .raise_or_join_work_order(&raise(&new, vec![Cause::AskedForPerson]), at(1))
        .await
        .expect("raised")
        .expect("a cause");
    let acknowledge = format!("/work-orders/{}/acknowledge", order.id);
    problem(nurse.bare(Method::POST, &acknowledge), 403, "csrf").await;
    problem(
        nurse
            .bare(Method::POST, &acknowledge)
            .header("x-csrf-token", "guessed"),
        403,
        "csrf",
    )
    .await;
    let taken = body(send(nurse.request(Method::POST, &acknowledge)).await).await;
    assert_eq!(taken["acknowledged_by"], "li.na");
    assert_eq!(nurse.status(Method::DELETE, "/session").await, 204);
    problem(nurse.bare(Method::GET, "/session"), 401, "unauthorised").await;
}

#[tokio::test]
async fn guessing_locks_the_account_and_tells_nothing() {
    let server = Server::start().await;
    account(&server.store, "li.na", &[Role::Nurse], &Wards::ALL).await;
    let wrong = json!({ "name": "li.na", "password": "a long walk by the sea" });
    let nobody = json!({ "name": "li.no", "password": "a long walk by the sea" });
    let first = problem(sign_in(&server, &wrong), 401, "wrong_credentials").await;
    let unknown = problem(sign_in(&server, &nobody), 401, "wrong_credentials").await;
    assert_eq!(first, unknown, "a name that is not known looks the same");
    for _ in 0..3 {
        problem(sign_in(&server, &wrong), 401, "wrong_credentials").await;
    }
    problem(sign_in(&server, &wrong), 429, "locked_out").await;
    let right = json!({ "name": "li.na", "password": PASSWORD });
    problem(sign_in(&server, &right), 429, "locked_out").await;
    // A new password opens the lock.
    let phc = password::hash("li.na", PASSWORD).expect("strong");
    server
        .store
        .set_password("li.na", &phc, at(1))
        .await
        .expect("an account");
    assert_eq!(
        send(sign_in(&server, &right)).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_taken_once() {
    let server = Server::start().await;
    account(&server.store, "zhao", &[Role::SecurityAdmin], &Wards::ALL).await;
    let (secret, _) = password::new_totp("zhao", "hospital");
    server
        .store
        .set_totp("zhao", Some(&secret), at(0))
        .await
        .expect("an account");
    let mut attempt = json!({ "name": "zhao", "password": PASSWORD });
    problem(sign_in(&server, &attempt), 401, "code_needed").await;
    // Not even that a code is needed is told without the password.
    let wrong = json!({ "name": "zhao", "password": "wrong wrong wrong" });
    problem(sign_in(&server, &wrong), 401, "wrong_credentials").await;
    attempt["code"] = totp(&secret).into();
    assert_eq!(
        send(sign_in(&server, &attempt)).await.status(),
        StatusCode::OK
    );
    problem(sign_in(&server, &attempt), 401, "wrong_credentials").await;
}

fn totp(secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).expect("base32");
    let totp = Builder::new().with_secret(secret).with_account_name("a");
    let now = u64::try_from(Timestamp::now().as_second()).expect("after 1970");
    let totp = totp.build().expect("a secret of 160 bits");
    totp.generate(now).to_string()
}

#[tokio::test]
async fn who_sets_up_a_second_factor_proves_it_before_it_counts() {
    let server = Server::start().await;
    account(&server.store, "li.na", &[Role::Nurse], &Wards::ALL).await;
    let nurse = Browser::open(&server, "li.na").await;
    let elsewhere = Browser::open(&server, "li.na").await;
    let path = "/session/second-factor";
    let begin = |password: &str| {
        let sent = json!({ "password": password });
        nurse.request(Method::POST, path).json(&sent)
    };
    let confirm = |code: &str| {
        let sent = json!({ "code": code });
        nurse.request(Method::PUT, path).json(&sent)
    };
    problem(begin("not my password"), 401, "wrong_credentials").await;
    problem(confirm("123456"), 409, "no_second_factor").await;
    let made = send(begin(PASSWORD)).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let made = body(made).await;
    let secret = made["secret"].as_str().expect("shown once").to_owned();
    let uri = made["uri"].as_str().expect("a URI");
    assert!(
        uri.starts_with("otpauth://totp/") && uri.contains(&secret),
        "{uri}"
    );
    // It does not count yet: whoever closes the page now signs in as before.
    let plain = json!({ "name": "li.na", "password": PASSWORD });
    assert_eq!(send(sign_in(&server, &plain)).await.status(), 200);
    problem(confirm("no code"), 400, "invalid_body").await;
    let code = totp(&secret);
    assert_eq!(send(confirm(&code)).await.status(), StatusCode::NO_CONTENT);
    problem(sign_in(&server, &plain), 401, "code_needed").await;
    let mut again = plain.clone();
    again["code"] = code.into();
    problem(sign_in(&server, &again), 401, "wrong_credentials").await;
    assert_eq!(nurse.status(Method::GET, "/session").await, 200);
    assert_eq!(elsewhere.status(Method::GET, "/session").await, 401);
    // Nobody takes their own away, or puts another in its place; a security admin does.
    problem(begin(PASSWORD), 409, "conflict").await;
    account(&server.store, "zhao", &[Role::SecurityAdmin], &Wards::ALL).await;
    let admin = Browser::open(&server, "zhao").await;
    let off = json!({ "remove_second_factor": true });
    let change = |name: &str| admin.request(Method::PATCH, &format!("/staff/{name}"));
    problem(change("zhao").json(&off), 403, "own_account").await;
    assert_eq!(send(change("li.na").json(&off)).await.status(), 200);
    assert_eq!(nurse.status(Method::GET, "/session").await, 401);
    assert_eq!(send(sign_in(&server, &plain)).await.status(), 200);
    let log = server.store.audit_log(None, &all()).await.expect("listed");
    for (who, what) in [("li.na", "staff.totp"), ("zhao", "staff.totp_off")] {
        assert!(
            log.items
                .iter()
                .any(|row| row.who == who && row.what == what),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_role_that_needs_a_second_factor_does_nothing_without() {
    let staff = aftercall::config::Staff {
        second_factor_for: vec![Role::SecurityAdmin],
        ..aftercall::config::Staff::default()
    };
    let server = Server::open(&staff, None).await;
    account(&server.store, "zhao", &[Role::SecurityAdmin], &Wards::ALL).await;
    account(&server.store, "li.na", &[Role::Nurse], &Wards::ALL).await;
    let nurse = Browser::open(&server, "li.na").await;
    assert_eq!(nurse.status(Method::GET, "/work-orders").await, 200);
    let admin = Browser::open(&server, "zhao").await;
    let me = body(send(admin.bare(Method::GET, "/session")).await).await;
    assert_eq!(me["second_factor_needed"], true);
    let list = || admin.bare(Method::GET, "/staff");
    problem(list(), 403, "second_factor_needed").await;
    let begin = json!({ "password": PASSWORD });
    let path = "/session/second-factor";
    let made = body(send(admin.request(Method::POST, path).json(&begin)).await).await;
    problem(list(), 403, "second_factor_needed").await;
    let code = totp(made["secret"].as_str().expect("shown once"));
    let confirm = admin
        .request(Method::PUT, path)
        .json(&json!({ "code": code }));
    assert_eq!(send(confirm).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(send(list()).await.status(), StatusCode::OK);
    // A provider's sign-in has its second factor there.
    let known = server.store.staff_member("zhao").await.expect("known");
    server
        .store
        .set_totp("zhao", None, at(0))
        .await
        .expect("an account");
    let limits = SessionLimits::default();
    let now = Timestamp::now();
    let opened = server
        .store
        .open_session(known, SignedInBy::Provider, &limits, now);
    let (_, key) = opened.await.expect("opened");
    let listed = server
        .bare(Method::GET, "/api/v1/staff")
        .header("cookie", format!("aftercall_session={key}"));
    assert_eq!(send(listed).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn each_role_does_its_own_work_and_no_other() {
    let server = Server::start().await;
    let (new, _) = calling(&server.store, "1").await;
    let patient = new.patient.clone().expect("known").0;
    let paths = [
        format!("/patients/{patient}"),
        "/work-orders".to_owned(),
        format!("/calls/{}", new.id),
        "/audit/items".to_owned(),
        "/audit/figures".to_owned(),
        "/do-not-call".to_owned(),
        "/staff".to_owned(),
        "/audit/log".to_owned(),
    ];
    // What each may see, in the order of the paths.
    for (role, may) in [
        (Role::Nurse, "yyynnnnn"),
        (Role::Clinician, "yyyyynnn"),
        (Role::Author, "nnnnynnn"),
        (Role::Qa, "yyyyynnn"),
        (Role::SystemAdmin, "ynnnyynn"),
        (Role::SecurityAdmin, "nnnnnnyn"),
        (Role::Auditor, "nnnnnnny"),
        (Role::Service, "yyyyyynn"),
    ] {
        let name = format!("one.{role}");
        account(&server.store, &name, &[role], &Wards::ALL).await;
        let browser = Browser::open(&server, &name).await;
        for (path, may) in paths.iter().zip(may.chars()) {
            let status = browser.status(Method::GET, path).await;
            let expected = if may == 'y' { 200 } else { 403 };
            assert_eq!(status, expected, "{role} {path}");
        }
    }
    let refused = server.store.audit_log(Some(&patient), &all()).await;
    let refused = refused.expect("listed").items;
    assert!(
        refused
            .iter()
            .any(|entry| entry.what == "access.refused" && entry.who == "one.auditor"),
        "what was refused is on record"
    );
}

#[tokio::test]
async fn another_wards_records_are_not_there() {
    let server = Server::start().await;
    let (ours, _) = calling(&server.store, "1").await;
    let mut theirs = enrolment("2");
    theirs.episode.ward = "9B".to_owned();
    let theirs = server
        .store
        .save_patient_with_episode_and_steps(&theirs, "test", at(0))
        .await
        .expect("saved");
    let ward = enrolment("1").episode.ward;
    account(
        &server.store,
        "li.na",
        &[Role::Nurse, Role::SystemAdmin],
        &Wards::only(vec![ward]),
    )
    .await;
    let nurse = Browser::open(&server, "li.na").await;
    let patient = ours.patient.clone().expect("known").0;
    assert_eq!(
        nurse
            .status(Method::GET, &format!("/patients/{patient}"))
            .await,
        200
    );
    let other = theirs.patient.0;
    for path in [
        format!("/patients/{other}"),
        format!("/patients/{other}/why"),
        format!("/patients/{other}/attempts"),
    ] {
        problem(nurse.bare(Method::GET, &path), 404, "not_found").await;
    }
    problem(
        nurse.request(Method::PUT, &format!("/episodes/{}/state", theirs.episode)),
        404,
        "not_found",
    )
    .await;
    for (list, key) in [
        ("/patients", "id"),
        ("/steps", "patient"),
        ("/attempts", "patient"),
    ] {
        let listed = body(send(nurse.bare(Method::GET, list)).await).await;
        let rows = listed["items"].as_array().expect("rows");
        assert!(!rows.is_empty(), "{list}");
        assert!(rows.iter().all(|row| row[key] == json!(patient)), "{list}");
    }
    // Their order is not listed, and is not there.
    let subject = Subject {
        patient: Some(PatientId(other.clone())),
        episode: Some(theirs.episode.clone()),
        attempt: None,
        high_risk: false,
    };
    let theirs = Raise {
        subject,
        ..raise(&ours, vec![Cause::AskedForPerson])
    };
    let mut raised = Vec::new();
    for order in [raise(&ours, vec![Cause::AskedForPerson]), theirs] {
        let order = server.store.raise_or_join_work_order(&order, at(1)).await;
        raised.push(order.expect("raised").expect("a cause").id.0);
    }
    let listed = body(send(nurse.bare(Method::GET, "/work-orders")).await).await;
    let rows = listed["items"].as_array().expect("rows");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["id"], json!(raised[0]));
    let take = |id: &str| nurse.request(Method::POST, &format!("/work-orders/{id}/acknowledge"));
    problem(take(&raised[1]), 404, "not_found").await;
    assert_eq!(send(take(&raised[0])).await.status(), StatusCode::OK);
    // Lists of the whole hospital are not for one ward.
    assert_eq!(nurse.status(Method::GET, "/do-not-call").await, 403);
    assert_eq!(nurse.status(Method::GET, "/imports").await, 403);
}

#[tokio::test]
async fn a_security_admin_makes_accounts_but_never_their_own() {
    let server = Server::start().await;
    account(&server.store, "zhao", &[Role::SecurityAdmin], &Wards::ALL).await;
    let admin = Browser::open(&server, "zhao").await;
    let new =
        json!({ "name": "wang", "display_name": "王芳", "roles": ["nurse"], "wards": ["5A"] });
    let made = send(admin.request(Method::POST, "/staff").json(&new)).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let made = body(made).await;
    let first = made["password"].as_str().expect("shown once").to_owned();
    problem(
        admin.request(Method::POST, "/staff").json(&new),
        409,
        "conflict",
    )
    .await;
    let bad = json!({ "name": "w w", "display_name": "王芳", "roles": ["nurse"] });
    problem(
        admin.request(Method::POST, "/staff").json(&bad),
        400,
        "invalid_body",
    )
    .await;
    let more = json!({ "roles": ["system_admin", "security_admin"] });
    problem(
        admin.request(Method::PATCH, "/staff/zhao").json(&more),
        403,
        "own_account",
    )
    .await;
    // What a body does not name cannot be set by it.
    let smuggled = json!({ "id": "x", "password": "y", "locked_until": null });
    problem(
        admin.request(Method::PATCH, "/staff/wang").json(&smuggled),
        400,
        "invalid_body",
    )
    .await;
    let signed = sign_in(&server, &json!({ "name": "wang", "password": first }));
    let wang = send(signed).await;
    let cookie = wang.headers()["set-cookie"].to_str().expect("ASCII");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    // Whose account ends is out with the next request.
    let out = json!({ "active": false });
    let ended = send(admin.request(Method::PATCH, "/staff/wang").json(&out)).await;
    assert_eq!(ended.status(), StatusCode::OK);
    let look = server
        .bare(Method::GET, "/api/v1/session")
        .header("cookie", cookie);
    problem(look, 401, "unauthorised").await;
}

// On both databases: see `store`.
pub async fn a_session_ends_by_idleness_and_by_age(store: Store) {
    let staff = account(&store, "li.na", &[Role::Nurse], &Wards::ALL).await;
    let limits = SessionLimits {
        idle: Duration::from_secs(600),
        longest: Duration::from_secs(3_600),
    };
    let open = |now| store.open_session(staff.clone(), SignedInBy::Password, &limits, now);
    let (_, key) = open(at(0)).await.expect("opened");
    let at_work = |now| store.session(&key, &limits, now);
    assert!(at_work(at(599)).await.expect("read").is_some());
    assert!(
        at_work(at(1_190)).await.expect("read").is_some(),
        "the look before counts"
    );
    assert!(at_work(at(1_791)).await.expect("read").is_none(), "idle");
    let (_, key) = open(at(0)).await.expect("opened");
    for minute in 0..60 {
        assert!(
            store
                .session(&key, &limits, at(minute * 60))
                .await
                .expect("read")
                .is_some(),
            "{minute}"
        );
    }
    assert!(
        store
            .session(&key, &limits, at(3_600))
            .await
            .expect("read")
            .is_none(),
        "too old, however busy"
    );
    assert!(
        store
            .session("another", &limits, at(1))
            .await
            .expect("read")
            .is_none()
    );
    let lockout = Lockout::default();
    for failure in 1..=5 {
        let until = store
            .sign_in_failed(&staff.id, |failures| lockout.until(failures, at(0)))
            .await
            .expect("counted");
        assert_eq!(until, (failure == 5).then(|| at(15 * 60)), "{failure}");
    }
    assert!(matches!(
        store
            .add_staff("li.na", "another", &[Role::Qa], &Wards::ALL, at(9))
            .await,
        Err(StoreError::Conflict { .. })
    ));
}

// On both databases: see `store`. The rows are changed behind the store's back, as one would who has the database.
pub async fn tampering_with_the_audit_log_is_found(store: Store, url: String) {
    for second in 1..=6 {
        store
            .audit("li.na", "recording.listen", "a", "bytes 0-9", at(second))
            .await
            .expect("written");
    }
    let head = store.audit_head().await.expect("read");
    assert_eq!(head.seq, 6);
    let verify = |known: Option<Head>| store.verify_audit(known, |_| {});
    assert_eq!(verify(None).await.expect("read"), Ok(head.clone()));
    let mut behind = AnyConnection::connect(&url).await.expect("the database");
    let mut run = async |sql: &str| {
        behind
            .execute(AssertSqlSafe(sql.to_owned()))
            .await
            .expect("the tables are these");
    };
    run("update audit_log set detail = 'bytes 0-8' where seq = 3").await;
    assert_eq!(
        verify(None).await.expect("read"),
        Err(Fault::Changed { seq: 3 })
    );
    run("update audit_log set detail = 'bytes 0-9' where seq = 3").await;
    assert_eq!(
        verify(None).await.expect("read"),
        Ok(head.clone()),
        "whole again"
    );
    run("delete from audit_log where seq > 4").await;
    assert_eq!(
        verify(None).await.expect("read"),
        Err(Fault::Cut { last: 4, head: 6 })
    );
    // The head in the database was put back as well: only the one kept elsewhere knows.
    run(
        "update audit_head set seq = 4, hash = (select hash from audit_log where seq = 4) where id = 1",
    )
    .await;
    assert!(verify(None).await.expect("read").is_ok());
    assert_eq!(
        verify(Some(head)).await.expect("read"),
        Err(Fault::CutSince { last: 4, head: 6 })
    );
    run("update audit_log set seq = null where seq = 4").await;
    assert_eq!(
        verify(None).await.expect("read"),
        Err(Fault::Cut { last: 3, head: 4 })
    );
}

// On both databases: see `store`. The head goes out once an hour, where anything was written since.
pub async fn the_audit_logs_head_is_sent_outside(store: Store) {
    let hour = Duration::from_secs(3_600);
    let post = |now| store.post_audit_head(hour, |head| Some(sign_head(head, &[7; 32])), now);
    assert_eq!(
        post(at(0)).await.expect("asked"),
        None,
        "nothing was written"
    );
    store.audit("w", "x", "", "", at(1)).await.expect("written");
    let head = post(at(2)).await.expect("asked").expect("due");
    assert_eq!(head, store.audit_head().await.expect("read"));
    store.audit("w", "x", "", "", at(3)).await.expect("written");
    assert_eq!(
        post(at(4)).await.expect("asked"),
        None,
        "not again within the hour"
    );
    assert!(post(at(3_602)).await.expect("asked").is_some());
    let events = store.claim_outbox(at(3_602), 9, at(3_660), "e").await;
    let events = events.expect("claimed");
    assert_eq!(events.len(), 2);
    let payload: Value = serde_json::from_str(&events[0].payload).expect("JSON");
    assert_eq!(
        (&payload["event"], &payload["seq"], &payload["hash"]),
        (&json!("audit.head"), &json!(1), &json!(head.hash))
    );
    let signature = payload["signature"].as_str().expect("signed");
    let public = aftercall_core::signature::public_key(&[7; 32]);
    assert!(is_signed(&head, signature, &public));
}

// On both databases: see `store`. Two engines write at once, and the chain has no fork.
pub async fn engines_append_to_one_chain(store: Store, url: String) {
    let other = Store::open(&url, &master_key())
        .await
        .expect("a second engine");
    let write = |store: Store, who: &'static str| async move {
        for second in 0..40 {
            store
                .audit(who, "patient.read", "a", "", at(second))
                .await
                .expect("written");
        }
    };
    let one = tokio::spawn(write(store.clone(), "one"));
    let two = tokio::spawn(write(other.clone(), "two"));
    one.await.expect("no panic");
    two.await.expect("no panic");
    let head = store.verify_audit(None, |_| {}).await.expect("read");
    assert_eq!(head.expect("intact").seq, 80);
    other.close().await;
}

// On both databases: see `store`.
pub async fn what_was_written_before_the_chain_is_taken_in(store: Store, url: String) {
    let mut behind = AnyConnection::connect(&url).await.expect("the database");
    for id in ["1", "2", "3"] {
        let sql = format!(
            "insert into audit_log (id, at_ms, who, what, subject, detail) values ('{id}', 5, 'w', 'x', '', '')"
        );
        behind
            .execute(AssertSqlSafe(sql))
            .await
            .expect("as an older version wrote");
    }
    behind.close().await.expect("closed");
    let again = Store::open(&url, &master_key()).await.expect("opened anew");
    let head = again.verify_audit(None, |_| {}).await.expect("read");
    assert_eq!(head.expect("intact").seq, 3);
    again.close().await;
    store.audit("w", "x", "", "", at(1)).await.expect("written");
    let head = store.verify_audit(None, |_| {}).await.expect("read");
    assert_eq!(head.expect("intact").seq, 4);
}

#[tokio::test]
async fn an_auditor_finds_the_listens_and_why() {
    let server = Server::with_reasons(&["call.read"]).await;
    let (new, _) = calling(&server.store, "1").await;
    account(&server.store, "li.na", &[Role::Nurse], &Wards::ALL).await;
    account(&server.store, "sun", &[Role::Auditor], &Wards::ALL).await;
    let nurse = Browser::open(&server, "li.na").await;
    let path = format!("/calls/{}", new.id);
    problem(nurse.bare(Method::GET, &path), 400, "reason_needed").await;
    // "complaint of the family", in Chinese.
    let why = "%E5%AE%B6%E5%B1%9E%E6%8A%95%E8%AF%89";
    let seen = nurse
        .bare(Method::GET, &path)
        .header("x-access-reason", why);
    assert_eq!(send(seen).await.status(), StatusCode::OK);
    let auditor = Browser::open(&server, "sun").await;
    let log = auditor.bare(Method::GET, &format!("/audit/log?subject={}", new.id));
    let log = body(send(log).await).await;
    let entries = log["items"].as_array().expect("entries");
    assert_eq!(entries.len(), 1, "what was refused showed nothing");
    assert_eq!(
        (
            &entries[0]["who"],
            &entries[0]["what"],
            &entries[0]["reason"]
        ),
        (&json!("li.na"), &json!("call.read"), &json!("家属投诉"))
    );
    let chain = body(send(auditor.bare(Method::GET, "/audit/chain")).await).await;
    assert_eq!(chain["intact"], true);
}

/// The first 200 rows of a list.
pub fn all() -> aftercall::store::page::PageRequest {
    aftercall::store::page::PageRequest {
        limit: 200,
        after: None,
    }
}

/// What lies in the database's files.
fn lies(folder: &Path, text: &str) -> bool {
    let files = crate::vault::files(folder);
    let mut bytes = files.iter().map(|(_, bytes)| bytes);
    bytes.any(|bytes| crate::vault::contains(bytes, text.as_bytes()))
}

#[tokio::test]
async fn a_second_factor_lies_sealed_and_what_lay_open_is_sealed_at_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}/a.db", folder.path().display());
    let store = Store::open(&url, &master_key()).await.expect("a database");
    let (own, _) = password::new_totp("zhao", "hospital");
    let (begun, _) = password::new_totp("li.na", "hospital");
    account(&store, "zhao", &[Role::SecurityAdmin], &Wards::ALL).await;
    let li = account(&store, "li.na", &[Role::Nurse], &Wards::ALL).await;
    store
        .set_totp("zhao", Some(&own), at(0))
        .await
        .expect("set");
    store.begin_totp(&li.id, &begun).await.expect("begun");
    let known = async |store: &Store| {
        let zhao = store.credentials("zhao").await.expect("read");
        (
            zhao.expect("an account").totp,
            store.pending_totp(&li.id).await.expect("read"),
        )
    };
    let both = (Some(own.clone()), Some(begun.clone()));
    assert_eq!(known(&store).await, both);
    store.close().await;
    for secret in [&own, &begun] {
        assert!(!lies(folder.path(), secret), "it lies open");
    }
    // As an earlier version left them.
    let mut before = AnyConnection::connect(&url).await.expect("a database");
    for (column, secret, name) in [("totp", &own, "zhao"), ("totp_pending", &begun, "li.na")] {
        let sql = format!("update staff set {column} = $1 where name = $2");
        let update = sqlx::query(AssertSqlSafe(sql)).bind(secret).bind(name);
        update.execute(&mut before).await.expect("written");
    }
    let again = "update vault set swept = 0";
    before.execute(again).await.expect("as the migration says");
    before.close().await.expect("closed");
    assert!(lies(folder.path(), &own));
    let store = Store::open(&url, &master_key()).await.expect("it opens");
    assert_eq!(known(&store).await, both);
    // It still counts when its first code has come, and not another.
    let confirm = |secret: String| {
        let (store, id) = (store.clone(), li.id.clone());
        async move { store.confirm_totp(&id, (&secret, 7), "", at(1)).await }
    };
    assert!(!confirm(own.clone()).await.expect("asked"), "not hers");
    assert!(confirm(begun.clone()).await.expect("asked"));
    let li = store.credentials("li.na").await.expect("read");
    assert_eq!(li.expect("an account").totp, Some(begun.clone()));
    store.close().await;
    for secret in [&own, &begun] {
        assert!(!lies(folder.path(), secret), "it still lies open");
    }
}
