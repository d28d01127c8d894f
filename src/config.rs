//! The one configuration file: TOML, every key with a default, unknown keys refused with their line.
//!
//! `aftercall.example.toml` documents each key and holds the defaults; a test keeps it so. Secrets are not
//! in here: a trunk's password comes from the environment.

mod channels;
mod feed;
mod figures;
mod messages;
mod oidc;
mod retention;
mod staff;
mod swap;
mod vault;
mod web;
mod work_orders;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::audit::Sampling;
use aftercall_core::patient::ConsentBasis;
use aftercall_core::plan::{
    Cadence, CadenceDay, CallingPolicy, Caps, DepartmentTerms, HolidayError, Holidays, Minors,
    OnHolidays, PolicyError, Profile, Terms, Window,
};
use aftercall_core::time;
use aftercall_core::work_order::Deadlines;
use jiff::SignedDuration;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use channels::{Channel, Kind};
pub use feed::Feed;
pub use figures::Figures;
pub use messages::Messages;
pub use oidc::{NewAccountsSee, Oidc};
pub use retention::Retention;
pub use staff::Staff;
pub use swap::Swap;
pub use vault::{MasterKey, Vault};
pub use web::Web;
pub use work_orders::WorkOrders;

use crate::channels::NoSecret;
use crate::trunk::config::{HostPort, Telephone};
use crate::trunk::driver::{self, LONGEST_LADDER};

/// Everything a hospital sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of everything that is written; other paths may name it as `{data_dir}`.
    pub data_dir: PathBuf,
    pub database: Database,
    pub web: Web,
    pub hospital: Hospital,
    pub feed: Feed,
    pub calling: Calling,
    pub trunk: Trunk,
    /// The ladder of telephones that are tried when a person is asked for.
    pub on_call: Vec<OnCall>,
    pub ears: Ears,
    pub voice: Voice,
    pub scripts: Scripts,
    pub recordings: Recordings,
    pub work_orders: WorkOrders,
    /// Where events and notices go.
    pub channels: Vec<Channel>,
    /// What patients are written.
    pub messages: Messages,
    pub audit: Audit,
    pub figures: Figures,
    pub staff: Staff,
    pub vault: Vault,
    pub retention: Retention,
    pub engine: Engine,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite://PATH` or `postgres://USER@HOST/NAME`.
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hospital {
    /// With the hospital's own number it makes a patient unique.
    pub id: String,
    /// The approved neutral names: the only words of the hospital spoken before identity.
    pub name_zh: String,
    pub name_en: String,
    /// Spoken at the end of a call and left on voicemail.
    pub callback_number: String,
    /// Spoken instead of 120 (Mandarin) or 911 (English), where the hospital's country has another number.
    pub emergency_number: Option<String>,
    /// Spoken instead of 12356 (Mandarin) or 988 (English) to who thinks of suicide.
    pub crisis_line: Option<String>,
    /// IANA zone of the hospital, and of patients whose record names none.
    pub zone: String,
    /// ISO 3166 code of the country whose telephone numbers need no country code: `CN`, `US`.
    pub country: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calling {
    /// Whose law holds.
    pub law: Profile,
    pub windows: Vec<CallingWindow>,
    /// What a holiday is to the windows.
    pub on_holidays: OnHolidays,
    /// `cn`, a file, or `none`.
    pub holidays: String,
    /// Kinds of consent that are enough.
    pub consent: Vec<ConsentBasis>,
    /// Who is rung for a patient of 14 to 17.
    pub minors: Minors,
    /// How old the word on life, stay and number may be; 0: no limit. `None`: a day where there is a feed.
    pub record_max_age_hours: Option<u32>,
    /// When somebody is there to acknowledge work orders, by the hospital's zone.
    pub duty: Vec<CallingWindow>,
    /// What departments allow less.
    pub departments: Vec<Department>,
    /// Start and end of the noon rest; an empty list where there is none.
    pub noon_rest: Vec<Time>,
    pub per_day: u32,
    pub per_24h: u32,
    pub min_gap_minutes: u32,
    pub max_attempts: u32,
    pub caller_per_hour: u32,
    pub cadence: Vec<Day>,
    /// A voicemail is left the neutral name and the call-back number, after its beep.
    pub voicemail_message: bool,
    /// Numbers that may be called without a patient record on a trunk other than loopback.
    pub numbers_without_record: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallingWindow {
    pub days: Vec<DayName>,
    pub from: Time,
    pub to: Time,
}

/// What a department allows less than the hospital.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Department {
    /// As records have it.
    pub name: String,
    pub windows: Option<Vec<CallingWindow>>,
    pub per_day: Option<u32>,
}

impl CallingWindow {
    /// As the plan has it.
    pub fn window(&self) -> Window {
        Window {
            days: self.days.iter().map(|day| day.weekday()).collect(),
            from: self.from,
            to: self.to,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DayName {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    pub day: u16,
    pub grace_days: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trunk {
    pub file: PathBuf,
    /// Calls at once.
    pub lines: u32,
    /// When the engine stops: how long who talks may talk on.
    pub talk_on_s: u64,
}

/// One telephone of the ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnCall {
    /// As the trunk takes it: an extension, or a mobile's number. Or `sip:6001@pbx.example`, asked itself.
    pub number: String,
    #[serde(default = "twenty")]
    pub ring_s: u64,
}

impl OnCall {
    fn is_sound(&self) -> bool {
        Telephone::parse(&self.number).is_some() && (5..=120).contains(&self.ring_s)
    }
}

fn twenty() -> u64 {
    20
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ears {
    pub model: PathBuf,
    pub workers: usize,
    pub queue: usize,
    pub deadline_ms: u64,
    /// Another machine's ear, asked first; our own hears when it fails.
    pub remote: Option<RemoteEar>,
    /// Listens again to what was said once a call is over.
    pub second: Option<SecondEar>,
}

/// A slower ear for after the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondEar {
    /// A GGML whisper file; a larger one than the first ear's hears more.
    pub model: PathBuf,
    /// Hypotheses that are followed at once.
    #[serde(default = "usual_beam")]
    pub beam: u8,
}

fn usual_beam() -> u8 {
    5
}

/// Whatever answers OpenAI's `/v1/audio/transcriptions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteEar {
    /// `https://HOST/v1`; plain `http` to this machine only, for speech is health data.
    pub url: String,
    pub model: String,
}

impl RemoteEar {
    fn is_private(&self) -> bool {
        is_private(&self.url)
    }
}

/// Whether nobody on the way can read along: https, or this machine.
pub(crate) fn is_private(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let rest = local.iter().find_map(|start| url.strip_prefix(start));
    url.starts_with("https://")
        || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Voice {
    pub engine: VoiceEngine,
    pub model: PathBuf,
    pub voice_zh: PathBuf,
    pub voice_en: PathBuf,
    /// Readings that the site knows better.
    pub lexicon: Option<PathBuf>,
    pub program: String,
    pub speed_zh: u16,
    pub speed_en: u16,
    /// A speech server, and how it calls its model and voices.
    pub url: String,
    pub key_env: Option<String>,
    pub server_model: String,
    /// As the server or the program calls them.
    pub speaker_zh: String,
    pub speaker_en: String,
    /// A program of the site with its arguments.
    pub command: Vec<String>,
    /// Of server and program: 1 as taught.
    pub speed: f32,
    pub timeout_s: u64,
    /// Folder of rendered texts.
    pub rendered: PathBuf,
}

/// What speaks where no recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoiceEngine {
    /// For developers: espeak-ng.
    #[default]
    Espeak,
    Kokoro,
    /// A server that speaks as OpenAI's does.
    Openai,
    Command,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scripts {
    pub dir: PathBuf,
    pub trusted_keys: Vec<TrustedKey>,
}

/// A clinician whose signature lets a script dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    pub clinician: String,
    /// Ed25519, 32 bytes in Base64.
    pub public_key: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recordings {
    pub dir: PathBuf,
    /// The object store that has them in the end; empty: none.
    pub url: String,
}

/// What QA listens to again, drawn at random (`aftercall_core::audit`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Shares from 0 to 1.
    pub share_calls: f64,
    pub share_suppressed: f64,
    pub seed: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Different for each engine on one database: leases carry it, and a restart closes its own calls by it.
    pub name: String,
    /// How long the others wait for a silent engine before they take its steps.
    pub lease_seconds: u32,
    /// Below so much room on a disk that is written to nobody is dialled.
    pub disk_free_mb: u64,
    /// The collector of traces (OTLP over HTTP); empty: none.
    pub traces: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            database: Database::default(),
            web: Web::default(),
            hospital: Hospital::default(),
            feed: Feed::default(),
            calling: Calling::default(),
            trunk: Trunk::default(),
            on_call: Vec::new(),
            ears: Ears::default(),
            voice: Voice::default(),
            scripts: Scripts::default(),
            recordings: Recordings::default(),
            work_orders: WorkOrders::default(),
            channels: Vec::new(),
            messages: Messages::default(),
            audit: Audit::default(),
            figures: Figures::default(),
            staff: Staff::default(),
            vault: Vault::default(),
            retention: Retention::default(),
            engine: Engine::default(),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite://{data_dir}/aftercall.db".to_owned(),
        }
    }
}

impl Default for Hospital {
    fn default() -> Self {
        Self {
            id: "main".to_owned(),
            name_zh: "示范医院".to_owned(),
            name_en: "Demonstration Hospital".to_owned(),
            callback_number: "010-0000-0000".to_owned(),
            emergency_number: None,
            crisis_line: None,
            zone: "Asia/Shanghai".to_owned(),
            country: "CN".to_owned(),
        }
    }
}

impl Default for Calling {
    fn default() -> Self {
        let terms = Terms::default();
        let caps = terms.caps;
        let windows = |windows: Vec<Window>| {
            let window = |window: Window| CallingWindow {
                days: window.days.into_iter().map(DayName::of).collect(),
                from: window.from,
                to: window.to,
            };
            windows.into_iter().map(window).collect()
        };
        let day = |day: CadenceDay| Day {
            day: day.day,
            grace_days: day.grace_days,
        };
        Self {
            law: terms.law,
            windows: windows(terms.windows),
            on_holidays: terms.on_holidays,
            holidays: "cn".to_owned(),
            consent: terms.consent,
            minors: terms.minors,
            record_max_age_hours: None,
            duty: windows(terms.duty),
            departments: Vec::new(),
            noon_rest: vec![CallingPolicy::NOON_REST.0, CallingPolicy::NOON_REST.1],
            per_day: caps.per_day,
            per_24h: caps.per_24h,
            min_gap_minutes: u32::try_from(caps.min_gap.as_secs() / 60).unwrap_or(u32::MAX),
            max_attempts: caps.max_attempts,
            caller_per_hour: caps.caller_per_hour,
            cadence: Cadence::default().0.into_iter().map(day).collect(),
            voicemail_message: false,
            numbers_without_record: Vec::new(),
        }
    }
}

impl Default for Trunk {
    fn default() -> Self {
        Self {
            file: "sip_config/loopback.toml".into(),
            lines: 4,
            talk_on_s: 60,
        }
    }
}

impl Default for Ears {
    fn default() -> Self {
        Self {
            model: "models/ggml-base-q8_0.bin".into(),
            workers: 2,
            queue: 8,
            deadline_ms: 4000,
            remote: None,
            second: None,
        }
    }
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            engine: VoiceEngine::Espeak,
            model: "models/kokoro-82m-int8.onnx".into(),
            voice_zh: "models/zf_xiaoyi.bin".into(),
            voice_en: "models/af_heart.bin".into(),
            lexicon: None,
            program: "espeak-ng".to_owned(),
            speed_zh: 150,
            speed_en: 140,
            url: String::new(),
            key_env: None,
            server_model: "tts-1".to_owned(),
            speaker_zh: String::new(),
            speaker_en: String::new(),
            command: Vec::new(),
            speed: 0.9,
            timeout_s: 60,
            rendered: "{data_dir}/voice".into(),
        }
    }
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            dir: "dialogs".into(),
            trusted_keys: Vec::new(),
        }
    }
}

impl Default for Recordings {
    fn default() -> Self {
        Self {
            dir: "{data_dir}/recordings".into(),
            url: String::new(),
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            share_calls: 0.05,
            share_suppressed: 0.1,
            seed: 1,
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            lease_seconds: 60,
            disk_free_mb: 500,
            traces: String::new(),
        }
    }
}

impl DayName {
    fn of(day: Weekday) -> Self {
        match day {
            Weekday::Monday => DayName::Mon,
            Weekday::Tuesday => DayName::Tue,
            Weekday::Wednesday => DayName::Wed,
            Weekday::Thursday => DayName::Thu,
            Weekday::Friday => DayName::Fri,
            Weekday::Saturday => DayName::Sat,
            Weekday::Sunday => DayName::Sun,
        }
    }

    fn weekday(self) -> Weekday {
        match self {
            DayName::Mon => Weekday::Monday,
            DayName::Tue => Weekday::Tuesday,
            DayName::Wed => Weekday::Wednesday,
            DayName::Thu => Weekday::Thursday,
            DayName::Fri => Weekday::Friday,
            DayName::Sat => Weekday::Saturday,
            DayName::Sun => Weekday::Sunday,
        }
    }
}

/// Why the configuration was refused; each names the file, and the line where one is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: cannot be read; create it from aftercall.example.toml, or leave out --config", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{file}:{line}: {message}{hint}")]
    Syntax {
        file: String,
        line: usize,
        message: String,
        hint: String,
    },
    #[error("{file}:{line}: {key}: {fault}")]
    Value {
        file: String,
        line: usize,
        key: &'static str,
        fault: String,
    },
}

impl Config {
    /// Reads the file that was named; otherwise `aftercall.toml` here, or the defaults where there is none.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn find(named: Option<&Path>) -> Result<Self, ConfigError> {
        let here = Path::new("aftercall.toml");
        match named {
            Some(path) => Self::load(path),
            None if here.exists() => Self::load(here),
            None => Ok(Self::default()),
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, or a value that cannot be used, with its line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads and checks a text; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| syntax(file, text, &error))?;
        let fault = config
            .policy()
            .and_then(|_| config.deadlines())
            .map(|_| ())
            .map_err(|error| (error.key(), error.to_string()));
        fault
            .and_then(|()| config.check())
            .map_err(|(key, fault)| {
                let line = line_of_key(text, key);
                ConfigError::Value {
                    file: file.to_owned(),
                    line,
                    key,
                    fault,
                }
            })?;
        Ok(config)
    }

    /// Hosts of the ladder that a trunk must find.
    pub fn on_call_hosts(&self) -> Vec<HostPort> {
        let rungs = self.on_call.iter();
        let host = |on_call: &OnCall| match Telephone::parse(&on_call.number)? {
            Telephone::Number(_) => None,
            Telephone::Uri { at, .. } => Some(at),
        };
        rungs.filter_map(host).collect()
    }

    /// The ladder as the driver climbs it.
    pub fn on_call(&self) -> Arc<[driver::OnCall]> {
        let rungs = self.on_call.iter().filter_map(|on_call| {
            Some(driver::OnCall {
                to: Telephone::parse(&on_call.number)?,
                ring: Duration::from_secs(on_call.ring_s),
            })
        });
        rungs.collect()
    }

    /// The values that no type holds to their range.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let must = |holds: bool, key: &'static str, fault: &str| {
            if holds {
                Ok(())
            } else {
                Err((key, fault.to_owned()))
            }
        };
        let zone = "is not an IANA time zone; write one such as Asia/Shanghai";
        must(
            time::zone(&self.hospital.zone).is_some(),
            "hospital.zone",
            zone,
        )?;
        let country = &self.hospital.country;
        must(
            country.len() == 2 && country.chars().all(|c| c.is_ascii_uppercase()),
            "hospital.country",
            "is not a country's code (ISO 3166); write CN or US",
        )?;
        self.web.check()?;
        self.feed.check()?;
        must(
            [0, 2].contains(&self.calling.noon_rest.len()),
            "calling.noon_rest",
            "needs a start and an end, or nothing",
        )?;
        must(
            !self.calling.cadence.is_empty(),
            "calling.cadence",
            "is empty, so nobody would be called",
        )?;
        must(
            (1..=1000).contains(&self.trunk.lines),
            "trunk.lines",
            "must be 1 to 1000",
        )?;
        must(
            self.on_call.len() <= LONGEST_LADDER && self.on_call.iter().all(OnCall::is_sound),
            "on_call",
            "must be at most 16 telephones, each with a number and a ring_s of 5 to 120",
        )?;
        must(
            self.trunk.talk_on_s <= 3_600,
            "trunk.talk_on_s",
            "must be 0 to 3600",
        )?;
        must(
            (1..=256).contains(&self.ears.workers),
            "ears.workers",
            "must be 1 to 256",
        )?;
        must(
            (1..=10_000).contains(&self.ears.queue),
            "ears.queue",
            "must be 1 to 10000",
        )?;
        must(
            (500..=30_000).contains(&self.ears.deadline_ms),
            "ears.deadline_ms",
            "must be 500 to 30000",
        )?;
        must(
            self.ears.remote.as_ref().is_none_or(RemoteEar::is_private),
            "ears.remote",
            "must be https, or http to this machine: speech is health data",
        )?;
        let beam = self.ears.second.as_ref().map_or(1, |second| second.beam);
        must(
            (1..=8).contains(&beam),
            "ears.second.beam",
            "must be 1 to 8",
        )?;
        let voice = &self.voice;
        must(
            voice.engine != VoiceEngine::Openai || is_private(&voice.url),
            "voice.url",
            "must be https, or http to this machine, for engine \"openai\": names are personal data",
        )?;
        must(
            voice.engine != VoiceEngine::Command || !voice.command.is_empty(),
            "voice.command",
            "is needed for engine \"command\": the program and its arguments",
        )?;
        must(
            (0.5..=2.0).contains(&voice.speed),
            "voice.speed",
            "must be 0.5 to 2",
        )?;
        must(
            (1..=600).contains(&voice.timeout_s),
            "voice.timeout_s",
            "must be 1 to 600",
        )?;
        let share = "must be 0 to 1, such as 0.05 for one in twenty";
        must(
            (0.0..=1.0).contains(&self.audit.share_calls),
            "audit.share_calls",
            share,
        )?;
        must(
            (0.0..=1.0).contains(&self.audit.share_suppressed),
            "audit.share_suppressed",
            share,
        )?;
        self.staff.check()?;
        self.figures.check()?;
        self.check_vault()?;
        self.retention.check()?;
        if let Some(fault) = channels::fault(&self.channels) {
            return Err(("channels", fault));
        }
        self.messages.check(&self.channels)?;
        must(!self.engine.name.is_empty(), "engine.name", "is empty")?;
        must(
            (10..=3600).contains(&self.engine.lease_seconds),
            "engine.lease_seconds",
            "must be 10 to 3600",
        )?;
        must(
            self.engine.disk_free_mb <= 10_000_000,
            "engine.disk_free_mb",
            "must be 0 to 10000000",
        )
    }

    /// The calling policy, held to the law.
    ///
    /// # Errors
    /// What [`CallingPolicy::new`] refuses, and a holiday file that cannot be read.
    pub fn policy(&self) -> Result<CallingPolicy, CallingError> {
        let calling = &self.calling;
        let windows = |windows: &[CallingWindow]| -> Vec<Window> {
            windows.iter().map(CallingWindow::window).collect()
        };
        let department = |department: &Department| {
            let terms = DepartmentTerms {
                windows: department.windows.as_deref().map(windows),
                per_day: department.per_day,
            };
            (department.name.clone(), terms)
        };
        let terms = Terms {
            law: calling.law,
            windows: windows(&calling.windows),
            noon_rest: match calling.noon_rest.as_slice() {
                [from, to] => Some((*from, *to)),
                _ => None,
            },
            on_holidays: calling.on_holidays,
            holidays: self.holidays()?,
            caps: Caps {
                per_day: calling.per_day,
                per_24h: calling.per_24h,
                min_gap: Duration::from_secs(u64::from(calling.min_gap_minutes) * 60),
                max_attempts: calling.max_attempts,
                caller_per_hour: calling.caller_per_hour,
            },
            consent: calling.consent.clone(),
            departments: calling.departments.iter().map(department).collect(),
            minors: calling.minors,
            record_max_age: self.record_max_age(),
            duty: windows(&calling.duty),
            zone: self.zone(),
        };
        Ok(CallingPolicy::new(&terms)?)
    }

    fn record_max_age(&self) -> Option<SignedDuration> {
        let usual = if self.feed.is_on() { 24 } else { 0 };
        let hours = self.calling.record_max_age_hours.unwrap_or(usual);
        (hours > 0).then(|| SignedDuration::from_hours(hours.into()))
    }

    fn holidays(&self) -> Result<Option<Holidays>, CallingError> {
        let text = match self.calling.holidays.as_str() {
            "none" => return Ok(None),
            "cn" => Holidays::CN.to_owned(),
            path => fs::read_to_string(path).map_err(|source| CallingError::HolidayFile {
                path: path.into(),
                source,
            })?,
        };
        Ok(Some(Holidays::parse(&text)?))
    }

    pub fn cadence(&self) -> Cadence {
        let day = |day: &Day| CadenceDay {
            day: day.day,
            grace_days: day.grace_days,
        };
        Cadence(self.calling.cadence.iter().map(day).collect())
    }

    /// Whom orders are told to, and when; `Config::parse` has refused what cannot be.
    ///
    /// # Errors
    /// As [`Config::policy`].
    pub fn deadlines(&self) -> Result<Deadlines, CallingError> {
        let deadlines = self.work_orders.deadlines(self.zone(), self.holidays()?);
        deadlines.map_err(|(key, fault)| CallingError::WorkOrders { key, fault })
    }

    /// How the audit sample is drawn.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            share_calls: self.audit.share_calls,
            share_suppressed: self.audit.share_suppressed,
            seed: self.audit.seed.into(),
        }
    }

    /// The hospital's zone; `Config::parse` has checked that it is known.
    pub fn zone(&self) -> TimeZone {
        time::zone(&self.hospital.zone).unwrap_or(TimeZone::UTC)
    }

    /// The database's address with `{data_dir}` filled in.
    pub fn database_url(&self) -> String {
        self.database
            .url
            .replace("{data_dir}", &self.data_dir.display().to_string())
    }

    /// Folders that are written to, and what each holds. PostgreSQL's is not ours to see.
    pub fn disks(&self) -> Vec<(&'static str, PathBuf)> {
        let mut disks = vec![("recordings", self.recordings_dir())];
        if let Some(rest) = self.database_url().strip_prefix("sqlite:") {
            let path = rest.trim_start_matches("//");
            let path = path.split('?').next().unwrap_or(path);
            disks.push(("database", PathBuf::from(path)));
        }
        disks
    }

    pub fn recordings_dir(&self) -> PathBuf {
        self.in_data_dir(&self.recordings.dir)
    }

    /// Where rendered speech is kept.
    pub fn rendered_dir(&self) -> PathBuf {
        self.in_data_dir(&self.voice.rendered)
    }

    fn in_data_dir(&self, dir: &Path) -> PathBuf {
        let dir = dir.display().to_string();
        dir.replace("{data_dir}", &self.data_dir.display().to_string())
            .into()
    }
}

/// Why no rules came of `[calling]`, `[work_orders]` and `channels`.
#[derive(Debug, thiserror::Error)]
pub enum CallingError {
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("{}: cannot be read; write \"cn\", \"none\" or the path of a holiday file", path.display())]
    HolidayFile { path: PathBuf, source: io::Error },
    #[error("the holiday file: {0}")]
    Holidays(#[from] HolidayError),
    #[error("{fault}")]
    WorkOrders { key: &'static str, fault: String },
    #[error(transparent)]
    Channels(#[from] NoSecret),
}

impl CallingError {
    /// The key that is at fault.
    fn key(&self) -> &'static str {
        let policy = match self {
            CallingError::Policy(policy) => policy,
            CallingError::HolidayFile { .. } | CallingError::Holidays(_) => {
                return "calling.holidays";
            }
            CallingError::WorkOrders { key, .. } => return key,
            CallingError::Channels(_) => return "channels",
        };
        match policy {
            PolicyError::Backwards { .. }
            | PolicyError::OutsideLaw { .. }
            | PolicyError::NoDay
            | PolicyError::NeverOpen => "calling.windows",
            PolicyError::NoConsent(_) => "calling.consent",
            PolicyError::NoDuty => "calling.duty",
            PolicyError::Department { .. } => "calling.departments",
            PolicyError::Range {
                what: "per_day", ..
            } => "calling.per_day",
            PolicyError::Range {
                what: "per_24h", ..
            } => "calling.per_24h",
            PolicyError::Range {
                what: "max_attempts",
                ..
            } => "calling.max_attempts",
            PolicyError::Range {
                what: "caller_per_hour",
                ..
            } => "calling.caller_per_hour",
            PolicyError::Range { .. } => "calling.min_gap_minutes",
        }
    }
}

fn syntax(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    ConfigError::Syntax {
        file: file.to_owned(),
        line,
        hint: hint(&message),
        message,
    }
}

/// "did you mean …" for an unknown key: the names serde expected stand in its message between backquotes.
fn hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown ") {
        return String::new();
    }
    let Some(found) = quoted.next() else {
        return String::new();
    };
    let nearest = quoted
        .map(|known| (strsim::damerau_levenshtein(found, known), known))
        .min();
    match nearest {
        Some((distance, known)) if distance <= 3 => format!("; did you mean `{known}`?"),
        Some(_) | None => "; every key is in aftercall.example.toml".to_owned(),
    }
}

/// The line of a dotted key such as `calling.windows`; of its section where it is not set.
fn line_of_key(text: &str, key: &str) -> usize {
    let Ok(table) = toml::de::DeTable::parse(text) else {
        return 1;
    };
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    let Some((found, value)) = table.get_ref().get_key_value(section) else {
        return 1;
    };
    let inner = value
        .get_ref()
        .as_table()
        .and_then(|table| table.get_key_value(name));
    line_at(
        text,
        inner.map_or(found.span().start, |(found, _)| found.span().start),
    )
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Config;

    const EXAMPLE: &str = include_str!("../aftercall.example.toml");

    #[test]
    fn the_example_holds_the_defaults() {
        assert_eq!(
            Config::parse("example", EXAMPLE).expect("the example parses"),
            Config::default()
        );
    }

    #[test]
    fn the_example_names_every_key() {
        let example: toml::Table = toml::from_str(EXAMPLE).expect("the example parses");
        let all = toml::Table::try_from(Config::default()).expect("defaults serialise");
        assert_eq!(keys("", &example), keys("", &all));
    }

    fn keys(prefix: &str, table: &toml::Table) -> BTreeSet<String> {
        let below = |(key, value): (&String, &toml::Value)| match value {
            toml::Value::Table(table) => keys(&format!("{prefix}{key}."), table),
            _ => BTreeSet::from([format!("{prefix}{key}")]),
        };
        table.iter().flat_map(below).collect()
    }

    #[test]
    fn an_unknown_key_is_refused_with_line_and_hint() {
        let error = Config::parse("a.toml", "data_dir = \"x\"\n[trunk]\nlinse = 3\n")
            .expect_err("a typing error");
        assert!(
            error
                .to_string()
                .starts_with("a.toml:3: unknown field `linse`"),
            "{error}"
        );
        assert!(
            error.to_string().ends_with("did you mean `lines`?"),
            "{error}"
        );
    }

    #[test]
    fn a_window_outside_the_law_is_refused_with_its_line() {
        let text = "[calling]\nper_day = 2\nwindows = [{ days = [\"mon\"], from = \"07:00\", to = \"12:00\" }]\n";
        let error = Config::parse("a.toml", text)
            .expect_err("seven is too early")
            .to_string();
        assert!(
            error.starts_with("a.toml:3: calling.windows: a window 07:00"),
            "{error}"
        );
        let error = Config::parse("a.toml", "\n[calling]\n\nper_day = 9\n")
            .expect_err("nine rings")
            .to_string();
        assert!(error.starts_with("a.toml:4: calling.per_day"), "{error}");
    }

    #[test]
    fn a_share_that_is_none_is_refused_with_its_line() {
        for (text, key) in [
            ("[audit]\nshare_calls = 5.0\n", "audit.share_calls"),
            (
                "[audit]\nshare_suppressed = -0.1\n",
                "audit.share_suppressed",
            ),
            (
                "[audit]\nshare_suppressed = nan\n",
                "audit.share_suppressed",
            ),
        ] {
            let error = Config::parse("a.toml", text).expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("a.toml:2: {key}: must be 0 to 1")),
                "{error}"
            );
        }
        let whole =
            Config::parse("a.toml", "[audit]\nshare_calls = 1.0\nseed = 9\n").expect("a good file");
        let sampling = whole.sampling();
        assert!(sampling.share_calls >= 1.0 && sampling.seed == 9);
    }

    #[test]
    fn paths_follow_the_data_folder() {
        let config = Config::parse("a.toml", "data_dir = \"/srv/a\"").expect("a good file");
        assert_eq!(config.database_url(), "sqlite:///srv/a/aftercall.db");
        assert_eq!(
            config.recordings_dir().display().to_string(),
            "/srv/a/recordings"
        );
    }
}
