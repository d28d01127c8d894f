//! The hospital's bus over real TCP, on both databases: what its messages do to plans, and what hostile peers get.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use aftercall::config::{Config, Feed as FeedConfig};
use aftercall::feed::{Feed, Listener};
use aftercall::jobs::PlanClock;
use aftercall::metrics::Metrics;
use aftercall::store::Store;
use aftercall::store::attempt::Begun;
use aftercall::store::feed::MessageState;
use aftercall::store::page::PageRequest;
use aftercall_core::feed::Fault;
use aftercall_core::feed::mllp::{Frame, Frames, framed};
use aftercall_core::patient::{ConsentBasis, EpisodeState, Life, Patient};
use aftercall_core::plan::{Pathway, Pathways, StepState};
use aftercall_core::time::Timestamp;
use encoding_rs::GB18030;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::record::{master_key, new_attempt};
use crate::tls::certify;

/// A listener on a port of its own.
struct Bus {
    at: SocketAddr,
    store: Store,
    feed: Arc<Feed>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

/// A peer of the bus.
struct Peer {
    stream: TcpStream,
    frames: Frames,
    said: Vec<Frame>,
}

/// Two calls for hearts; nothing for others.
fn heart() -> Pathway {
    let text = "version = 1
script = \"cardiac\"
reviewed = { by = \"Dr Lin\", on = \"2026-11-01\" }
[when]
diagnoses = [\"I50\"]
[[repeat]]
from = 30
every = 30
until = 60
grace_days = 7
";
    Pathway::parse("heart.toml", "heart", text).expect("a pathway")
}

impl Bus {
    async fn open(store: &Store) -> Bus {
        Self::with(store, FeedConfig::default()).await
    }

    /// The same, with the certificates of `feed`.
    async fn with(store: &Store, feed: FeedConfig) -> Bus {
        let config = Config {
            feed: FeedConfig {
                bind: "127.0.0.1:0".to_owned(),
                max_message_kib: 8,
                max_connections: 3,
                idle_seconds: 1,
                consent: ConsentBasis::Written,
                ..feed
            },
            ..Config::default()
        };
        let pathways = Pathways {
            list: vec![heart()],
            ..Pathways::default()
        };
        let clock = PlanClock::set_to("2026-11-23T02:00:00Z".parse().expect("an instant"));
        let metrics = Arc::new(Metrics::new());
        let feed = Feed::new(store.clone(), Arc::new(pathways), clock, metrics, &config);
        let feed = Arc::new(feed);
        let listener = Listener::bind(&config.feed).await.expect("a free port");
        let at = listener.address().expect("bound");
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(listener.run(Arc::clone(&feed), stopping));
        Bus {
            at,
            store: store.clone(),
            feed,
            stop,
            running,
        }
    }

    async fn peer(&self) -> Peer {
        Peer {
            stream: TcpStream::connect(self.at).await.expect("it listens"),
            frames: Frames::new(1 << 20),
            said: Vec::new(),
        }
    }

    async fn patient(&self, number: &str) -> Patient {
        let id = self.store.patient_by_number("main", number).await;
        let id = id.expect("asked").expect("known");
        self.store.patient(&id).await.expect("read")
    }

    /// `E1001 discharged: 3 planned 2026-11-22`, for each stay and step.
    async fn plan(&self, number: &str) -> Vec<String> {
        let patient = self.patient(number).await;
        let mut said = Vec::new();
        for stay in self.store.episodes_of(&patient.id).await.expect("listed") {
            for step in self.store.steps_of_episode(&stay.id).await.expect("listed") {
                let code = step.reason.split(':').next().unwrap_or_default();
                said.push(format!(
                    "{} {} {} {} {code}",
                    stay.encounter, step.day, step.due_on, step.state
                ));
            }
        }
        said
    }

    /// Whether every step of the stay is in this state.
    async fn all(&self, number: &str, encounter: &str, state: StepState) -> bool {
        let plan = self.plan(number).await;
        let of = plan
            .iter()
            .filter(|line| line.starts_with(&format!("{encounter} ")));
        let of: Vec<&String> = of.collect();
        !of.is_empty() && of.iter().all(|line| line.contains(&format!(" {state} ")))
    }

    async fn close(self) {
        self.stop.send(true).expect("it runs");
        self.running.await.expect("it ended");
    }
}

impl Peer {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sent");
    }

    /// MSA-1, MSA-2 and the words of the next answer.
    async fn hear(&mut self) -> String {
        let mut buffer = [0; 4096];
        while self.said.is_empty() {
            let count = self.stream.read(&mut buffer).await.expect("an answer");
            assert!(count > 0, "the connection was closed");
            self.said.extend(self.frames.push(&buffer[..count]));
        }
        let Frame::Message(bytes) = self.said.remove(0) else {
            panic!("an answer is a whole message");
        };
        let text = String::from_utf8(bytes).expect("ASCII");
        let msa = text.split('\r').find_map(|line| line.strip_prefix("MSA|"));
        msa.expect("MSA").trim_end_matches('|').to_owned()
    }

    async fn tell(&mut self, message: &str) -> String {
        self.send(&framed(message.as_bytes())).await;
        self.hear().await
    }

    /// True where the far end closes without another word.
    async fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 64];
        !matches!(self.stream.read(&mut buffer).await, Ok(count) if count > 0)
    }
}

/// A message of a patient: event, control id, EVN-2, visit and admission, discharge, and more segments.
fn message(
    event: &str,
    id: &str,
    at: &str,
    number: &str,
    visit: (&str, &str, &str),
    more: &str,
) -> String {
    let (encounter, admitted, discharged) = visit;
    let (early, gap) = ("|".repeat(16), "|".repeat(25));
    format!(
        "MSH|^~\\&|HIS|IN|AFTERCALL|MAIN|{at}||ADT^{event}|{id}|P|2.5|||||CHN|UNICODE UTF-8\r\
         EVN|{event}|{at}\r\
         PID|1||{number}^^^H^MR||张^三||19500201|M|||||13800138000^PRN^CP||zh\r\
         PV1|1|I|9C{early}{encounter}{gap}{admitted}|{discharged}\r{more}"
    )
}

const HEART: &str = "DG1|1||I50.9^^I10\r";
const STAY: (&str, &str, &str) = ("E1", "20261110090000", "20261119103000");

pub async fn messages_change_plans_as_a_list_does(store: Store) {
    let bus = Bus::open(&store).await;
    let mut peer = bus.peer().await;
    let discharge = message("A03", "1", "20261119103000", "P1", STAY, HEART);

    // Byte by byte, then twice in one piece with another behind it.
    for byte in framed(discharge.as_bytes()) {
        peer.send(&[byte]).await;
    }
    assert_eq!(peer.hear().await, "AA|1");
    let first = bus.plan("P1").await;
    assert_eq!(
        first,
        ["E1 30 2026-12-19 planned ", "E1 60 2027-01-18 planned "]
    );
    let stored = bus.patient("P1").await;
    assert_eq!(stored.consent.basis, ConsentBasis::Written);
    let kin = "NK1|1|李^梅|SPO||13900139000^PRN^CP\r";
    let moved = message("A08", "2", "20261119120000", "P1", STAY, kin)
        .replace("13800138000", "13700137000");
    let both = [framed(discharge.as_bytes()), framed(moved.as_bytes())].concat();
    peer.send(&both).await;
    assert_eq!(
        (peer.hear().await, peer.hear().await),
        ("AA|1".into(), "AA|2".into())
    );
    assert_eq!(
        bus.plan("P1").await,
        first,
        "the same control id changes nothing"
    );
    let patient = bus.patient("P1").await;
    assert_eq!(
        patient.phone.as_ref().expect("one").expose(),
        "+8613700137000"
    );
    assert_eq!(
        (patient.contacts.len(), patient.contacts[0].topics.len()),
        (1, 0)
    );
    assert_eq!(patient.id, stored.id);
    // Who is next of kin no more is dropped, by an end (NK1-9) or by the sign of deletion; who is not named stays.
    for (id, at, kin, left) in [
        (
            "21",
            "20261119121000",
            "NK1|1|王^芳|CHD||13900139001^PRN^CP\r",
            2,
        ),
        (
            "22",
            "20261119122000",
            "NK1|1|李^梅|SPO||13900139000^PRN^CP||||20261118\r",
            1,
        ),
        (
            "23",
            "20261119123000",
            "NK1|1|王^芳|CHD||13900139001^PRN^CP||||20271118\r",
            1,
        ),
        ("24", "20261119124000", "", 1),
        ("25", "20261119125000", "NK1|1|\"\"\r", 0),
    ] {
        let told = message("A08", id, at, "P1", STAY, kin).replace("13800138000", "13700137000");
        assert_eq!(peer.tell(&told).await, format!("AA|{id}"));
        assert_eq!(bus.patient("P1").await.contacts.len(), left, "{kin}");
    }

    // What is older than that is stale, whatever it says of number and stay.
    let stale = message("A08", "3", "20261119110000", "P1", STAY, "");
    assert_eq!(peer.tell(&stale).await, "AA|3");
    assert_eq!(bus.patient("P1").await.phone, patient.phone);

    // The discharge is cancelled; the first one, told again, opens nothing; a later one moves the plan.
    let cancel = message("A13", "4", "20261120080000", "P1", ("E1", "", ""), "");
    assert_eq!(peer.tell(&cancel).await, "AA|4");
    assert!(bus.all("P1", "E1", StepState::Blocked).await);
    let again = discharge.replace("|1|P|", "|5|P|").replace(
        "MSH|^~\\&|HIS|IN|AFTERCALL|MAIN|20261119103000",
        "MSH|^~\\&|HIS|IN|AFTERCALL|MAIN|20261121",
    );
    assert_eq!(peer.tell(&again).await, "AA|5");
    assert!(
        bus.all("P1", "E1", StepState::Blocked).await,
        "a stale discharge"
    );
    let later = message(
        "A03",
        "6",
        "20261121103000",
        "P1",
        ("E1", "", "20261121103000"),
        HEART,
    );
    assert_eq!(peer.tell(&later).await, "AA|6");
    assert_eq!(
        bus.plan("P1").await,
        ["E1 30 2026-12-21 planned ", "E1 60 2027-01-20 planned "]
    );

    // In again, not in after all, in and out: the later stay's plan holds.
    let second = ("E2", "20261122080000", "");
    assert_eq!(
        peer.tell(&message("A01", "7", "20261122080100", "P1", second, ""))
            .await,
        "AA|7"
    );
    assert!(
        bus.all("P1", "E1", StepState::Blocked).await,
        "{:?}",
        bus.plan("P1").await
    );
    assert_eq!(
        peer.tell(&message("A11", "8", "20261122090000", "P1", second, ""))
            .await,
        "AA|8"
    );
    assert!(
        bus.all("P1", "E1", StepState::Planned).await,
        "{:?}",
        bus.plan("P1").await
    );
    let third = ("E3", "20261122100000", "20261122200000");
    assert_eq!(
        peer.tell(&message("A03", "9", "20261122200000", "P1", third, HEART))
            .await,
        "AA|9"
    );
    assert!(bus.all("P1", "E1", StepState::Blocked).await);
    assert!(bus.all("P1", "E3", StepState::Planned).await);
    // An earlier stay that is cancelled and put back leaves the last one's plan alone, by message and by hand.
    assert_eq!(
        peer.tell(&message(
            "A13",
            "10",
            "20261122210000",
            "P1",
            ("E1", "", ""),
            ""
        ))
        .await,
        "AA|10"
    );
    let back = message(
        "A03",
        "11",
        "20261122220000",
        "P1",
        ("E1", "", "20261121113000"),
        HEART,
    );
    assert_eq!(peer.tell(&back).await, "AA|11");
    assert!(
        bus.all("P1", "E3", StepState::Planned).await,
        "{:?}",
        bus.plan("P1").await
    );
    let stays = store.episodes_of(&patient.id).await.expect("listed");
    let earlier = stays
        .iter()
        .find(|stay| stay.encounter == "E1")
        .expect("known");
    let now = "2026-11-23T02:00:00Z"
        .parse::<Timestamp>()
        .expect("an instant");
    for state in [EpisodeState::Cancelled, EpisodeState::Discharged] {
        store
            .set_episode_state(&earlier.id, state, now)
            .await
            .expect("set");
    }
    assert!(
        bus.all("P1", "E3", StepState::Planned).await,
        "{:?}",
        bus.plan("P1").await
    );
    assert!(bus.all("P1", "E1", StepState::Blocked).await);

    // Another record of hers, in the other character set, becomes this one.
    let other = message(
        "A03",
        "12",
        "20261122230000",
        "P0",
        ("E0", "", "20261101103000"),
        HEART,
    )
    .replace("UNICODE UTF-8", "GB18030");
    peer.send(&framed(&GB18030.encode(&other).0)).await;
    assert_eq!(peer.hear().await, "AA|12");
    assert_eq!(bus.patient("P0").await.name.expose(), "张三");
    let merge = message(
        "A40",
        "13",
        "20261122233000",
        "P1",
        ("", "", ""),
        "MRG|P0^^^H^MR\r",
    );
    assert_eq!(peer.tell(&merge).await, "AA|13");
    let stays = store.episodes_of(&patient.id).await.expect("listed");
    assert_eq!(stays.len(), 3, "every stay is hers");
    assert!(
        bus.all("P1", "E3", StepState::Planned).await
            && bus.all("P1", "E0", StepState::Blocked).await
    );

    // A death under the number that was given up, told just before the call; then nothing revives her.
    let steps = store.steps_of_episode(&stays[0].id).await.expect("listed");
    let due = steps[0].next_at;
    let until = "2027-02-01T00:00:00Z"
        .parse::<Timestamp>()
        .expect("an instant");
    let claimed = store
        .claim_due_steps(due, 9, until, "engine-a")
        .await
        .expect("claimed");
    let claimed = claimed
        .iter()
        .find(|step| step.id == steps[0].id)
        .expect("due");
    let death = message("A08", "14", "20261123080000", "P0", ("", "", ""), "")
        .replace("||zh", &format!("||zh{}Y", "|".repeat(15)));
    assert_eq!(peer.tell(&death).await, "AA|14");
    let mut attempt = new_attempt(claimed, patient.phone.clone());
    attempt.leased_until = until;
    let begun = store.begin_attempt(&attempt).await.expect("asked");
    assert_ne!(begun, Begun::Dial, "the telephone does not ring");
    let alive = message("A08", "15", "20261123090000", "P1", third, "");
    assert_eq!(peer.tell(&alive).await, "AA|15");
    assert_eq!(bus.patient("P1").await.life, Life::Dead);
    assert!(
        bus.plan("P1")
            .await
            .iter()
            .all(|line| !line.contains("planned")),
        "{:?}",
        bus.plan("P1").await
    );
    bus.close().await;
}

pub async fn what_cannot_be_applied_waits_for_a_person(store: Store) {
    let bus = Bus::open(&store).await;
    let mut peer = bus.peer().await;
    let broken =
        message("A03", "1", "20261119103000", "P1", STAY, HEART).replace("19500201", "1950");
    let said = peer.tell(&broken).await;
    assert_eq!(said, "AE|1|PID-7: is not a date");
    assert_eq!(
        peer.tell(&broken).await,
        said,
        "the same control id, the same answer"
    );
    let reused = message("A03", "1", "20261119103000", "P2", STAY, HEART);
    assert_eq!(
        peer.tell(&reused).await,
        "AE|1|MSH-10: is the control id of another message"
    );
    let none = message(
        "A03",
        "2",
        "20261119103000",
        "P3",
        STAY,
        "DG1|1||J44^^I10\r",
    );
    assert!(
        peer.tell(&none)
            .await
            .starts_with("AE|2|DG1-3: leads to no pathway")
    );
    let foreign =
        message("A08", "3", "20261119103000", "P1", STAY, "").replace("ADT^A08", "ORU^R01");
    assert_eq!(peer.tell(&foreign).await, "AR|3|MSH-9: is no ADT message");
    let misread = message("A08", "4", "20261119103000", "P1", STAY, "");
    peer.send(&framed(&GB18030.encode(&misread).0)).await;
    assert!(
        peer.hear()
            .await
            .starts_with("AR|4|MSH-18: names a character set in which")
    );
    assert_eq!(peer.tell("MSH|^~\\&|x").await, "AR");

    let dead = store
        .feed_messages(Some(MessageState::Dead), &PageRequest::default())
        .await;
    let dead = dead.expect("listed").items;
    let faults = dead.iter().filter_map(|message| message.fault.as_ref());
    let places: Vec<String> = faults.map(Fault::place).collect();
    assert_eq!(places, ["PID-7", "MSH-10", "DG1-3"]);
    assert!(bus.feed.text(&dead[0]).expect("kept").contains("张^三"));

    // Of a message with a fault what stops calls is applied all the same.
    assert_eq!(
        peer.tell(&message("A03", "5", "20261119103000", "P4", STAY, HEART))
            .await,
        "AA|5"
    );
    let patient = bus.patient("P4").await;
    let standing = store.episodes_of(&patient.id).await.expect("listed")[0]
        .id
        .clone();
    let heard = store
        .standing(&standing)
        .await
        .expect("asked")
        .record_seen_at;
    let now = Timestamp::now();
    assert!(heard.is_some_and(
        |at| at > "2026-11-23T01:00:00Z".parse().expect("an instant")
            && at < now + jiff::SignedDuration::from_hours(24 * 3650)
    ));
    let death = message("A08", "6", "20261120080000", "P4", STAY, "")
        .replace("13800138000", "none")
        .replace("||zh", &format!("||zh{}Y", "|".repeat(15)));
    assert!(peer.tell(&death).await.starts_with("AE|6|PID-13"));
    assert_eq!(bus.patient("P4").await.life, Life::Dead);
    let doubt = store
        .standing(&standing)
        .await
        .expect("asked")
        .record_seen_at;
    assert!(doubt < heard, "a message that waits confirms nothing");

    // A person mends the cause, and applies it again.
    let replayed = bus.feed.replay(&dead[1].id, "li").await.expect("replayed");
    assert_eq!(replayed.state, MessageState::Applied);
    assert_eq!(bus.plan("P2").await.len(), 2);
    let still = bus.feed.replay(&dead[2].id, "li").await.expect("replayed");
    assert_eq!(still.state, MessageState::Dead);
    bus.close().await;
}

pub async fn hostile_peers_are_closed_and_the_others_go_on(store: Store) {
    let bus = Bus::open(&store).await;
    let mut good = bus.peer().await;
    assert_eq!(
        good.tell(&message("A03", "1", "20261119103000", "P1", STAY, HEART))
            .await,
        "AA|1"
    );

    let mut long = bus.peer().await;
    let text = message("A08", "2", "20261119103000", "P1", STAY, &"Z".repeat(9000));
    long.send(&framed(text.as_bytes())).await;
    assert_eq!(
        long.hear().await,
        "AR|2|MSH: opens a message that is too long"
    );
    assert!(long.is_closed().await);

    let mut unended = bus.peer().await;
    unended.send(b"\x0bMSH|^~\\&|HIS").await;
    let mut third = bus.peer().await;
    // A fourth is one too many; and a message goes on being answered.
    let mut fourth = bus.peer().await;
    third
        .send(&framed(
            message("A08", "3", "20261119120000", "P1", STAY, "").as_bytes(),
        ))
        .await;
    assert_eq!(third.hear().await, "AA|3");
    assert!(fourth.is_closed().await);
    // Silence and a message without an end are closed after their time.
    assert!(unended.is_closed().await && third.is_closed().await);

    let mut noise = bus.peer().await;
    noise.send(&[b'G'; 2000]).await;
    assert!(noise.is_closed().await);
    let mut gone = bus.peer().await;
    gone.send(&framed(
        message("A08", "4", "20261119130000", "P1", STAY, "").as_bytes(),
    ))
    .await;
    drop(gone);
    let mut last = bus.peer().await;
    assert_eq!(
        last.tell(&message("A08", "5", "20261119140000", "P1", STAY, ""))
            .await,
        "AA|5"
    );
    bus.close().await;
}

/// A peer's side of TLS: it believes the bus's certificate, and shows its own where it has one.
fn connector(bus: &Path, own: Option<&Path>) -> TlsConnector {
    let certificate = |folder: &Path| {
        CertificateDer::from_pem_file(folder.join("cert.pem")).expect("openssl wrote it")
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate(bus)).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_file(own.join("key.pem")).expect("a key");
            config
                .with_client_auth_cert(vec![certificate(own)], key)
                .expect("the key fits")
        }
    };
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn over_tls_only_who_shows_a_certificate_of_the_hospitals_is_heard() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}/a.db", folder.path().display());
    let store = Store::open(&url, &master_key())
        .await
        .expect("a new database");
    let [bus_side, own, stranger] = ["bus", "own", "stranger"].map(|name| {
        let side = folder.path().join(name);
        std::fs::create_dir(&side).expect("own folder");
        certify(&side, "localhost");
        side
    });
    let tls = FeedConfig {
        certificate: bus_side.join("cert.pem"),
        key: bus_side.join("key.pem"),
        client_ca: own.join("cert.pem"),
        ..FeedConfig::default()
    };
    let bus = Bus::with(&store, tls).await;
    let discharge = message("A03", "1", "20261119103000", "P1", STAY, HEART);
    let framed = framed(discharge.as_bytes());
    // In the clear, without a certificate, and with a stranger's: no answer, and nothing is kept.
    let mut plain = bus.peer().await;
    plain.send(&framed).await;
    let mut heard = Vec::new();
    // An alert of TLS, or nothing; a connection that is reset says no more.
    let _ended = plain.stream.read_to_end(&mut heard).await;
    assert!(!heard.contains(&b'|'), "no answer: {heard:?}");
    for shown in [None, Some(stranger.as_path()), Some(own.as_path())] {
        let stream = TcpStream::connect(bus.at).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let peer = connector(&bus_side, shown).connect(name, stream).await;
        let mut answer = Vec::new();
        if let Ok(mut peer) = peer {
            // Under TLS 1.3 a refused certificate shows after the handshake.
            let sent = peer.write_all(&framed).await;
            let mut buffer = [0; 4096];
            while sent.is_ok() && answer.is_empty() {
                match peer.read(&mut buffer).await {
                    Ok(count @ 1..) => answer.extend_from_slice(&buffer[..count]),
                    Ok(0) | Err(_) => break,
                }
            }
        }
        let answer = String::from_utf8(answer).expect("ASCII");
        let is_known = shown == Some(own.as_path());
        assert_eq!(answer.contains("MSA|AA|1"), is_known, "{shown:?}: {answer}");
        let known = store.patient_by_number("main", "P1").await.expect("asked");
        assert_eq!(known.is_some(), is_known);
    }
    bus.close().await;
    store.close().await;
}
