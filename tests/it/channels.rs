//! Channels against real servers on loopback: what each is sent, refusals, time-outs, tries, dead letters, one key a
//! delivery; and the ladder from a raised order to the people of the rota.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aftercall::channels::{Channels, Message, Sent, Telephone, signature};
use aftercall::config::Config;
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules, escalate, notify};
use aftercall::recording::speech_wav;
use aftercall::speech::audio::decode_file;
use aftercall::speech::command::CommandConfig;
use aftercall::speech::voice::{Engine, Voice, VoiceConfig};
use aftercall::store::Store;
use aftercall_core::attempt::{CallNote, Disposition};
use aftercall_core::finding::Urgency;
use aftercall_core::id::WorkOrderId;
use aftercall_core::lang::Lang;
use aftercall_core::phi::Phi;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Act, Cause, What, WorkOrderState};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::any;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::phones::Network;
use crate::record::{at, calling, clinic, deadlines, finding, finish, found, master_key, raise};
use crate::sipp::trunk;

/// What a server was sent.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    path: String,
    query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What it answers next; 200 and `{"errcode":0,"code":0}` when nothing is left.
#[derive(Clone)]
pub(crate) enum Answer {
    Status(u16),
    Body(&'static str),
    /// Not before the client has given up.
    Never,
}

#[derive(Clone, Default)]
pub(crate) struct Peer {
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Peer {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let peer = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let app = Router::new().fallback(any(take)).with_state(peer.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (peer, address)
    }

    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().expect("whole").extend(answers);
    }

    /// What came since the last look.
    pub(crate) fn got(&self) -> Vec<Got> {
        std::mem::take(&mut *self.got.lock().expect("whole"))
    }
}

async fn take(State(peer): State<Peer>, request: Request) -> (StatusCode, String) {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        let value = value.to_str().unwrap_or_default().to_owned();
        (name.to_string(), value)
    };
    peer.got.lock().expect("whole").push(Got {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(header).collect(),
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    });
    let answer = peer.answers.lock().expect("whole").pop_front();
    match answer {
        None => (StatusCode::OK, "{\"errcode\":0,\"code\":0}".to_owned()),
        Some(Answer::Body(body)) => (StatusCode::OK, body.to_owned()),
        Some(Answer::Status(status)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, String::new())
        }
        Some(Answer::Never) => std::future::pending().await,
    }
}

/// An engine's rules with these channels, and a store; its clock is set.
struct Desk {
    store: Store,
    rules: Rules,
    _folder: tempfile::TempDir,
}

const START: &str = "2026-11-23T02:00:00Z";

impl Desk {
    async fn open(channels: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}/a.db", folder.path().display());
        let store = Store::open(&url, &master_key())
            .await
            .expect("a new database");
        let config = Config::parse("a.toml", &format!("channels = [{channels}]\n"));
        let config = config.expect("a good file");
        let plain = Config::default();
        let clock = PlanClock::set_to(START.parse().expect("an instant"));
        let mut rules = Rules::of(&plain, clock, clinic()).expect("lawful");
        let secret = |variable: &str| Some(format!("secret of {variable}"));
        rules.channels = Arc::new(Channels::with(&config, secret).expect("every secret"));
        Self {
            store,
            rules,
            _folder: folder,
        }
    }

    fn now(&self) -> Timestamp {
        self.rules.clock.now()
    }

    fn pass(&mut self, time: SignedDuration) {
        self.rules.clock = PlanClock::set_to(self.now() + time);
    }

    async fn rota(&self, text: &str) {
        let imported = self.store.import_rota(text, "admin", self.now()).await;
        imported.expect("imported");
    }

    async fn raise(&self, number: &str) -> WorkOrderId {
        let (new, _) = calling(&self.store, number).await;
        let pain = found(&new, finding("chest_pain", Urgency::Emergent));
        let raised = raise(&new, vec![pain, Cause::Incomplete]);
        let raised = self
            .store
            .raise_or_join_work_order(&raised, self.now())
            .await;
        raised.expect("raised").expect("a cause").id
    }

    /// Hands out, then sends.
    async fn deliver(&self) {
        for _ in 0..2 {
            notify::once(&self.store, &self.rules)
                .await
                .expect("a round");
        }
    }

    async fn escalate(&self) -> u32 {
        let climbed = escalate::once(&self.store, &self.rules).await;
        climbed.expect("a round")
    }
}

pub(crate) fn webhook(address: SocketAddr, events: &str) -> String {
    format!(
        "{{ name = \"bus\", kind = \"webhook\", url = \"http://{address}/in\", secret_env = \"BUS\", events = [{events}], timeout_s = 1 }}"
    )
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_again_under_one_key() {
    let (peer, address) = Peer::start().await;
    let mut desk = Desk::open(&webhook(address, "\"work_order.*\"")).await;
    peer.answer([Answer::Status(500), Answer::Never, Answer::Status(429)]);
    let order = desk.raise("1").await;
    desk.deliver().await;
    let mut tries = peer.got();
    assert_eq!(
        tries.len(),
        1,
        "the event that nobody asked for is not sent"
    );
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    assert!(peer.got().is_empty(), "not before its pause is over");
    for pause in [7, 13, 26] {
        desk.pass(SignedDuration::from_secs(pause));
        notify::once(&desk.store, &desk.rules)
            .await
            .expect("a round");
        let more = peer.got();
        assert_eq!(more.len(), 1, "after {pause} s");
        tries.extend(more);
    }
    desk.pass(SignedDuration::from_hours(9));
    desk.deliver().await;
    assert!(peer.got().is_empty(), "it was taken at last");
    for got in &tries {
        assert_eq!(
            got.headers["idempotency-key"],
            tries[0].headers["idempotency-key"]
        );
        let at: i64 = got.headers["aftercall-timestamp"].parse().expect("seconds");
        let at = Timestamp::from_second(at).expect("an instant");
        let expected = signature("secret of BUS", at, &got.body);
        assert_eq!(got.headers["aftercall-signature"], expected);
        let body: Value = serde_json::from_str(&got.body).expect("JSON");
        assert_eq!(
            (&body["event"], &body["subject"], &body["urgency"]),
            (
                &json!("work_order.raised"),
                &json!(order.0),
                &json!("emergent")
            )
        );
    }
    assert_eq!((tries.len(), tries[0].path.as_str()), (4, "/in"));
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_and_can_be_played_again() {
    let (peer, address) = Peer::start().await;
    let mut desk = Desk::open(&webhook(address, "\"*\"")).await;
    peer.answer([const { Answer::Status(503) }; 12]);
    desk.raise("1").await;
    desk.deliver().await;
    for _ in 0..20 {
        desk.pass(SignedDuration::from_mins(80));
        notify::once(&desk.store, &desk.rules)
            .await
            .expect("a round");
    }
    let tried = peer.got();
    assert_eq!(tried.len(), 12);
    let dead = desk.store.outbox_letters(true, 9).await.expect("listed");
    let [letter] = dead.as_slice() else {
        panic!("one dead letter: {dead:?}")
    };
    assert_eq!(letter.last_error.as_deref(), Some("answered 503"));
    assert_eq!(desk.store.outbox_dead().await.expect("counted"), 1);
    let nothing = desk.store.replay_outbox(Some("none"), desk.now()).await;
    assert_eq!(nothing.expect("asked"), 0);
    let id = letter.event.id.as_str();
    let replayed = desk.store.replay_outbox(Some(id), desk.now()).await;
    assert_eq!(replayed.expect("asked"), 1);
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    let again = peer.got();
    assert_eq!(again.len(), 1);
    assert_eq!(
        again[0].headers["idempotency-key"],
        tried[0].headers["idempotency-key"]
    );
    assert_eq!(
        desk.store.outbox_letters(false, 9).await.expect("listed"),
        []
    );
}

#[tokio::test]
async fn an_engine_that_dies_after_sending_sends_again_under_the_same_key() {
    let (peer, address) = Peer::start().await;
    let mut desk = Desk::open(&webhook(address, "\"*\"")).await;
    desk.raise("1").await;
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("handed out");
    let lease = desk.now() + SignedDuration::from_secs(90);
    let leased = desk
        .store
        .claim_outbox(desk.now(), 9, lease, "another")
        .await;
    let leased = leased.expect("claimed");
    let message = Message {
        id: leased[0].id.clone(),
        payload: leased[0].payload.clone(),
        text: String::new(),
        subject: String::new(),
        spoken: String::new(),
        lang: Lang::Zh,
        to: Phi::new(String::new()),
        at: desk.now(),
    };
    let channels = Arc::clone(&desk.rules.channels);
    let send = move || channels.send("bus", &message);
    let sent = tokio::task::spawn_blocking(send).await.expect("no panic");
    assert_eq!(sent, Ok(Sent::Delivered), "and the other engine is gone");
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    assert_eq!(peer.got().len(), 1, "its lease holds");
    desk.pass(SignedDuration::from_secs(91));
    peer.got();
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    let again = peer.got();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].headers["idempotency-key"], leased[0].id);
}

#[tokio::test]
async fn a_channel_that_hangs_holds_up_no_other() {
    let (slow, at_slow) = Peer::start().await;
    let (quick, at_quick) = Peer::start().await;
    let other = webhook(at_quick, "\"*\"").replace("\"bus\"", "\"other\"");
    let desk = Desk::open(&format!("{}, {other}", webhook(at_slow, "\"*\""))).await;
    slow.answer([const { Answer::Never }; 3]);
    for number in ["1", "2", "3"] {
        desk.raise(number).await;
    }
    let started = std::time::Instant::now();
    desk.deliver().await;
    assert_eq!((quick.got().len(), slow.got().len()), (3, 3));
    assert!(started.elapsed() < Duration::from_secs(3), "side by side");
}

#[tokio::test]
async fn robots_are_asked_as_their_makers_have_it() {
    let (peer, address) = Peer::start().await;
    let robot = |kind: &str, events: &str| {
        format!(
            "{{ name = \"{kind}\", kind = \"{kind}\", url = \"http://{address}/{kind}?key=k\", secret_env = \"R\", events = [{events}] }}"
        )
    };
    let all = "\"work_order.raised\"";
    let robots = ["wecom", "dingtalk", "feishu"].map(|kind| robot(kind, all));
    let mut desk = Desk::open(&robots.join(", ")).await;
    let id = desk.raise("1").await;
    desk.deliver().await;
    let got: BTreeMap<String, Got> = peer
        .got()
        .into_iter()
        .map(|got| (got.path.clone(), got))
        .collect();
    let body = |kind: &str| -> Value { serde_json::from_str(&got[kind].body).expect("JSON") };
    let text = format!(
        "【示范医院】随访工单，特急，11-23 10:00 发出。请接手。已向对方承诺 11-23 10:15 前有人通话。编号 {id}。"
    );
    assert_eq!(
        body("/wecom"),
        json!({ "msgtype": "text", "text": { "content": text } })
    );
    assert_eq!(body("/dingtalk")["text"]["content"], json!(text));
    let query: BTreeMap<&str, &str> = got["/dingtalk"]
        .query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let asked_at = query["timestamp"];
    assert_eq!(query["sign"], dingtalk_sign("secret of R", asked_at));
    let feishu = body("/feishu");
    assert_eq!(feishu["content"]["text"], json!(text));
    let asked_at = feishu["timestamp"].as_str().expect("text");
    assert_eq!(feishu["sign"], json!(feishu_sign("secret of R", asked_at)));
    // 200 and a code that is a refusal: it is tried again.
    peer.answer([Answer::Body("{\"errcode\":310000}"), Answer::Body("soup")]);
    desk.raise("2").await;
    desk.deliver().await;
    let first = peer.got().len();
    desk.pass(SignedDuration::from_mins(1));
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    assert_eq!((first, peer.got().len()), (3, 2));
}

/// 加签, as 钉钉 has it: Base64 of HMAC-SHA256 of "time LF secret" under the secret, percent-encoded.
fn dingtalk_sign(secret: &str, at: &str) -> String {
    let signed = base64_mac(secret.as_bytes(), format!("{at}\n{secret}").as_bytes());
    signed
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

/// 签名校验, as 飞书 has it: Base64 of HMAC-SHA256 of nothing under "time LF secret".
fn feishu_sign(secret: &str, at: &str) -> String {
    base64_mac(format!("{at}\n{secret}").as_bytes(), b"")
}

/// RFC 2104 by hand.
fn base64_mac(key: &[u8], text: &[u8]) -> String {
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with).to_vec();
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    let outer = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
    base64::prelude::BASE64_STANDARD.encode(outer)
}

const WARD: &str = r#"
version = 1

[[person]]
name = "anna"
lang = "en"
at = [{ by = "sms", to = "+8613800000001" }]

[[person]]
name = "bert"
at = [{ by = "sms", to = "+8613800000002" }, { by = "mail", to = "bert@hospital.example" }]

[[person]]
name = "carl"
at = [{ by = "mail", to = "carl@hospital.example" }]

[[shift]]
ward = "5A"
rung = "ward_nurse"
people = ["anna"]
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "00:00"
to = "00:00"

[[shift]]
rung = "duty_doctor"
people = ["bert"]
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "00:00"
to = "00:00"

[[shift]]
rung = "switchboard"
people = ["carl"]
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "00:00"
to = "00:00"
"#;

fn gateway(address: SocketAddr) -> String {
    format!(
        "{{ name = \"sms\", kind = \"sms\", url = \"http://{address}/sms\", secret_env = \"SMS\", \
         body = '{{\"key\":\"{{key}}\",\"to\":\"{{to}}\",\"text\":\"{{text}}\"}}', accepted = '\"code\":0' }}"
    )
}

#[tokio::test]
async fn the_ladder_tells_the_people_of_the_rota_rung_by_rung() {
    let (peer, address) = Peer::start().await;
    let (mail, at_mail) = Mail::start().await;
    let by_mail = format!(
        "{{ name = \"mail\", kind = \"email\", url = \"smtp://{at_mail}\", from = \"robot@hospital.example\" }}"
    );
    let mut desk = Desk::open(&format!("{}, {by_mail}", gateway(address))).await;
    desk.rota(WARD).await;
    let id = desk.raise("1").await;
    desk.deliver().await;
    let got = peer.got();
    assert_eq!(got.len(), 1);
    let body: Value = serde_json::from_str(&got[0].body).expect("JSON");
    let words = format!(
        "Demonstration Hospital: follow-up order, emergent, raised 11-23 10:00. Please take it. A call by a person was \
         promised by 11-23 10:15. Number {id}."
    );
    let expected = json!({ "key": "secret of SMS", "to": "+8613800000001", "text": words });
    assert_eq!(body, expected, "nothing of patient, finding or ward");
    let order = desk.store.work_order(&id).await.expect("there");
    assert_eq!(order.owner.as_deref(), Some("anna"));
    // The charge nurse's rung is empty: the doctor is told in her place, and Anna once more, for it is hers.
    desk.pass(SignedDuration::from_mins(5));
    assert_eq!(desk.escalate().await, 1);
    desk.deliver().await;
    let told = |peer: &Peer| -> Vec<String> {
        let bodies = peer.got().into_iter();
        let bodies = bodies.map(|got| serde_json::from_str::<Value>(&got.body).expect("JSON"));
        let mut to: Vec<String> = bodies
            .map(|body| body["to"].as_str().expect("text").to_owned())
            .collect();
        to.sort_unstable();
        to
    };
    assert_eq!(told(&peer), ["+8613800000001", "+8613800000002"]);
    let sent = mail.got();
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].contains("RCPT TO:<bert@hospital.example>"),
        "{sent:?}"
    );
    desk.pass(SignedDuration::from_mins(10));
    assert_eq!(
        desk.escalate().await,
        2,
        "the doctor's own rung and the switchboard's, late and not left out"
    );
    desk.deliver().await;
    told(&peer);
    let sent = mail.got();
    let to = |name: &str| {
        sent.iter()
            .filter(|mail| mail.contains(&format!("<{name}@")))
            .count()
    };
    assert_eq!((to("bert"), to("carl")), (1, 1));
    // Whoever takes it is left alone, but for the word that was given.
    let terms = deadlines();
    let now = desk.now();
    let taken = desk
        .store
        .act_on_work_order(&id, &Act::Acknowledge, "anna", "", &terms, now);
    taken.await.expect("open");
    desk.pass(SignedDuration::from_mins(5));
    assert_eq!(desk.escalate().await, 1);
    desk.deliver().await;
    let sent = mail.got();
    assert!(
        sent.iter().any(|mail| mail.contains("carl@")),
        "the promise is broken"
    );
    let now = desk.now();
    let spoken = desk
        .store
        .act_on_work_order(&id, &Act::Speak, "anna", "", &terms, now);
    spoken.await.expect("not closed");
    told(&peer);
    desk.pass(SignedDuration::from_mins(30));
    assert_eq!(desk.escalate().await, 0);
    let given = Act::HandOver { to: "bert".into() };
    let now = desk.now();
    let given = desk
        .store
        .act_on_work_order(&id, &given, "anna", "", &terms, now);
    given.await.expect("not closed");
    desk.deliver().await;
    assert_eq!(told(&peer), ["+8613800000002"], "he alone");
    let life = desk.store.work_order_events(&id).await.expect("listed");
    let what: Vec<What> = life.iter().map(|row| row.what).collect();
    use What::{Acknowledged, Assigned, Escalated, HandedOver, PromiseBroken, Raised, Spoken};
    assert_eq!(
        what,
        [
            Raised,
            Assigned,
            Escalated,
            Escalated,
            Escalated,
            Acknowledged,
            PromiseBroken,
            Spoken,
            HandedOver
        ]
    );
}

#[tokio::test]
async fn a_safe_channel_names_ward_and_finding() {
    let (peer, address) = Peer::start().await;
    let safe = gateway(address).replace("accepted", "safe = true, accepted");
    let desk = Desk::open(&safe).await;
    desk.rota(WARD).await;
    desk.raise("1").await;
    desk.deliver().await;
    let got = peer.got();
    assert!(
        got[0].body.contains("Ward 5A: chest_pain, incomplete."),
        "{}",
        got[0].body
    );
}

#[tokio::test]
async fn a_gateway_that_does_not_say_yes_is_asked_again() {
    let (peer, address) = Peer::start().await;
    let mut desk = Desk::open(&gateway(address)).await;
    desk.rota(WARD).await;
    peer.answer([Answer::Body("{\"code\":7}")]);
    let id = desk.raise("1").await;
    desk.deliver().await;
    desk.pass(SignedDuration::from_secs(7));
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    assert_eq!(peer.got().len(), 2);
    // Somebody takes it before the next try: nobody is told for nothing.
    peer.answer([Answer::Status(500)]);
    let terms = deadlines();
    let now = desk.now();
    let given = Act::HandOver { to: "anna".into() };
    let given = desk
        .store
        .act_on_work_order(&id, &given, "x", "", &terms, now);
    given.await.expect("open");
    desk.deliver().await;
    assert_eq!(peer.got().len(), 1);
    let taken = desk
        .store
        .act_on_work_order(&id, &Act::Acknowledge, "anna", "", &terms, now);
    assert_eq!(
        taken.await.expect("open").state,
        WorkOrderState::Acknowledged
    );
    desk.pass(SignedDuration::from_secs(7));
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    assert_eq!(peer.got().len(), 0);
    let left = desk.store.outbox_letters(false, 9).await;
    assert_eq!(left.expect("listed"), [], "and nothing waits any more");
}

#[tokio::test]
async fn mail_goes_by_smtp_under_one_message_id_and_is_tried_again() {
    let (mail, address) = Mail::start().await;
    let channel = format!(
        "{{ name = \"mail\", kind = \"email\", url = \"smtp://{address}\", from = \"Robot <robot@hospital.example>\" }}"
    );
    let mut desk = Desk::open(&channel).await;
    desk.rota(&WARD.replace(
        "by = \"sms\", to = \"+8613800000001\"",
        "by = \"mail\", to = \"anna@hospital.example\"",
    ))
    .await;
    mail.refuse
        .lock()
        .expect("whole")
        .push_back("451 try again later");
    desk.raise("1").await;
    desk.deliver().await;
    assert_eq!(mail.got().len(), 0);
    let waiting = desk.store.outbox_letters(false, 9).await.expect("listed");
    assert_eq!(waiting[0].last_error.as_deref(), Some("answered 451"));
    desk.pass(SignedDuration::from_secs(7));
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    let got = mail.got();
    assert_eq!(got.len(), 1);
    let id = format!("Message-ID: <{}@hospital.example>", waiting[0].event.id);
    for part in [
        "MAIL FROM:<robot@hospital.example>",
        "RCPT TO:<anna@",
        &id,
        "Subject: Demonstration Hospital",
    ] {
        assert!(got[0].contains(part), "{part}: {}", got[0]);
    }
}

#[tokio::test]
async fn a_telephone_does_not_ring_again_for_more_of_the_same() {
    let desk = Desk::open("{ name = \"phone\", kind = \"phone\" }").await;
    let address = "{ by = \"sms\", to = \"+8613800000001\" }";
    desk.rota(&WARD.replace(address, "{ by = \"phone\", to = \"6001\" }"))
        .await;
    let (new, _) = calling(&desk.store, "1").await;
    let join = async |cause: Cause| {
        let causes = raise(&new, vec![cause]);
        let raised = desk.store.raise_or_join_work_order(&causes, desk.now());
        raised.await.expect("raised").expect("a cause").id
    };
    // No engine, no telephone: the rows of calls wait.
    let rings = async || {
        notify::once(&desk.store, &desk.rules)
            .await
            .expect("a round");
        let waiting = desk.store.outbox_letters(false, 9).await.expect("listed");
        let channels = waiting.iter().map(|letter| letter.event.channel.as_deref());
        channels.filter(|channel| *channel == Some("phone")).count()
    };
    let id = join(Cause::Incomplete).await;
    assert_eq!(rings().await, 1);
    join(Cause::ReportedReadmission).await;
    assert_eq!(rings().await, 1, "told of already");
    join(found(&new, finding("chest_pain", Urgency::Emergent))).await;
    assert_eq!(rings().await, 2, "more urgent");
    let (terms, now) = (deadlines(), desk.now());
    let taken = desk
        .store
        .act_on_work_order(&id, &Act::Acknowledge, "anna", "", &terms, now);
    taken.await.expect("open");
    join(Cause::AskedForPerson).await;
    assert_eq!(rings().await, 3, "nobody has seen that");
}

/// A patient whom the robot connected with a person has been spoken with; a few seconds are no talk.
#[tokio::test]
async fn a_talk_that_the_robot_connected_keeps_its_promise() {
    for (talk_ms, spoken_by) in [(20_000, Some("on_call")), (3_000, None)] {
        let desk = Desk::open("").await;
        let (new, _) = calling(&desk.store, "1").await;
        let pain = vec![finding("chest_pain", Urgency::Emergent)];
        let mut record = finish(&new, Disposition::Completed, pain).record;
        record.notes.push(CallNote::Connected { rung: 0, talk_ms });
        let what = Told::Ended(Box::new(record));
        let report = Report {
            attempt: new.id.clone(),
            what,
        };
        let mut recorder = Recorder::new(desk.store.clone(), desk.rules.clone());
        assert!(recorder.record(&report).await);
        let orders = desk.store.overdue_work_orders(Timestamp::MAX, 9).await;
        let [order] = orders.expect("listed").try_into().expect("one");
        assert_eq!(
            order.state,
            WorkOrderState::Open,
            "somebody still has to take it"
        );
        assert_eq!(order.spoken_by.as_deref(), spoken_by);
        assert_eq!(order.promise().is_none(), spoken_by.is_some());
    }
}

/// A mail server of the tests: takes each message, or refuses it at its end.
#[derive(Clone, Default)]
struct Mail {
    got: Arc<Mutex<Vec<String>>>,
    refuse: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Mail {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let mail = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = mail.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().talk(stream));
            }
        });
        (mail, address)
    }

    fn got(&self) -> Vec<String> {
        std::mem::take(&mut *self.got.lock().expect("whole"))
    }

    /// RFC 5321 §4.1, as far as one message goes.
    async fn talk(self, stream: tokio::net::TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 mail.test ESMTP\r\n").await?;
        let (mut envelope, mut in_data) = (String::new(), false);
        while let Some(line) = lines.next_line().await? {
            envelope.push_str(&line);
            envelope.push('\n');
            let answer = if in_data {
                if line != "." {
                    continue;
                }
                in_data = false;
                let refusal = self.refuse.lock().expect("whole").pop_front();
                if refusal.is_none() {
                    let whole = std::mem::take(&mut envelope);
                    self.got.lock().expect("whole").push(whole);
                }
                refusal.unwrap_or("250 taken")
            } else if line.starts_with("DATA") {
                in_data = true;
                "354 go on"
            } else if line.starts_with("QUIT") {
                "221 bye"
            } else {
                "250 mail.test"
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn for_a_week_nobody_acknowledges_and_the_last_rung_is_still_told() {
    let (peer, address) = Peer::start().await;
    let mut desk = Desk::open(&gateway(address)).await;
    let rota = WARD.replace(
        "by = \"mail\", to = \"carl@hospital.example\"",
        "by = \"sms\", to = \"+8613800000003\"",
    );
    desk.rota(&rota.replace(", { by = \"mail\", to = \"bert@hospital.example\" }", ""))
        .await;
    let raised_at = desk.now();
    let id = desk.raise("1").await;
    let mut climbs = 0;
    while desk.now() < raised_at + SignedDuration::from_hours(24 * 7) {
        desk.pass(SignedDuration::from_mins(5));
        climbs += desk.escalate().await;
        // Now and then the engine is away for some hours.
        if climbs % 50 == 0 {
            desk.pass(SignedDuration::from_hours(3));
        }
        if climbs % 20 == 0 {
            desk.deliver().await;
        }
    }
    desk.deliver().await;
    peer.got();
    desk.pass(SignedDuration::from_mins(5));
    assert_eq!(desk.escalate().await, 1);
    desk.deliver().await;
    let to: Vec<Value> = peer
        .got()
        .iter()
        .map(|got| serde_json::from_str::<Value>(&got.body).expect("JSON")["to"].clone())
        .collect();
    assert!(to.contains(&json!("+8613800000003")), "{to:?}");
    let order = desk.store.work_order(&id).await.expect("there");
    assert!(order.exhausted && order.state == WorkOrderState::Open);
    let life = desk.store.work_order_events(&id).await.expect("listed");
    let levels: Vec<u32> = life
        .iter()
        .filter(|row| row.what == What::Escalated)
        .map(|row| row.level)
        .collect();
    let expected: Vec<u32> = (1..=u32::try_from(levels.len()).expect("few")).collect();
    assert_eq!(levels, expected, "every rung, in order, and on");
    assert!(at(0) < raised_at);
}

const NURSE: &str = "+8613800009003";
const MACHINE: &str = "+8613800009004";

/// The engine rings who is on duty, who hears it out and presses 1; a telephone that presses nothing takes nothing.
#[tokio::test]
async fn a_telephone_call_takes_the_order_by_a_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let prompt = root.join("dialogs/common/prompts/zh/opening_hello.flac");
    let sound = folder.path().join("said.wav");
    let samples = decode_file(&prompt).expect("a prompt of ours");
    std::fs::write(&sound, speech_wav(&samples)).expect("it is writable");
    let voice = Voice::new(VoiceConfig {
        engine: Engine::Command(CommandConfig {
            command: vec!["cp".into(), sound.display().to_string(), "{out}".into()],
            voice_zh: String::new(),
            voice_en: String::new(),
            speed: 1.0,
            timeout: Duration::from_secs(9),
        }),
        rendered: None,
    });
    let phones = folder.path().join("phones");
    std::fs::create_dir(&phones).expect("a folder");
    for (name, number, does) in [
        ("nurse", NURSE, "[otherwise]\nkeys = \"1\"\n"),
        ("machine", MACHINE, "[otherwise]\nhang_up = true\n"),
    ] {
        let text = format!(
            "number = \"{number}\"\nstory = \"On duty.\"\nring_ms = 200\ndoes = \"answer\"\n{does}"
        );
        std::fs::write(phones.join(format!("{name}.toml")), text).expect("it is writable");
    }
    let at_network = phones.clone();
    let network = tokio::task::spawn_blocking(move || Network::of(&at_network));
    let network = network.await.expect("it starts");
    let port = network.at.rsplit(':').next();
    let port = port.and_then(|port| port.parse().ok()).expect("a port");
    let mut desk = Desk::open("{ name = \"phone\", kind = \"phone\" }").await;
    let config = Config::parse(
        "a.toml",
        "channels = [{ name = \"phone\", kind = \"phone\" }]\n",
    );
    let channels = Channels::load(&config.expect("a good file")).expect("no secrets");
    let telephone = Telephone::new(&trunk(&[port], ""), Arc::new(voice));
    desk.rules.channels = Arc::new(channels.with_telephone(telephone));
    let rota = |first: &str| {
        format!(
            "version = 1\n[[person]]\nname = \"anna\"\nat = [{{ by = \"phone\", to = \"{first}\" }}]\n[[shift]]\n\
             rung = \"ward_nurse\"\npeople = [\"anna\"]\ndays = [\"mon\"]\nfrom = \"00:00\"\nto = \"00:00\"\n"
        )
    };
    desk.rota(&rota(MACHINE)).await;
    let id = desk.raise("1").await;
    desk.deliver().await;
    let order = desk.store.work_order(&id).await.expect("there");
    assert_eq!(
        order.state,
        WorkOrderState::Open,
        "who presses nothing takes nothing"
    );
    let waiting = desk.store.outbox_letters(false, 9).await.expect("listed");
    assert_eq!(
        waiting[0].last_error.as_deref(),
        Some("nobody pressed the key")
    );
    assert!(waiting[0].next_at >= desk.now() + SignedDuration::from_secs(50));
    desk.rota(&rota(NURSE)).await;
    desk.pass(SignedDuration::from_secs(61));
    notify::once(&desk.store, &desk.rules)
        .await
        .expect("a round");
    let order = desk.store.work_order(&id).await.expect("there");
    assert_eq!(
        (order.state, order.acknowledged_by.as_deref()),
        (WorkOrderState::Acknowledged, Some("anna")),
        "{:?}",
        network.story("nurse")
    );
    let life = desk.store.work_order_events(&id).await.expect("listed");
    let taken = life.last().expect("rows");
    assert_eq!(
        (taken.what, taken.note.as_str()),
        (What::Acknowledged, "by telephone")
    );
}
