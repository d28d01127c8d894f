//! Single sign-on against a provider over real HTTP, which signs with real keys and lies where a test says so.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aftercall::config::{NewAccountsSee, Oidc};
use aftercall::sso::Sso;
use aftercall::store::Store;
use aftercall_core::staff::{Lockout, Role, Wards};
use aftercall_core::time::Timestamp;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::people::{account, all};
use crate::record::at;
use crate::web::{Server, body};

const CLIENT: &str = "aftercall";
const SECRET: &str = "a secret of the client's own";
const HOME: &str = "http://127.0.0.1:9";

/// A key that signs tokens.
enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Key {
    fn rsa() -> Self {
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-outform", "DER"])
            .args(["-pkeyopt", "rsa_keygen_bits:2048"])
            .output()
            .expect("openssl is installed (apt install openssl)");
        let key = RsaKeyPair::from_der(&made.stdout);
        // Versions of openssl differ in how they wrap it.
        let key = key.or_else(|_| RsaKeyPair::from_pkcs8(&made.stdout));
        Key::Rsa(key.expect("a key"))
    }

    fn ec() -> Self {
        let rng = SystemRandom::new();
        let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(alg, &rng).expect("made");
        Key::Ec(EcdsaKeyPair::from_pkcs8(alg, made.as_ref(), &rng).expect("a key"))
    }

    fn alg(&self) -> &'static str {
        match self {
            Key::Rsa(_) => "RS256",
            Key::Ec(_) => "ES256",
        }
    }

    fn public(&self) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Key::Rsa(key) => {
                let public: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                json!({ "kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": b64(&public.n), "e": b64(&public.e) })
            }
            Key::Ec(key) => {
                // Uncompressed: 4, x, y.
                let point = key.public_key().as_ref();
                json!({ "kty": "EC", "kid": "1", "use": "sig", "alg": "ES256", "crv": "P-256",
                    "x": b64(&point[1..33]), "y": b64(&point[33..65]) })
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let rng = SystemRandom::new();
        let signature = match self {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, signed.as_bytes(), &mut signature)
                    .expect("signed");
                signature
            }
            Key::Ec(key) => {
                let signature = key.sign(&rng, signed.as_bytes()).expect("signed");
                signature.as_ref().to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// How the provider's token departs from what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    OtherKey,
    ChangedAfterwards,
    Unsigned,
    ByTheClientsSecret,
    Nonce,
    NoNonce,
    Expired,
    Audience,
    Issuer,
    AccessToken,
    NoToken,
}

struct Asked {
    nonce: String,
    challenge: String,
}

struct Provider {
    address: SocketAddr,
    key: Key,
    told: Mutex<(Lie, Value)>,
    codes: Mutex<HashMap<String, Asked>>,
    given: AtomicU32,
}

type Shared = Arc<Provider>;

impl Provider {
    async fn start(key: Key) -> Shared {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let provider = Arc::new(Self {
            address: listener.local_addr().expect("bound"),
            key,
            told: Mutex::new((Lie::None, json!({}))),
            codes: Mutex::default(),
            given: AtomicU32::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::clone(&provider));
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Who signs in next, and whether the token lies.
    fn tell(&self, lie: Lie, claims: Value) {
        *self.told.lock().expect("no panic") = (lie, claims);
    }

    fn config(&self) -> Oidc {
        Oidc {
            issuer: self.issuer(),
            client_id: CLIENT.to_owned(),
            public_url: HOME.to_owned(),
            label_zh: "统一登录".to_owned(),
            label_en: "Sign-on".to_owned(),
            scopes: vec!["email".to_owned()],
            claim: "email".to_owned(),
            ..Oidc::default()
        }
    }
}

async fn discovery(State(provider): State<Shared>) -> Json<Value> {
    let issuer = provider.issuer();
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        // That it would also do without is no reason to believe an unsigned token.
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
    }))
}

async fn keys(State(provider): State<Shared>) -> Json<Value> {
    Json(json!({ "keys": [provider.key.public()] }))
}

/// The person agrees at once.
async fn authorize(
    State(provider): State<Shared>,
    Query(asked): Query<HashMap<String, String>>,
) -> (StatusCode, [(&'static str, String); 1]) {
    let field = |name: &str| asked.get(name).cloned().unwrap_or_default();
    assert_eq!(field("response_type"), "code");
    assert_eq!(field("client_id"), CLIENT);
    assert_eq!(field("code_challenge_method"), "S256");
    assert_eq!(
        field("redirect_uri"),
        format!("{HOME}/api/v1/session/sso/callback")
    );
    assert_eq!(field("scope"), "openid email");
    let asked = Asked {
        nonce: field("nonce"),
        challenge: field("code_challenge"),
    };
    let mut codes = provider.codes.lock().expect("no panic");
    let code = format!("code{}", provider.given.fetch_add(1, Ordering::Relaxed));
    codes.insert(code.clone(), asked);
    let to = format!(
        "{}?code={code}&state={}",
        field("redirect_uri"),
        field("state")
    );
    (StatusCode::SEE_OTHER, [("location", to)])
}

async fn token(
    State(provider): State<Shared>,
    headers: HeaderMap,
    Form(sent): Form<HashMap<String, String>>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error })));
    // Both parts are form-encoded first (RFC 6749 §2.3.1).
    let who = format!("{CLIENT}:{}", SECRET.replace(' ', "+").replace('\'', "%27"));
    let basic = format!("Basic {}", STANDARD.encode(who));
    if headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        != Some(&basic)
    {
        return Err(refused("invalid_client"));
    }
    let field = |name: &str| sent.get(name).cloned().unwrap_or_default();
    let asked = provider
        .codes
        .lock()
        .expect("no panic")
        .remove(&field("code"));
    let asked = asked.ok_or_else(|| refused("invalid_grant"))?;
    if URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))) != asked.challenge {
        return Err(refused("invalid_grant"));
    }
    let (lie, person) = provider.told.lock().expect("no panic").clone();
    let mut answer = json!({ "access_token": "an access token", "token_type": "Bearer" });
    if lie != Lie::NoToken {
        answer["id_token"] = id_token(&provider, lie, person, &asked.nonce).into();
    }
    Ok(Json(answer))
}

fn id_token(provider: &Provider, lie: Lie, person: Value, nonce: &str) -> String {
    let now = Timestamp::now().as_second();
    let mut claims = json!({ "iss": provider.issuer(), "aud": CLIENT, "iat": now - 1, "exp": now + 60, "nonce": nonce });
    let half = &Sha256::digest(b"an access token")[..16];
    claims["at_hash"] = URL_SAFE_NO_PAD.encode(half).into();
    let person = person.as_object().expect("claims").clone();
    claims.as_object_mut().expect("an object").extend(person);
    match lie {
        Lie::Nonce => claims["nonce"] = "another".into(),
        Lie::NoNonce => drop(claims.as_object_mut().expect("an object").remove("nonce")),
        Lie::Expired => claims["exp"] = (now - 600).into(),
        Lie::Audience => claims["aud"] = "another".into(),
        Lie::Issuer => claims["iss"] = "https://another.example".into(),
        Lie::AccessToken => claims["at_hash"] = URL_SAFE_NO_PAD.encode([0; 16]).into(),
        _ => {}
    }
    let header = json!({ "alg": provider.key.alg(), "kid": "1", "typ": "JWT" });
    match lie {
        Lie::OtherKey => match provider.key {
            Key::Rsa(_) => Key::rsa().sign(&header, &claims),
            Key::Ec(_) => Key::ec().sign(&header, &claims),
        },
        Lie::ChangedAfterwards => {
            let honest = provider.key.sign(&header, &claims);
            claims["sub"] = "somebody else".into();
            let signature = honest.rsplit('.').next().expect("three parts");
            format!("{}.{signature}", unsigned(&header, &claims))
        }
        Lie::Unsigned => format!("{}.", unsigned(&json!({ "alg": "none" }), &claims)),
        Lie::ByTheClientsSecret => {
            let signed = unsigned(&json!({ "alg": "HS256" }), &claims);
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            let tag = hmac::sign(&key, signed.as_bytes());
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
        }
        _ => provider.key.sign(&header, &claims),
    }
}

/// A browser that goes where it is sent, one step at a time.
struct Traveller<'a> {
    server: &'a Server,
    client: Client,
    cookie: String,
}

fn cookie(response: &Response, name: &str) -> Option<String> {
    let mut lines = response.headers().get_all("set-cookie").iter();
    let line = lines.find_map(|line| {
        let line = line.to_str().expect("ASCII");
        line.starts_with(&format!("{name}="))
            .then(|| line.to_owned())
    })?;
    Some(line)
}

fn location(response: &Response) -> String {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let to = response.headers()["location"].to_str().expect("ASCII");
    to.to_owned()
}

impl<'a> Traveller<'a> {
    fn new(server: &'a Server) -> Self {
        let client = Client::builder().redirect(Policy::none());
        Self {
            server,
            client: client.build().expect("built"),
            cookie: String::new(),
        }
    }

    async fn get(&self, url: &str) -> Response {
        let url = url.replace(HOME, &format!("http://{}", self.server.address));
        let asked = self.client.get(url).header("cookie", &self.cookie);
        asked.send().await.expect("an answer")
    }

    /// To the provider and back, as far as the address that ends the journey.
    async fn depart(&mut self) -> String {
        let left = self.get(&format!("{HOME}/api/v1/session/sso")).await;
        let set = cookie(&left, "aftercall_sso").expect("a cookie holds the browser");
        for part in [
            "HttpOnly",
            "SameSite=Lax",
            "Path=/api/v1/session/sso",
            "Max-Age=600",
        ] {
            assert!(set.contains(part), "{set}");
        }
        self.cookie = set.split(';').next().expect("a pair").to_owned();
        location(&self.get(&location(&left)).await)
    }

    /// The whole way: the session's cookie, or why there is none.
    async fn sign_in(&mut self) -> Result<String, String> {
        let back = self.depart().await;
        self.end(&back).await
    }

    async fn end(&self, back: &str) -> Result<String, String> {
        let end = self.get(back).await;
        let to = location(&end);
        match cookie(&end, "aftercall_session") {
            Some(set) => {
                assert_eq!(to, "/");
                assert!(set.contains("SameSite=Strict") && set.contains("HttpOnly"));
                Ok(set.split(';').next().expect("a pair").to_owned())
            }
            None => Err(to.strip_prefix("/?sso=").expect("a reason").to_owned()),
        }
    }
}

async fn server(config: &Oidc) -> Server {
    let sso = Sso::with(config, Some(SECRET.to_owned())).expect("a provider");
    Server::with_sso(sso).await
}

fn person(subject: &str, email: &str) -> Value {
    json!({ "sub": subject, "email": email, "email_verified": true })
}

async fn nurse(store: &Store, name: &str, email: &str) {
    account(store, name, &[Role::Nurse], &Wards::ALL).await;
    let named = store.set_sso_name(name, Some(email), at(0)).await;
    named.expect("an account");
}

async fn session(server: &Server, cookie: &str) -> (StatusCode, Value) {
    let asked = server.bare(reqwest::Method::GET, "/api/v1/session");
    let answer = asked
        .header("cookie", cookie)
        .send()
        .await
        .expect("an answer");
    (answer.status(), body(answer).await)
}

#[tokio::test]
async fn a_nurse_comes_back_from_the_provider_signed_in_with_either_kind_of_key() {
    for key in [Key::rsa(), Key::ec()] {
        let provider = Provider::start(key).await;
        let server = server(&provider.config()).await;
        let ways = server.bare(reqwest::Method::GET, "/api/v1/session/ways");
        let ways = body(ways.send().await.expect("an answer")).await;
        assert_eq!(ways["single_sign_on"]["label_zh"], "统一登录");
        nurse(&server.store, "li.na", "li.na@hospital.example").await;
        provider.tell(Lie::None, person("s1", "Li.Na@hospital.example"));
        let mut browser = Traveller::new(&server);
        let back = browser.depart().await;
        let cookie = browser.end(&back).await.expect("signed in");
        let (status, known) = session(&server, &cookie).await;
        assert_eq!((status, &known["name"]), (StatusCode::OK, &json!("li.na")));
        // The same answer again, by the same browser, opens nothing.
        assert_eq!(browser.end(&back).await, Err("journey".to_owned()));
        // The subject is known from now on: its e-mail may change, and another's may not take its place.
        provider.tell(Lie::None, person("s1", "li.na@elsewhere.example"));
        assert!(browser.sign_in().await.is_ok());
        provider.tell(Lie::None, person("s2", "li.na@hospital.example"));
        assert_eq!(browser.sign_in().await, Err("account".to_owned()));
        let log = server.store.audit_log(None, &all()).await.expect("listed");
        let count = |what: &str, detail: &str| {
            let rows = log.items.iter();
            rows.filter(|row| row.what == what && row.detail == detail)
                .count()
        };
        assert_eq!(count("session.open", "single sign-on"), 2);
        assert_eq!(count("session.refused", "single sign-on: journey"), 1);
        let taken = "single sign-on: the name is another subject's";
        assert_eq!(count("session.refused", taken), 1);
        // Whose name is written down anew is out, and another may come.
        let renamed = server
            .store
            .set_sso_name("li.na", Some("li.na@hospital.example"), at(9));
        renamed.await.expect("an account");
        assert_eq!(session(&server, &cookie).await.0, StatusCode::UNAUTHORIZED);
        assert!(browser.sign_in().await.is_ok());
    }
}

#[tokio::test]
async fn a_token_that_does_not_hold_lets_nobody_in() {
    for key in [Key::rsa(), Key::ec()] {
        let provider = Provider::start(key).await;
        let server = server(&provider.config()).await;
        nurse(&server.store, "li.na", "li.na@hospital.example").await;
        let mut browser = Traveller::new(&server);
        for lie in [
            Lie::OtherKey,
            Lie::ChangedAfterwards,
            Lie::Unsigned,
            Lie::ByTheClientsSecret,
            Lie::Nonce,
            Lie::NoNonce,
            Lie::Expired,
            Lie::Audience,
            Lie::Issuer,
            Lie::AccessToken,
            Lie::NoToken,
        ] {
            provider.tell(lie, person("s1", "li.na@hospital.example"));
            assert_eq!(browser.sign_in().await, Err("token".to_owned()), "{lie:?}");
        }
        provider.tell(Lie::None, person("s1", "li.na@hospital.example"));
        assert!(browser.sign_in().await.is_ok(), "the same without a lie");
    }
}

#[tokio::test]
async fn a_journey_belongs_to_the_browser_that_began_it() {
    let provider = Provider::start(Key::ec()).await;
    let server = server(&provider.config()).await;
    nurse(&server.store, "li.na", "li.na@hospital.example").await;
    provider.tell(Lie::None, person("s1", "li.na@hospital.example"));
    let mut mine = Traveller::new(&server);
    let mut other = Traveller::new(&server);
    let back = mine.depart().await;
    other.depart().await;
    let journey = Err("journey".to_owned());
    assert_eq!(other.end(&back).await, journey, "another's cookie");
    assert_eq!(Traveller::new(&server).end(&back).await, journey, "none");
    let guessed = format!("{HOME}/api/v1/session/sso/callback?code=code0&state=guessed");
    assert_eq!(mine.end(&guessed).await, journey);
    assert_eq!(
        mine.end(&guessed.replace("&state=guessed", "")).await,
        journey
    );
    assert!(mine.end(&back).await.is_ok(), "nobody else has used it up");
    // The person says no at the provider.
    let back = mine.depart().await;
    let refused = back.replace("code=", "error=access_denied&was=");
    assert_eq!(mine.end(&refused).await, Err("token".to_owned()));
    // A code of somebody else's journey was asked for with another challenge (PKCE).
    let theirs = other.depart().await;
    let own = mine.depart().await;
    let code = |url: &str| {
        let (_, rest) = url.split_once("code=").expect("a code");
        rest.split('&').next().expect("a code").to_owned()
    };
    let mixed = own.replace(&code(&own), &code(&theirs));
    assert_eq!(mine.end(&mixed).await, Err("token".to_owned()));
}

#[tokio::test]
async fn only_who_has_an_account_and_may_sign_in_does() {
    let provider = Provider::start(Key::ec()).await;
    let mut config = provider.config();
    config.amr = vec!["mfa".to_owned()];
    let server = server(&config).await;
    let mut browser = Traveller::new(&server);
    let account_refused = Err("account".to_owned());
    let known = |subject: &str, email: &str| {
        let mut claims = person(subject, email);
        claims["amr"] = json!(["pwd", "mfa"]);
        claims
    };
    provider.tell(Lie::None, known("s0", "nobody@hospital.example"));
    assert_eq!(browser.sign_in().await, account_refused);
    nurse(&server.store, "li.na", "li.na@hospital.example").await;
    provider.tell(Lie::None, person("s1", "li.na@hospital.example"));
    assert_eq!(
        browser.sign_in().await,
        Err("weak".to_owned()),
        "no second factor"
    );
    let mut unverified = known("s1", "li.na@hospital.example");
    unverified["email_verified"] = json!(false);
    provider.tell(Lie::None, unverified);
    assert_eq!(
        browser.sign_in().await,
        account_refused,
        "anybody may claim an address"
    );
    provider.tell(Lie::None, known("s1", "li.na@hospital.example"));
    let cookie = browser.sign_in().await.expect("signed in");
    // Guessing at the password locks this way too.
    let staff = server.store.staff_member("li.na").await.expect("known");
    let lockout = Lockout {
        after: 1,
        lasts: Duration::from_secs(600),
    };
    let now = Timestamp::now();
    let locked = server
        .store
        .sign_in_failed(&staff.id, |n| lockout.until(n, now))
        .await;
    assert!(locked.expect("counted").is_some());
    assert_eq!(browser.sign_in().await, account_refused, "locked");
    // Who has left is out at once and stays out.
    let mut gone = staff;
    gone.active = false;
    server
        .store
        .change_staff(&gone, now)
        .await
        .expect("changed");
    assert_eq!(session(&server, &cookie).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.sign_in().await, account_refused, "may not sign in");
}

#[tokio::test]
async fn groups_at_the_provider_give_roles_and_wards_and_an_account_where_that_is_allowed() {
    let provider = Provider::start(Key::ec()).await;
    let mut config = provider.config();
    config.create = true;
    config.roles_claim = Some("groups".to_owned());
    config.roles = [
        ("nurses".to_owned(), Role::Nurse),
        ("quality".to_owned(), Role::Qa),
    ]
    .into();
    config.wards_claim = Some("wards".to_owned());
    let server = server(&config).await;
    let mut browser = Traveller::new(&server);
    let member = |name: &str, groups: &[&str], wards: &[&str]| {
        let mut claims = person(name, &format!("{name}@hospital.example"));
        claims["name"] = "王芳".into();
        claims["groups"] = json!(groups);
        claims["wards"] = json!(wards);
        claims
    };
    provider.tell(Lie::None, member("wang", &["cleaners"], &["5A"]));
    assert_eq!(
        browser.sign_in().await,
        Err("account".to_owned()),
        "no role"
    );
    provider.tell(Lie::None, member("wang", &["nurses"], &["5A"]));
    let cookie = browser.sign_in().await.expect("an account is made");
    let (_, known) = session(&server, &cookie).await;
    assert_eq!(
        (
            &known["name"],
            &known["display_name"],
            &known["roles"],
            &known["wards"]
        ),
        (
            &json!("wang"),
            &json!("王芳"),
            &json!(["nurse"]),
            &json!(["5A"])
        )
    );
    // What the provider says at the next sign-in holds from then on, in the sessions that are open too.
    provider.tell(Lie::None, member("wang", &["quality"], &["6B"]));
    browser.sign_in().await.expect("known");
    let (_, known) = session(&server, &cookie).await;
    assert_eq!(
        (&known["roles"], &known["wards"]),
        (&json!(["qa"]), &json!(["6B"]))
    );
    // An account that somebody else made is nobody's to take.
    account(&server.store, "zhao", &[Role::SecurityAdmin], &Wards::ALL).await;
    provider.tell(Lie::None, member("zhao", &["nurses"], &["5A"]));
    assert_eq!(
        browser.sign_in().await,
        Err("account".to_owned()),
        "its name is taken"
    );
}

#[tokio::test]
async fn an_account_that_nobody_gave_wards_sees_no_patient() {
    let provider = Provider::start(Key::ec()).await;
    let mut config = provider.config();
    config.create = true;
    config.roles_claim = Some("groups".to_owned());
    config.roles = [("nurses".to_owned(), Role::Nurse)].into();
    for (see, wards, seen) in [
        (NewAccountsSee::NoWard, json!([]), 0),
        (NewAccountsSee::EveryWard, Value::Null, 1),
    ] {
        config.new_accounts_see = see;
        let server = server(&config).await;
        let mut browser = Traveller::new(&server);
        let mut claims = person("wang", "wang@hospital.example");
        claims["groups"] = json!(["nurses"]);
        provider.tell(Lie::None, claims);
        crate::record::enrol(&server.store, "1").await;
        let patients = async |cookie: &str| {
            let asked = server.bare(reqwest::Method::GET, "/api/v1/patients");
            let asked = asked.header("cookie", cookie);
            let patients = body(asked.send().await.expect("an answer")).await;
            patients["items"].as_array().expect("a list").len()
        };
        let cookie = browser.sign_in().await.expect("an account is made");
        let (_, known) = session(&server, &cookie).await;
        assert_eq!((&known["wards"], patients(&cookie).await), (&wards, seen));
        // Wards that were given stay at the next sign-in.
        let mut staff = server.store.staff_member("wang").await.expect("made");
        staff.wards = Wards::only(vec!["5A".to_owned()]);
        let given = server.store.change_staff(&staff, Timestamp::now());
        given.await.expect("changed");
        let cookie = browser.sign_in().await.expect("known");
        assert_eq!(patients(&cookie).await, 1, "her ward's");
    }
}

#[tokio::test]
async fn without_a_provider_nobody_is_sent_anywhere() {
    let server = Server::start().await;
    let ways = server.bare(reqwest::Method::GET, "/api/v1/session/ways");
    let ways = body(ways.send().await.expect("an answer")).await;
    assert_eq!(ways["single_sign_on"], Value::Null);
    let asked = server.bare(reqwest::Method::GET, "/api/v1/session/sso");
    crate::web::problem(asked, 404, "not_found").await;
    // One that is away is said to be.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = listener.local_addr().expect("bound");
    drop(listener);
    let config = Oidc {
        issuer: format!("http://{nobody}"),
        client_id: CLIENT.to_owned(),
        public_url: HOME.to_owned(),
        ..Oidc::default()
    };
    let server = self::server(&config).await;
    let left = Traveller::new(&server)
        .get(&format!("{HOME}/api/v1/session/sso"))
        .await;
    assert_eq!(location(&left), "/?sso=unavailable");
}

// On both databases: see `store`.
pub async fn a_journey_is_made_once_in_its_time_and_a_subject_has_one_account(store: Store) {
    let begin = |state: &'static str| store.begin_journey((state, "n", "v"), at(600), at(0));
    let browser = begin("one").await.expect("kept");
    let end = async |state: &str, browser: &str, second| {
        let ended = store.end_journey(state, browser, at(second)).await;
        ended.expect("asked")
    };
    assert_eq!(end("one", "another", 1).await, None);
    assert_eq!(end("two", &browser, 1).await, None);
    let known = Some(("n".to_owned(), "v".to_owned()));
    assert_eq!(end("one", &browser, 599).await, known);
    assert_eq!(end("one", &browser, 599).await, None, "once");
    let late = begin("late").await.expect("kept");
    assert_eq!(end("late", &late, 600).await, None, "too late");
    for name in ["li.na", "wang"] {
        account(&store, name, &[Role::Nurse], &Wards::ALL).await;
    }
    let name = |who: &'static str, there| store.set_sso_name(who, there, at(1));
    name("li.na", Some("l@h")).await.expect("an account");
    assert!(name("wang", Some("l@h")).await.is_err(), "another has it");
    assert!(name("nobody", Some("n@h")).await.is_err());
    let li = store.staff_member("li.na").await.expect("known");
    let wang = store.staff_member("wang").await.expect("known");
    let bind = |id: &str| {
        let id = id.to_owned();
        let store = store.clone();
        async move { store.bind_subject(&id, "https://i", "s", at(2)).await }
    };
    assert!(bind(&li.id).await.expect("asked"));
    assert!(!bind(&li.id).await.expect("asked"), "bound already");
    assert!(bind(&wang.id).await.is_err(), "the subject is somebody's");
    let found = store
        .staff_of_subject("https://i", "s")
        .await
        .expect("asked");
    assert_eq!(found.map(|staff| staff.name), Some("li.na".to_owned()));
    assert_eq!(
        store
            .staff_of_subject("https://j", "s")
            .await
            .expect("asked"),
        None
    );
    let named = store
        .staff_of_sso_name("l@h")
        .await
        .expect("asked")
        .expect("known");
    assert!(named.is_bound && named.staff.name == "li.na");
    name("li.na", None).await.expect("an account");
    assert_eq!(
        store
            .staff_of_subject("https://i", "s")
            .await
            .expect("asked"),
        None
    );
}
