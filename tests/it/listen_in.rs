//! A nurse listens in to a call: the real engine, a call over real SIP to a telephone of ours, and a WebRTC peer.

use std::path::Path;
use std::time::{Duration, Instant};

use aftercall::config::Config;
use aftercall::jobs::PlanClock;
use aftercall::run::Engine;
use aftercall::store::page::PageRequest;
use aftercall::store::staff::{SessionLimits, SignedInBy};
use aftercall_core::attempt::AttemptState;
use aftercall_core::codec::G711;
use aftercall_core::staff::{Role, Wards};
use aftercall_core::time::Timestamp;
use jiff::tz::TimeZone;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::crash_engines::zone_of_morning;
use crate::phones::Network;
use crate::record::{enrolment, phone};
use crate::web::{body, problem, send};

const PATIENT: &str = "+8613800009001";

/// Says hello, and something long to every question.
const TELEPHONE: &str = "number = \"+8613800009001\"\nstory = \"Heard by a nurse.\"\nring_ms = 200\n\
                         does = \"answer\"\ngreeting = \"mrs_bei_hello\"\n[otherwise]\nsays = \"voicemail_zh\"\n";

/// An engine that rings one patient at once, and her telephone.
struct Hospital {
    engine: Engine,
    network: Network,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Hospital {
    async fn open() -> Hospital {
        crate::speech::model();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let phones = folder.path().join("phones");
        std::fs::create_dir(&phones).expect("own folder");
        std::fs::write(phones.join("patient.toml"), TELEPHONE).expect("own folder");
        let network = tokio::task::spawn_blocking(move || Network::of(&phones)).await;
        let network = network.expect("it starts");
        let zone = zone_of_morning();
        let config = configuration(folder.path(), &network.at, &zone);
        let engine = Engine::start(&config, PlanClock::system(), None).await;
        let engine = engine.expect("the engine starts");
        let now = Timestamp::now();
        let today = now
            .to_zoned(TimeZone::get(&zone).expect("a known zone"))
            .date();
        let mut told = enrolment("1");
        told.patient.phone = Some(phone(PATIENT));
        told.patient.zone = zone;
        told.patient.contacts.clear();
        told.steps.truncate(1);
        told.steps[0].due_on = today;
        told.steps[0].lapses_on = today.saturating_add(jiff::Span::new().days(5));
        told.steps[0].next_at = now;
        let saved = engine
            .store
            .save_patient_with_episode_and_steps(&told, "test", now);
        saved.await.expect("saved");
        Hospital {
            engine,
            network,
            client: Client::new(),
            _folder: folder,
        }
    }

    /// A token of somebody with this role and these wards.
    async fn somebody(&self, name: &str, role: Role, wards: &Wards) -> String {
        let (store, roles) = (&self.engine.store, [role]);
        let made = store.create_token(name, &roles, wards, Timestamp::now());
        made.await.expect("made").1
    }

    fn ask(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}/api/v1{path}", self.engine.api);
        self.client.request(method, url).bearer_auth(token)
    }

    /// The call, once this state is reached.
    async fn call_in(&self, state: AttemptState) -> String {
        let page = PageRequest {
            limit: 1,
            after: None,
        };
        let found = async || {
            let rows = self.engine.store.attempts(None, &page).await;
            let rows = rows.expect("listed").items;
            let row = rows.first().filter(|row| row.attempt.state == state);
            row.map(|row| row.attempt.id.0.clone())
        };
        until("the call", found).await
    }

    /// Listens in by a browser.
    async fn listen(&self, token: &str, call: &str) -> (Browser, String) {
        self.listen_as(call, |request| request.bearer_auth(token), str::to_owned)
            .await
    }

    /// The same, as somebody, by an offer that was changed on its way.
    async fn listen_as(
        &self,
        call: &str,
        somebody: impl FnOnce(RequestBuilder) -> RequestBuilder,
        change: impl FnOnce(&str) -> String,
    ) -> (Browser, String) {
        let (mut browser, offer) = Browser::offer();
        let url = format!("http://{}/api/v1/calls/{call}/listeners", self.engine.api);
        let offer = json!({ "sdp": change(&offer) });
        let answered = send(somebody(self.client.post(url)).json(&offer)).await;
        let status = answered.status();
        let answer: Value = body(answered).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        browser.connect(answer["sdp"].as_str().expect("a description"));
        (browser, answer["id"].as_str().expect("an id").to_owned())
    }

    /// Asks something of a connection.
    async fn do_at(&self, token: &str, (call, listener): (&str, &str), what: &str) -> u16 {
        let path = format!("/calls/{call}/listeners/{listener}/{what}");
        let response = send(self.ask(token, Method::POST, &path)).await;
        response.status().as_u16()
    }

    /// Takes over, once the first sound of the microphone has come.
    async fn take_over(&self, token: &str, at: (&str, &str)) {
        until("the microphone", async || {
            (self.do_at(token, at, "take-over").await == 204).then_some(())
        })
        .await;
    }

    /// Who has the patient, as the page shows it.
    async fn holder(&self, token: &str) -> Value {
        let live: Value = body(send(self.ask(token, Method::GET, "/live")).await).await;
        live[0]["taken_over_by"].clone()
    }

    async fn audited(&self, what: &str) -> Vec<String> {
        let page = PageRequest {
            limit: 200,
            after: None,
        };
        let log = self.engine.store.audit_log(None, &page).await;
        let lines = log.expect("listed").items.into_iter();
        let lines = lines.filter(|line| line.what == what);
        lines
            .map(|line| format!("{} {}", line.who, line.subject))
            .collect()
    }
}

fn configuration(folder: &Path, far: &str, zone: &str) -> Config {
    let root = env!("CARGO_MANIFEST_DIR");
    let trunk = include_str!("../../sip_config/loopback.toml").replace("127.0.0.1:5080", far);
    std::fs::write(folder.join("trunk.toml"), trunk).expect("own folder");
    let every_day = "days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]";
    let own = folder.display();
    let text = format!(
        "data_dir = \"{own}\"\n[web]\nbind = \"127.0.0.1:0\"\n[web.listen_in]\nports = [42000, 42199]\n\
         [hospital]\nid = \"first\"\nzone = \"{zone}\"\n\
         [calling]\nholidays = \"none\"\nnoon_rest = []\n\
         windows = [{{ {every_day}, from = \"08:00\", to = \"21:00\" }}]\n\
         duty = [{{ {every_day}, from = \"00:00\", to = \"23:59\" }}]\n\
         [trunk]\nfile = \"{own}/trunk.toml\"\ntalk_on_s = 0\n\
         [ears]\nmodel = \"{root}/models/ggml-base-q8_0.bin\"\n[scripts]\ndir = \"{root}/dialogs\"\n"
    );
    Config::parse("test.toml", &text).expect("a lawful configuration")
}

/// Waits until it is there.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The two sides of the telephone's tape: what it heard, and what it said.
fn tape(network: &Network) -> [Vec<i16>; 2] {
    let tapes = std::fs::read_dir(network.folder.path()).expect("the folder of tapes");
    let mut names = tapes.map(|entry| entry.expect("an entry").path());
    let is_tape =
        |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "wav");
    let bytes = std::fs::read(names.find(is_tape).expect("its tape")).expect("a tape");
    let side = |of: usize| {
        let own: Vec<u8> = bytes[46..].iter().skip(of).step_by(2).copied().collect();
        G711::A.decode_all(&own)
    };
    [side(0), side(1)]
}

/// 400 ms; every fourth sample of it is compared.
const PIECE: usize = 3_200;
const STEP: usize = 4;

/// A second of a tone that nobody's voice is like.
fn tone() -> Vec<i16> {
    let wave = |sample: i32| (std::f64::consts::TAU * 620.0 * f64::from(sample) / 8_000.0).sin();
    (0..8_000)
        .map(|sample| (wave(sample) * 8_000.0) as i16)
        .collect()
}

fn level(samples: &[i16]) -> f64 {
    let sum: f64 = samples
        .iter()
        .map(|&sample| f64::from(sample).powi(2))
        .sum();
    (sum / samples.len() as f64).sqrt()
}

/// Places of a side where it is loud and the other silent, a piece each.
fn alone(side: &[i16], other: &[i16]) -> Vec<usize> {
    let places = (0..side.len().saturating_sub(PIECE)).step_by(PIECE);
    places
        .filter(|&at| level(&side[at..at + PIECE]) > 700.0 && level(&other[at..at + PIECE]) < 60.0)
        .collect()
}

/// Whether some part of `heard` is the piece: 0.9 of 1 and more.
fn is_in(piece: &[i16], heard: &[i16]) -> bool {
    let few =
        |part: &[i16]| -> Vec<f64> { part.iter().step_by(STEP).copied().map(f64::from).collect() };
    let wanted = few(piece);
    let power = |part: &[f64]| part.iter().map(|one| one * one).sum::<f64>().max(1.0);
    let own = power(&wanted);
    heard.windows(piece.len()).any(|part| {
        let part = few(part);
        let product: f64 = wanted
            .iter()
            .zip(&part)
            .map(|(one, other)| one * other)
            .sum();
        product / (own * power(&part)).sqrt() > 0.9
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nurse_hears_both_sides_of_a_call_and_it_is_on_record() {
    let hospital = Hospital::open().await;
    let nurse = hospital.somebody("li.na", Role::Nurse, &Wards::ALL).await;
    let call = hospital.call_in(AttemptState::Talking).await;
    let path = format!("/calls/{call}/listeners");
    let offers = || json!({ "sdp": Browser::offer().1 });

    // Only who may hear the words of this ward's calls.
    let admin = hospital
        .somebody("zhao.gang", Role::SystemAdmin, &Wards::ALL)
        .await;
    let asked = hospital.ask(&admin, Method::POST, &path).json(&offers());
    problem(asked, 403, "not_allowed").await;
    let elsewhere = Wards::only(["9Z".to_owned()].into());
    let other = hospital.somebody("he.fang", Role::Nurse, &elsewhere).await;
    let asked = hospital.ask(&other, Method::POST, &path).json(&offers());
    problem(asked, 404, "not_found").await;
    let nonsense = json!({ "sdp": "v=0\r\n" });
    let asked = hospital.ask(&nurse, Method::POST, &path).json(&nonsense);
    problem(asked, 400, "bad_offer").await;

    let (browser, listener) = hospital.listen(&nurse, &call).await;
    // Who only listens is not heard, whatever her browser sends.
    let voice = tone();
    browser.say(voice.clone());
    until("sound of ten seconds", async || {
        (browser.heard().len() > 80_000).then_some(())
    })
    .await;
    let heard = browser.heard();
    let listens = hospital.audited("call.listen_in").await;
    assert_eq!(
        listens,
        vec![format!("li.na {call}"); 2],
        "the bad offer too"
    );

    // Another's connection is left alone; one's own ends at once.
    let own = format!("{path}/{listener}");
    let qa = hospital.somebody("wang.min", Role::Qa, &Wards::ALL).await;
    let asked = hospital.ask(&qa, Method::DELETE, &own);
    assert_eq!(send(asked).await.status(), StatusCode::NO_CONTENT);
    let before = browser.heard().len();
    until("more sound", async || {
        (browser.heard().len() > before + 4_000).then_some(())
    })
    .await;
    let asked = hospital.ask(&nurse, Method::DELETE, &own);
    assert_eq!(send(asked).await.status(), StatusCode::NO_CONTENT);
    until("the end", async || browser.is_closed().then_some(())).await;

    // The call goes on, and who listens when it ends is let go.
    let (second, _) = hospital.listen(&nurse, &call).await;
    until("sound again", async || {
        (second.heard().len() > 4_000).then_some(())
    })
    .await;
    let Hospital {
        engine, network, ..
    } = hospital;
    engine.stop().await;
    until("the end of the call", async || {
        second.is_closed().then_some(())
    })
    .await;
    let [robot, patient] = tape(&network);
    assert!(
        !is_in(&voice[..PIECE], &robot),
        "the patient heard who listens"
    );
    let sides = [
        ("the robot", &robot, &patient),
        ("the patient", &patient, &robot),
    ];
    for (who, side, other) in sides {
        let mut pieces = alone(side, other).into_iter();
        let is_heard = pieces.any(|at| is_in(&side[at..at + PIECE], &heard));
        assert!(is_heard, "{who} was not heard");
    }
}

/// The fingerprint of another key than the browser's own.
fn with_another_key(offer: &str) -> String {
    const BEGINS: &str = "a=fingerprint:sha-256 ";
    let at = offer.find(BEGINS).expect("it has one") + BEGINS.len();
    let other = if offer[at..].starts_with('0') {
        "1"
    } else {
        "0"
    };
    let changed = [&offer[..at], other, &offer[at + 1..]].concat();
    assert_ne!(changed, offer);
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_listen_no_more_is_let_go_and_who_has_another_key_hears_nothing() {
    let hospital = Hospital::open().await;
    let store = &hospital.engine.store;
    let own = Wards::only(["5A".to_owned()].into());
    let (roles, now) = ([Role::Nurse], Timestamp::now());
    let account = store.add_staff("sun.li", "Sun Li", &roles, &own, now).await;
    let mut account = account.expect("added");
    let limits = SessionLimits::default();
    let opened = store.open_session(account.clone(), SignedInBy::Password, &limits, now);
    let (session, key) = opened.await.expect("signed in");
    let token = hospital.somebody("li.na", Role::Nurse, &Wards::ALL).await;
    let stays = hospital.somebody("he.fang", Role::Nurse, &own).await;
    let call = hospital.call_in(AttemptState::Talking).await;

    // Handshakes are with who offered, and with nobody else.
    let stranger = |request: RequestBuilder| request.bearer_auth(&stays);
    let (stranger, seat) = hospital.listen_as(&call, stranger, with_another_key).await;

    let cookie = |request: RequestBuilder| {
        let cookie = format!("aftercall_session={key}");
        let request = request.header("cookie", cookie);
        request.header("x-csrf-token", &session.csrf)
    };
    let (first, _) = hospital.listen_as(&call, cookie, str::to_owned).await;
    let (second, _) = hospital.listen(&token, &call).await;
    let (third, _) = hospital.listen(&stays, &call).await;
    for (who, browser) in [("sun.li", &first), ("li.na", &second), ("he.fang", &third)] {
        until(who, async || (browser.heard().len() > 4_000).then_some(())).await;
        assert!(!browser.is_closed(), "{who}");
    }
    // An account that sees another ward from now on, and a token that is revoked.
    account.wards = Wards::only(["9Z".to_owned()].into());
    let changed = store.change_staff(&account, Timestamp::now()).await;
    changed.expect("changed");
    let revoked = store.revoke_token("li.na", Timestamp::now()).await;
    assert!(revoked.expect("revoked"));
    for (who, browser) in [("sun.li", &first), ("li.na", &second)] {
        until(who, async || browser.is_closed().then_some(())).await;
    }
    assert!(!third.is_closed(), "who may still listen");
    let at = (call.as_str(), seat.as_str());
    until("the refusal of the other key", async || {
        (hospital.do_at(&stays, at, "hand-back").await == 404).then_some(())
    })
    .await;
    assert!(stranger.heard().is_empty(), "heard by another key");
    hospital.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nurse_takes_the_patient_over_hands_back_is_lost_and_ends_the_call() {
    let hospital = Hospital::open().await;
    let nurse = hospital.somebody("li.na", Role::Nurse, &Wards::ALL).await;
    let other = hospital.somebody("he.fang", Role::Nurse, &Wards::ALL).await;
    let qa = hospital.somebody("wang.min", Role::Qa, &Wards::ALL).await;
    let call = hospital.call_in(AttemptState::Talking).await;
    let (browser, listener) = hospital.listen(&nurse, &call).await;
    let at = (call.as_str(), listener.as_str());

    // Not without a microphone, not by another's connection, not by who has no patients.
    assert_eq!(hospital.do_at(&nurse, at, "take-over").await, 409);
    assert_eq!(hospital.do_at(&other, at, "take-over").await, 404);
    assert_eq!(hospital.do_at(&qa, at, "take-over").await, 403);
    let voice = tone();
    browser.say(voice.clone());
    hospital.take_over(&nurse, at).await;
    assert_eq!(hospital.holder(&other).await, "li.na");
    let (second, seat) = hospital.listen(&other, &call).await;
    second.say(voice.clone());
    let again = (call.as_str(), seat.as_str());
    let refused = async || {
        let path = format!("/calls/{call}/listeners/{seat}/take-over");
        let answer: Value = body(send(hospital.ask(&other, Method::POST, &path)).await).await;
        (answer["code"] == "taken_over").then_some(())
    };
    until("the refusal", refused).await;
    until("her voice at the other listener", async || {
        is_in(&voice[..PIECE], &second.heard()).then_some(())
    })
    .await;
    // Who has the patient hears the patient, and not herself.
    assert!(!is_in(&voice[..PIECE], &browser.heard()));

    assert_eq!(hospital.do_at(&nurse, at, "hand-back").await, 204);
    until("the robot", async || {
        hospital.holder(&other).await.is_null().then_some(())
    })
    .await;
    // The other one may now, and is lost: the robot has the patient at once.
    hospital.take_over(&other, again).await;
    assert_eq!(hospital.holder(&nurse).await, "he.fang");
    drop(second);
    until("the robot", async || {
        hospital.holder(&nurse).await.is_null().then_some(())
    })
    .await;
    hospital.take_over(&nurse, at).await;
    assert_eq!(hospital.do_at(&nurse, at, "hang-up").await, 204);
    hospital.call_in(AttemptState::Ended).await;
    until("the end", async || browser.is_closed().then_some(())).await;

    let shown: Value =
        body(send(hospital.ask(&nurse, Method::GET, &format!("/calls/{call}"))).await).await;
    let notes = shown["notes"].as_array().expect("notes").iter();
    let spans = notes.filter(|note| note["kind"] == "taken_over");
    let spans: Vec<(&str, u64)> = spans
        .map(|note| {
            let ms = |key: &str| note[key].as_u64().expect("a place");
            (
                note["by"].as_str().expect("a name"),
                ms("to_ms") - ms("from_ms"),
            )
        })
        .collect();
    let names: Vec<&str> = spans.iter().map(|(by, _)| *by).collect();
    assert_eq!(names, ["li.na", "he.fang", "li.na"], "{spans:?}");
    assert_eq!(
        hospital.audited("call.hand_back").await,
        [format!("li.na {call}")]
    );
    assert_eq!(
        hospital.audited("call.hang_up").await,
        [format!("li.na {call}")]
    );
    let took = hospital.audited("call.take_over").await;
    assert!(took.contains(&format!("he.fang {call}")), "{took:?}");
    let recording = hospital.ask(&nurse, Method::GET, &format!("/calls/{call}/recording"));
    let recording = send(recording).await.bytes().await.expect("a recording");
    let data = recording.windows(4).position(|four| four == b"data");
    let sound = &recording[data.expect("a WAV") + 8..];
    let left: Vec<u8> = sound.iter().step_by(2).copied().collect();
    let Hospital {
        engine, network, ..
    } = hospital;
    engine.stop().await;
    let [robot, _] = tape(&network);
    assert!(is_in(&voice[..PIECE], &robot), "the patient heard her");
    let left = G711::A.decode_all(&left);
    assert!(is_in(&voice[..PIECE], &left), "the recording has her voice");
}
