//! `aftercall serve` as a service manager runs it: SIGHUP, SIGTERM, and a health check that names what is wrong.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aftercall::store::Store;
use aftercall::vault::Source;
use aftercall_core::plan::SetHours;
use aftercall_core::staff::{Role, Wards};
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use crate::bad_input::aftercall;
use crate::crash_demo::read;
use crate::process::Process;
use crate::record::{at, calling};
use crate::sipp::free_port;
use crate::speech::model;

const START: Duration = Duration::from_secs(60);

/// A running engine in a folder of its own.
struct Served {
    folder: tempfile::TempDir,
    process: Process,
    pid: String,
    base: String,
}

impl Served {
    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::on(folder, settings)
    }

    fn on(folder: tempfile::TempDir, settings: &str) -> Self {
        model();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let trunk = read(&root.join("sip_config/loopback.toml"))
            .replace("127.0.0.1:5080", &format!("127.0.0.1:{}", free_port()));
        std::fs::write(folder.path().join("trunk.toml"), trunk).expect("writable");
        write(&folder, settings);
        let mut process = Process::start(
            aftercall()
                .args(["serve", "--config"])
                .arg(folder.path().join("a.toml")),
            "cargo build",
        );
        let line = process.wait_for("API on ", START);
        let base = line.split_whitespace().nth(2).expect("an address");
        let base = base.trim_end_matches("/api/v1,").to_owned();
        let pid = process.id().to_string();
        Self {
            folder,
            process,
            pid,
            base,
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    async fn store(folder: &tempfile::TempDir) -> Store {
        let url = format!("sqlite://{}/aftercall.db", folder.path().display());
        let key = Source::File(format!("{}.key", folder.path().display()).into());
        let store = Store::open(&url, &key).await;
        store.expect("the engine's database")
    }

    async fn health(&self) -> (StatusCode, Value) {
        let answer = reqwest::get(format!("{}/health", self.base)).await;
        let answer = answer.expect("it answers");
        let status = answer.status();
        (status, answer.json().await.expect("JSON"))
    }
}

/// The configuration, with these settings on top.
fn write(folder: &tempfile::TempDir, settings: &str) {
    let here = folder.path().display();
    let text = format!(
        "data_dir = \"{here}\"\n[web]\nbind = \"127.0.0.1:0\"\n[trunk]\nfile = \"{here}/trunk.toml\"\ntalk_on_s = 0\n{settings}"
    );
    std::fs::write(folder.path().join("a.toml"), text).expect("writable");
}

#[tokio::test]
async fn a_new_configuration_holds_at_once_or_not_at_all() {
    let mut served = Served::start("");
    let store = Served::store(&served.folder).await;
    let now = Timestamp::now();
    let token = store
        .create_token("ward", &[Role::Service], &Wards::ALL, now)
        .await;
    let (_, secret) = token.expect("made");
    store.close().await;
    let patients = async |base: &str| {
        let request = Client::new().get(format!("{base}/api/v1/patients"));
        request
            .bearer_auth(&secret)
            .send()
            .await
            .expect("it answers")
            .status()
    };
    let (status, health) = served.health().await;
    assert_eq!(status, StatusCode::OK, "{health}");
    let names = ["database", "ladder", "clock", "disk", "trunk", "ears"];
    assert_eq!(health["checks"], serde_json::json!(names));
    assert_eq!(patients(&served.base).await, StatusCode::OK);

    write(
        &served.folder,
        "lines = 3\n[staff]\nreasons_for = [\"patient.list\"]\n",
    );
    served.signal("HUP");
    served
        .process
        .wait_for("trunk.lines holds from the next start", START);
    served
        .process
        .wait_for("staff.reasons_for holds now", START);
    assert_eq!(
        patients(&served.base).await,
        StatusCode::BAD_REQUEST,
        "say why"
    );

    for (settings, why) in [
        (
            "[staff]\nreasons_for = [\"patient.lost\"]\n",
            "a.toml:8: staff.reasons_for: names `patient.lost`",
        ),
        ("[calling]\nper_day = 9\n", "calling.per_day"),
    ] {
        write(&served.folder, settings);
        served.signal("HUP");
        let said = served.process.wait_for("the old one stays", START);
        assert!(said.contains(why), "{said}");
        assert_eq!(
            patients(&served.base).await,
            StatusCode::BAD_REQUEST,
            "the old one"
        );
    }
    let unset = "[[channels]]\nname = \"bus\"\nkind = \"webhook\"\nurl = \"https://bus.example\"\nsecret_env = \"NOT_SET_HERE\"\n";
    write(&served.folder, unset);
    served.signal("HUP");
    let said = served.process.wait_for("the old one stays", START);
    assert!(said.contains("NOT_SET_HERE"), "{said}");

    write(&served.folder, "lines = 3\n");
    served.signal("HUP");
    served
        .process
        .wait_for("staff.reasons_for holds now", START);
    assert_eq!(patients(&served.base).await, StatusCode::OK);
    served.signal("TERM");
    assert_eq!(served.process.finish(START), 0, "SIGTERM is an orderly end");
}

#[tokio::test]
async fn calling_hours_that_an_admin_set_are_said_at_each_reading_of_the_configuration() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Served::store(&folder).await;
    let hours = SetHours {
        department: Some("Cardiology".to_owned()),
        week: Default::default(),
    };
    let set = store.change_hours(&hours, "gang", at(0)).await;
    set.expect("set");
    store.close().await;
    let mut served = Served::on(folder, "");
    let (line, since) = ("calling hours that an admin set hold", at(0).to_string());
    served.signal("HUP");
    let again = served.process.wait_for(line, START);
    let at_start = served.process.said.iter().find(|said| said.contains(line));
    for said in [at_start.expect("said before it serves"), &again] {
        for word in ["Cardiology", "gang", since.as_str()] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

#[tokio::test]
async fn a_full_disk_stops_calls_and_turns_the_health_check_red() {
    let mut served = Served::start("[engine]\ndisk_free_mb = 10000000\n");
    let said = served.process.wait_for("nobody else is called", START);
    assert!(said.contains("disk of the recordings"), "{said}");
    let (status, health) = served.health().await;
    assert_eq!(
        (status, health["code"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("disk_full")),
        "{health}"
    );
}

#[tokio::test]
async fn a_clock_that_the_record_is_ahead_of_turns_it_red() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Served::store(&folder).await;
    calling(&store, "1").await;
    store.close().await;
    let ahead = Timestamp::now() + SignedDuration::from_hours(1);
    let url = format!("sqlite://{}/aftercall.db", folder.path().display());
    let mut connection = AnyConnection::connect(&url).await.expect("it opens");
    let update = format!(
        "update attempt set started_at_ms = {}",
        ahead.as_millisecond()
    );
    connection
        .execute(AssertSqlSafe(update))
        .await
        .expect("changed");
    connection.close().await.expect("closed");
    let served = Served::on(folder, "");
    let (status, health) = served.health().await;
    assert_eq!(
        (status, health["code"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("clock_wrong")),
        "{health}"
    );
}
