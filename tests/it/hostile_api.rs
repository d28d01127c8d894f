//! A hostile session against a running server, by the OWASP API Security Top 10 of 2023: each attempt is refused, and
//! the server goes on serving. HTTPS, and where it is asked for.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use aftercall::config::{self, Config};
use aftercall::web::Listening;
use aftercall_core::staff::{Role, Wards};
use axum::Router;
use axum::routing::get;
use reqwest::{Method, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::people::{Browser, PASSWORD, account, sign_in};
use crate::record::{at, calling, enrolment};
use crate::tls::certify;
use crate::web::{Server, problem, send};

/// What a raw client wrote, and everything that came back until the server closed.
async fn raw(address: SocketAddr, request: &'static [u8]) -> String {
    spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.write_all(request).expect("it takes bytes");
        let mut answer = Vec::new();
        // A reset after the answer is an end too.
        let ended = stream.read_to_end(&mut answer);
        drop(ended);
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
    .expect("no panic")
}

async fn still_serves(server: &Server, after: &str) {
    let health = send(server.bare(Method::GET, "/health")).await;
    assert_eq!(health.status(), StatusCode::OK, "after {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_the_owasp_top_ten_is_refused_and_the_server_serves_on() {
    let server = Server::start().await;
    let store = &server.store;
    let (ours, _) = calling(store, "1").await;
    let ours = ours.patient.expect("known").0;
    let mut theirs = enrolment("2");
    theirs.episode.ward = "9B".to_owned();
    let theirs = store.save_patient_with_episode_and_steps(&theirs, "test", at(0));
    let theirs = theirs.await.expect("saved").patient.0;
    let ward = Wards::only(vec![enrolment("1").episode.ward]);
    account(store, "mallory", &[Role::Nurse], &ward).await;
    let mallory = Browser::open(&server, "mallory").await;

    // API1, broken object level authorisation: another ward's patient, by id.
    for path in [
        "",
        "/plans",
        "/why",
        "/trends",
        "/observations",
        "/attempts",
    ] {
        let path = format!("/patients/{theirs}{path}");
        problem(mallory.bare(Method::GET, &path), 404, "not_found").await;
    }
    problem(
        mallory
            .request(Method::PUT, &format!("/patients/{theirs}/life"))
            .json(&json!({ "life": "dead" })),
        404,
        "not_found",
    )
    .await;

    // API2, broken authentication: forged, empty, cut and foreign credentials; a session that was ended.
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.";
    for token in ["", "aftercall_", unsigned, "' or '1'='1", "\u{e9}\u{e9}"] {
        let forged = server
            .bare(Method::GET, "/api/v1/patients")
            .header("authorization", format!("Bearer {token}").into_bytes());
        problem(forged, 401, "unauthorised").await;
    }
    for cookie in [
        "aftercall_session=",
        "aftercall_session=a; b=c",
        "=;=;=",
        "other=1",
    ] {
        let forged = server
            .bare(Method::GET, "/api/v1/patients")
            .header("cookie", cookie);
        problem(forged, 401, "unauthorised").await;
    }
    let second = Browser::open(&server, "mallory").await;
    assert_eq!(second.status(Method::DELETE, "/session").await, 204);
    problem(second.bare(Method::GET, "/patients"), 401, "unauthorised").await;
    problem(
        second.request(Method::PUT, &format!("/patients/{ours}/consent")),
        401,
        "unauthorised",
    )
    .await;

    // API3, broken property level authorisation: fields that a body does not have.
    let smuggled = json!({ "basis": "written", "recording": true, "text_version": null, "given_on": null,
        "patient_id": theirs });
    problem(
        mallory
            .request(Method::PUT, &format!("/patients/{ours}/consent"))
            .json(&smuggled),
        400,
        "invalid_body",
    )
    .await;

    // API4, unrestricted resource consumption: too much, too deep, too slow, too many.
    let huge = vec![b'['; (1 << 20) + 1];
    problem(
        mallory
            .request(Method::PUT, &format!("/patients/{ours}/consent"))
            .header("content-type", "application/json")
            .body(huge),
        413,
        "too_large",
    )
    .await;
    let deep = "[".repeat(100_000);
    problem(
        mallory
            .request(Method::PUT, &format!("/patients/{ours}/consent"))
            .header("content-type", "application/json")
            .body(deep),
        400,
        "invalid_json",
    )
    .await;
    let long = json!({ "name": "mallory", "password": "x".repeat(5_000) });
    problem(sign_in(&server, &long), 413, "too_large").await;
    problem(
        mallory.bare(Method::GET, "/patients?limit=1000000"),
        400,
        "invalid_query",
    )
    .await;
    let slow = raw(
        server.address,
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    )
    .await;
    assert!(!slow.contains("200 OK"), "{slow}");
    still_serves(&server, "a client that never ends its head").await;

    // API5, broken function level authorisation: what only admins and auditors do.
    for (method, path) in [
        (Method::GET, "/staff"),
        (Method::POST, "/staff"),
        (Method::PATCH, "/staff/mallory"),
        (Method::GET, "/audit/log"),
        (Method::POST, "/imports"),
        (Method::POST, "/do-not-call"),
    ] {
        problem(mallory.request(method, path), 403, "not_allowed").await;
    }

    // API7, server side request forgery: no route fetches what a caller names. API8, misconfiguration: no foreign
    // origin is let in, no method that echoes, no header that another one smuggles in.
    let foreign = mallory
        .bare(Method::GET, "/patients")
        .header("origin", "https://evil.example");
    let foreign = send(foreign).await;
    assert!(
        foreign
            .headers()
            .get("access-control-allow-origin")
            .is_none()
    );
    assert_eq!(foreign.headers()["x-content-type-options"], "nosniff");
    assert_eq!(foreign.headers()["cache-control"], "no-store");
    problem(
        mallory.bare(Method::PUT, &format!("/patients/{ours}/consent")),
        403,
        "csrf",
    )
    .await;
    let traced = raw(
        server.address,
        b"TRACE /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(traced.starts_with("HTTP/1.1 405"), "{traced}");
    let split = raw(
        server.address,
        b"GET /api/v1/patients?cursor=a%0d%0aSet-Cookie:%20x=y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        split.starts_with("HTTP/1.1 401") && !split.to_lowercase().contains("set-cookie"),
        "{split}"
    );
    for broken in [
        b"\x16\x03\x01\x00\xa5\x01\x00".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\nConnection: close\r\n\r\n",
    ] {
        let answer = raw(server.address, broken).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }

    // API9, inventory: nothing beside what the document lists. And paths that climb.
    for path in [
        "/api/v2/patients",
        "/api/v1/debug",
        "/.env",
        "/api/v1/calls/..%2f..%2fetc%2fpasswd/recording",
    ] {
        let response = send(server.bare(Method::GET, path)).await;
        let status = response.status().as_u16();
        assert!([401, 404].contains(&status), "{path} {status}");
    }
    problem(
        mallory.bare(Method::GET, "/calls/..%2f..%2faftercall.db/recording"),
        404,
        "not_found",
    )
    .await;

    // API6, a flow that is worth flooding: sign-in. Other accounts are guessed from one address until it is stopped.
    let mut refused = None;
    for guess in 0..40 {
        let guess = json!({ "name": format!("nurse.{guess}"), "password": PASSWORD });
        let status = send(sign_in(&server, &guess)).await.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(status);
            break;
        }
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    assert!(refused.is_some(), "forty accounts guessed from one address");

    still_serves(&server, "all of it").await;
    let life = store.patient(&aftercall_core::id::PatientId(theirs)).await;
    assert_eq!(
        life.expect("still there").life,
        aftercall_core::patient::Life::Alive,
        "nothing was changed"
    );
    let log = store.audit_log(None, &crate::people::all()).await;
    let log = log.expect("listed").items;
    let refusals = log
        .iter()
        .filter(|entry| entry.what == "access.refused" && entry.who == "mallory");
    assert!(refusals.count() >= 13, "refusals are on record");
    let chain = store.verify_audit(None, |_| {}).await.expect("read");
    assert!(chain.is_ok(), "{chain:?}");
}

#[test]
fn records_never_leave_this_machine_in_the_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.toml");
    let load = |web: &str| {
        std::fs::write(&file, format!("[web]\n{web}")).expect("own folder");
        Config::load(&file)
            .map(drop)
            .map_err(|fault| fault.to_string())
    };
    let refused = load("bind = \"0.0.0.0:8080\"").expect_err("no TLS");
    assert!(refused.contains("a.toml:2: web.bind"), "{refused}");
    assert!(load("bind = \"[::]:8080\"").is_err());
    assert!(load("bind = \"127.0.0.1:8080\"").is_ok());
    assert!(load("bind = \"0.0.0.0:8080\"\ntrusted_proxies = [\"10.0.0.1\"]").is_ok());
    assert!(load("bind = \"0.0.0.0:8443\"\ncertificate = \"a\"\nkey = \"b\"").is_ok());
    assert!(load("certificate = \"a\"").is_err());
}

/// The body that `/` gives to who trusts the certificate in this folder; an error where it is another's.
fn https(address: SocketAddr, folder: &Path) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(folder.join("cert.pem")).expect("written") {
        roots
            .add(certificate.expect("a certificate"))
            .expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut stream = StreamOwned::new(tls, TcpStream::connect(address)?);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_served_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    certify(folder.path(), "localhost");
    let web = config::Web {
        bind: "127.0.0.1:0".to_owned(),
        certificate: Some(folder.path().join("cert.pem")),
        key: Some(folder.path().join("key.pem")),
        ..config::Web::default()
    };
    let listening = Listening::open(&web).await.expect("a certificate");
    let address = listening.address().expect("bound");
    let (_stop, stopping) = watch::channel(false);
    let router = Router::new().route("/", get(|| async { "here" }));
    tokio::spawn(listening.serve(router, stopping));
    let path = folder.path().to_owned();
    let first = spawn_blocking(move || https(address, &path)).await;
    let first = first.expect("no panic").expect("trusted");
    assert!(first.ends_with("here"), "{first}");
    // Another key and certificate take their place; who trusts only the new one is answered before long.
    certify(folder.path(), "localhost");
    let path = folder.path().to_owned();
    let second = spawn_blocking(move || {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            match https(address, &path) {
                Ok(answer) => return answer,
                Err(error) if std::time::Instant::now() > until => panic!("{error}"),
                Err(_) => std::thread::yield_now(),
            }
        }
    });
    assert!(second.await.expect("no panic").ends_with("here"));
}
