//! The API and the pages over a database that is full, as an engine serves them; nobody is rung.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aftercall::config::{self, Config};
use aftercall::jobs::{Clinic, PlanClock, Rules};
use aftercall::metrics::Metrics;
use aftercall::recording::Recordings;
use aftercall::store::Store;
use aftercall::web::{AppState, Listening, router};
use aftercall::{password, pathways, redflags, review_forms};
use aftercall_core::staff::{Role, Wards};
use aftercall_core::time::Timestamp;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::sync::watch;

/// Who signs in from Chromium.
pub const NAME: &str = "everybody";
pub const PASSWORD: &str = "plum-blossom-42";

const ROLES: [Role; 7] = [
    Role::Nurse,
    Role::Clinician,
    Role::Author,
    Role::Qa,
    Role::SystemAdmin,
    Role::SecurityAdmin,
    Role::Auditor,
];

pub struct Server {
    address: String,
    store: Store,
    client: Client,
    _stop: watch::Sender<bool>,
}

/// One caller: an address may ask only so much a second, so each row of the table has its own.
pub struct Caller<'a> {
    server: &'a Server,
    secret: String,
}

impl Server {
    pub async fn start(store: &Store, folder: &Path) -> Self {
        let config = Config::default();
        let lexicon = redflags::load(None).expect("the built-in lexicon compiles");
        let trends = redflags::load_trends(None, &lexicon).expect("the built-in rules compile");
        let clinic = Arc::new(Clinic {
            lexicon: Arc::new(lexicon),
            trends: Arc::new(trends),
            packs: [].into(),
        });
        let rules = Rules::of(&config, PlanClock::system(), clinic).expect("the usual rules");
        let dialogs = Path::new("dialogs");
        let pathways = pathways::load(dialogs, config.cadence()).expect("our pathways");
        let forms = review_forms::load(dialogs).expect("our forms");
        let state = AppState::new(
            store.clone(),
            Recordings::new(folder.join("recordings")),
            Arc::new(Metrics::new()),
            &config,
            (pathways, forms),
            &rules,
            Arc::default(),
        );
        let web = config::Web {
            bind: "127.0.0.1:0".to_owned(),
            ..config::Web::default()
        };
        let listening = Listening::open(&web).await.expect("a free port");
        let address = listening.address().expect("bound").to_string();
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(listening.serve(router(state), stopping));
        let server = Self {
            address,
            store: store.clone(),
            client: Client::new(),
            _stop: stop,
        };
        server.hire().await;
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The account of the browser; a kept database has it already.
    async fn hire(&self) {
        let now = Timestamp::now();
        let made = self
            .store
            .add_staff(NAME, NAME, &ROLES, &Wards::ALL, now)
            .await;
        if made.is_ok() {
            let phc = password::hash(NAME, PASSWORD).expect("strong");
            let set = self.store.set_password(NAME, &phc, now).await;
            set.expect("an account");
        }
    }

    pub async fn caller(&self, name: &str, wards: &Wards) -> Caller<'_> {
        let name = format!("{name} {}", Timestamp::now());
        let made = self
            .store
            .create_token(&name, &ROLES, wards, Timestamp::now());
        let (_, secret) = made.await.expect("a new name");
        Caller {
            server: self,
            secret,
        }
    }
}

impl Caller<'_> {
    /// GET, or POST where there is a body; how long it took, and what came.
    pub async fn ask(&self, path: &str, body: Option<&Value>) -> (Duration, Value) {
        let url = format!("{}/api/v1{path}", self.server.url());
        let client = &self.server.client;
        let request = match body {
            None => client.get(url),
            Some(body) => client.post(url).json(body),
        };
        let began = Instant::now();
        let response = request.bearer_auth(&self.secret).send().await;
        let response = response.expect("the server answers");
        let status = response.status();
        let bytes = response.bytes().await.expect("whole");
        let took = began.elapsed();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        (took, serde_json::from_slice(&bytes).unwrap_or_default())
    }
}
