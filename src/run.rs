//! Builds everything, spawns every task, owns shutdown: the one file that knows all modules.

use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aftercall_core::attempt::CallRecord;
use aftercall_core::call::CallEvent;
use aftercall_core::id::AttemptId;
use aftercall_core::patient::Patient;
use aftercall_core::plan::{Capacity, Pace};
use aftercall_core::script::{Facts, Note, Script};
use aftercall_core::signature::TrustedKey;
use aftercall_core::sip::dialog::DialogSnapshot;
use aftercall_core::time::Timestamp;
use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::channels::{Channels, Telephone};
use crate::config::{self, Config, Swap, VoiceEngine};
use crate::facts::{facts_of, render, render_prompts};
use crate::feed;
use crate::health::Health;
use crate::jobs::dial::{Lines, ToDial};
use crate::jobs::hand_over::HandOver;
use crate::jobs::listen_again::Listener;
use crate::jobs::messages::Messages;
use crate::jobs::record::{Report as Recorded, Stored, Told as Record};
use crate::jobs::{self, Clinic, PlanClock, Rules, RulesNow};
use crate::library::{InForce, Library, trusted_keys};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::pathways;
use crate::reception::{Reception, Rung};
use crate::recording::Recordings;
use crate::review_forms;
use crate::spans::Spans;
use crate::speech::command::CommandConfig;
use crate::speech::ears::{Ears, EarsConfig};
use crate::speech::espeak::EspeakConfig;
use crate::speech::kokoro::KokoroConfig;
use crate::speech::openai::OpenAiConfig;
use crate::speech::remote::RemoteConfig;
use crate::speech::voice::{Engine as VoiceOf, Voice, VoiceConfig};
use crate::sso::Sso;
use crate::store::script::ScriptVersion;
use crate::store::{Store, StoreError};
use crate::trunk::config::Trunk;
use crate::trunk::descriptors;
use crate::trunk::driver::{Command, Driver, Report, StartCall, Told};
use crate::trunk::pulse::{Delay, Pulse};
use crate::vault::{DataKey, Source};
use crate::web::{self, Listening};

/// How often is looked whether the ears keep up.
const WATCH: Duration = Duration::from_millis(250);
/// How often is looked whether a script was published or taken back. Nobody is dialled until it is read.
const PUBLISHED: Duration = Duration::from_millis(500);

/// What the demo's table watches: health data, so for its terminal only.
#[derive(Debug)]
pub enum Seen {
    Dialled(Box<ToDial>),
    Event(AttemptId, CallEvent),
    NotStarted(AttemptId, String),
}

/// A running engine.
pub struct Engine {
    pub store: Store,
    pub rules: Rules,
    /// What may be said, and of which publications it was made.
    pub in_force: watch::Receiver<Arc<InForce>>,
    /// Where the API answers.
    pub api: std::net::SocketAddr,
    pub https: bool,
    /// Where the hospital's bus is heard.
    pub feed: Option<std::net::SocketAddr>,
    /// Nobody is dialled any more.
    hold_calls: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    /// How long talk may go on when the engine stops.
    patience: Duration,
    dialling: Vec<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    driver: Arc<Driver>,
    recorder: JoinHandle<()>,
    pulse: Arc<Pulse>,
    swapper: Arc<Swapper>,
}

impl Engine {
    /// Opens the store, closes what a crash left, and only then dials.
    ///
    /// # Errors
    /// Anything that keeps the engine from being safe to run: configuration, trunk, scripts, model, database, ports.
    pub async fn start(
        config: &Config,
        clock: PlanClock,
        seen: Option<mpsc::UnboundedSender<Seen>>,
    ) -> anyhow::Result<Engine> {
        let mut trunk = Trunk::load(&config.trunk.file)?;
        trunk.elsewhere = config.on_call_hosts();
        trunk.answers = true;
        let at_once = usize::try_from(config.trunk.lines).unwrap_or(usize::MAX);
        descriptors::provide(at_once.min(trunk.lines))?;
        let keys = trusted_keys(&config.scripts, trunk.is_loopback())?;
        let store = open_store(config).await?;
        unlock(&store, config).await?;
        let dialogs = Dialogs {
            store: store.clone(),
            dir: config.scripts.dir.clone(),
            keys,
            zone: config.zone(),
        };
        let in_force = dialogs.read().await?;
        let library = Arc::clone(&in_force.library);
        let voice = Arc::new(Voice::new(voice_config(config)));
        let content = Content {
            clock,
            clinic: Arc::new(library.clinic()),
            trunk: trunk.clone(),
            voice: Arc::clone(&voice),
        };
        let rules = content.rules(config)?;
        put_on_record(&store, &library, &rules).await?;
        jobs::windows::log_set_hours(&store).await?;
        let interrupted = jobs::recover::at_start(&store, &rules).await?;

        let ears = Arc::new(start_ears(config)?);
        let recordings = Recordings::of(config)?;
        let kept = (store.clone(), rules.clone(), recordings.clone());
        let again = config.ears.second.as_ref();
        let again = again
            .map(|ear| Listener::new(ear, kept, Arc::clone(&ears)))
            .transpose()?;
        let (room, has_room) = watch::channel(true);
        let at_most = config
            .trunk
            .lines
            .min(u32::try_from(trunk.lines).unwrap_or(u32::MAX));
        let mut lines = Lines {
            trunk: trunk.name.clone(),
            lines: at_most,
            pace: Pace::new(trunk.calls_per_second),
            callers: trunk.caller.ids.clone(),
            zone: config.zone(),
            scripts: library.signed_scripts(),
            published: in_force.published.clone(),
            has_room,
            capacity: Capacity::new(at_most),
            pulse: Arc::default(),
            reach: None,
        };
        if lines.scripts.is_empty() {
            warn!(
                "no script may dial on trunk {}: every step waits",
                trunk.name
            );
        }
        let trunk_name = trunk.name.clone();
        let (reports, told) = mpsc::unbounded_channel();
        let driver = Arc::new(Driver::start(
            trunk,
            Arc::clone(&ears),
            Arc::clone(&voice),
            Some(recordings.clone()),
            reports,
        )?);
        for dialog in interrupted
            .iter()
            .filter_map(|attempt| attempt.dialog.as_deref())
        {
            say_goodbye(&driver, dialog);
        }

        let pulse = driver.pulse();
        lines.pulse = Arc::clone(&pulse);
        let metrics = Arc::new(Metrics::of_engine(Arc::clone(&pulse), Arc::clone(&ears)));
        let health = Arc::new(Health::new(
            config.disks(),
            config.engine.disk_free_mb.saturating_mul(1_000_000),
            Arc::clone(&pulse),
            Arc::clone(&ears),
        ));
        let (swap_rules, rules_now) = RulesNow::swapped_by(rules.clone());
        let (swap_config, config_now) = watch::channel(Arc::new(config.clone()));
        let (stop, stopping) = watch::channel(false);
        let (hold_calls, holding) = watch::channel(false);
        let (to_record, records) = mpsc::unbounded_channel();
        let (to_acknowledge, stored) = mpsc::unbounded_channel();
        let recorder = tokio::spawn(jobs::record::run(
            store.clone(),
            rules_now.clone(),
            records,
            to_acknowledge,
            Spans::open(&config.engine.traces, &config.engine.name).context("engine.traces")?,
        ));
        tokio::spawn(acknowledge(stored, driver.commands()));
        let (to_dial, dialled) = mpsc::channel(1);
        let (put_in_force, in_force) = watch::channel(Arc::new(in_force));
        let follows = in_force.clone();
        let (to_reception, rung) = mpsc::unbounded_channel();
        let reception = Reception {
            config: config_now.clone(),
            store: store.clone(),
            rules: rules_now.clone(),
            trunk: trunk_name,
            in_force: in_force.clone(),
            voice: Arc::clone(&voice),
            commands: driver.commands(),
            metrics: Arc::clone(&metrics),
        };
        let caller = Caller {
            config: config_now,
            store: store.clone(),
            rules: rules_now.clone(),
            in_force: in_force.clone(),
            voice: Arc::clone(&voice),
            driver: Arc::clone(&driver),
            to_record: to_record.clone(),
            metrics: Arc::clone(&metrics),
            seen: seen.clone(),
        };
        let head_key = jobs::audit_head::key_from_environment()?;
        let listening = Listening::open(&config.web).await?;
        let (api, https) = (listening.address()?, listening.is_https());
        let pathways = pathways::load(&config.scripts.dir, config.cadence())?;
        let (bus, heard_at) = match config.feed.is_on() {
            true => {
                let bus = feed::Listener::bind(&config.feed).await?;
                let at = bus.address()?;
                info!(feed = %at, "the hospital's bus is heard");
                (Some(bus), Some(at))
            }
            false => (None, None),
        };
        let hand_over = HandOver {
            store: store.clone(),
            rules: rules.clone(),
            recordings: recordings.clone(),
        };
        let keeper = jobs::retention::Keeper {
            store: store.clone(),
            rules: rules.clone(),
            recordings: recordings.clone(),
            retention: config.retention,
            journal: config.journal(),
        };
        let state = web::AppState::new(
            store.clone(),
            recordings,
            Arc::clone(&metrics),
            config,
            (pathways, review_forms::load(&config.scripts.dir)?),
            &rules,
            Arc::clone(&health),
        );
        let sso = config.web.oidc.as_ref().map(Sso::load).transpose()?;
        let state = state.with_sso(sso);
        let places = config.web.listen_in();
        let monitor = places.map(|places| Monitor::start(places, &driver));
        let monitor = monitor.transpose()?;
        let state = state.with_monitor(monitor.clone());
        let fed = Arc::clone(&state.feed);
        let (swap_routes, routes) = web::swappable(web::router(state.clone()));
        let dialling = vec![
            tokio::spawn(jobs::dial::run(
                store.clone(),
                rules_now.clone(),
                lines,
                in_force,
                to_dial,
                holding,
            )),
            tokio::spawn(caller.run(dialled)),
        ];
        let heard = bus.map(|bus| tokio::spawn(bus.run(fed, stopping.clone())));
        let mut tasks = vec![
            tokio::spawn(relay(told, to_record, to_reception, metrics, seen)),
            tokio::spawn(reception.run(rung)),
            tokio::spawn(jobs::recover::run(
                store.clone(),
                rules_now.clone(),
                stopping.clone(),
            )),
            tokio::spawn(jobs::escalate::run(
                store.clone(),
                rules_now.clone(),
                stopping.clone(),
            )),
            tokio::spawn(jobs::errands::run(
                store.clone(),
                rules_now.clone(),
                stopping.clone(),
            )),
            tokio::spawn(jobs::messages::run(
                store.clone(),
                rules_now.clone(),
                stopping.clone(),
            )),
            tokio::spawn(jobs::notify::run(
                store.clone(),
                rules_now.clone(),
                stopping.clone(),
            )),
            tokio::spawn(jobs::audit_head::run(
                store.clone(),
                rules_now.clone(),
                head_key,
                stopping.clone(),
            )),
            tokio::spawn(keeper.run(stopping.clone())),
            tokio::spawn(hand_over.run(stopping.clone())),
            tokio::spawn(watch_health(ears, health, room, stopping.clone())),
            tokio::spawn(let_pages_go(state.changes.clone(), stopping.clone())),
            tokio::spawn(listening.serve(routes, stopping)),
        ];
        tasks.extend(heard);
        if let Some(monitor) = monitor {
            let (store, stopping) = (store.clone(), stop.subscribe());
            tasks.push(tokio::spawn(web::listen_in::watch(
                store, monitor, stopping,
            )));
        }
        if let Some(again) = again {
            tasks.push(tokio::spawn(again.run(stop.subscribe())));
        }
        let swapper = Arc::new(Swapper {
            content: Mutex::new(content),
            state,
            rules: swap_rules,
            config: swap_config,
            routes: swap_routes,
        });
        let follower = Follower {
            dialogs,
            voice,
            swapper: Arc::clone(&swapper),
            in_force: put_in_force,
        };
        tasks.push(tokio::spawn(follower.run(stop.subscribe())));
        info!(%api, "aftercall runs");
        Ok(Engine {
            store,
            rules,
            in_force: follows,
            api,
            https,
            feed: heard_at,
            hold_calls,
            stop,
            patience: Duration::from_secs(config.trunk.talk_on_s),
            dialling,
            tasks,
            driver,
            recorder,
            pulse,
            swapper,
        })
    }

    /// Puts a new configuration in force, as far as that can be while calls are made, and says what.
    ///
    /// # Errors
    /// When no rules come of it: then everything stays as it was.
    pub fn swap(&self, new: Config) -> anyhow::Result<Swap> {
        self.swapper.swap(new)
    }

    /// From the end of an utterance to its finding and order on disk: the last of them, the shortest first.
    pub fn durable_delays(&self) -> Vec<Delay> {
        self.pulse.durable_delays()
    }

    /// Ends talk at once when [`Engine::stop`] waits for it: for a second signal.
    pub fn hurry(&self) -> impl FnOnce() + Send + 'static {
        let commands = self.driver.commands();
        move || {
            let patience = Duration::ZERO;
            if commands.send(Command::Shutdown { patience }).is_err() {
                info!("the media thread has ended already");
            }
        }
    }

    /// Dials nobody any more, cancels what rings, lets talk go on for a while, commits what was told.
    ///
    /// The API and the nurses' notices go on until the last call has ended.
    pub async fn stop(self) {
        if self.hold_calls.send(true).is_err() {
            warn!("dialling had ended before the engine was stopped");
        }
        let patience = self.patience;
        self.driver.send(Command::Shutdown { patience });
        wait_for(self.dialling).await;
        if let Ok(driver) = Arc::try_unwrap(self.driver)
            && tokio::task::spawn_blocking(move || driver.shut_down(patience))
                .await
                .is_err()
        {
            error!("the media thread could not be waited for");
        }
        if self.stop.send(true).is_err() {
            warn!("every task had ended before the engine was stopped");
        }
        wait_for(self.tasks).await;
        if let Err(error) = self.recorder.await {
            error!(%error, "the recorder panicked");
        }
        self.store.close().await;
    }
}

async fn wait_for(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        if let Err(error) = task.await {
            error!(%error, "a task panicked");
        }
    }
}

/// Nobody is called whose words could not be kept; a key that is made now is told of.
async fn unlock(store: &Store, config: &Config) -> anyhow::Result<()> {
    let source = config.master_key().bare();
    let was_there = match &source {
        Source::File(path) => path.exists(),
        _ => true,
    };
    let id = store.unlock().await?;
    let place = source.place();
    if was_there {
        info!("master key {id}, from {place}");
    } else {
        warn!("a master key was made, {id}: copy {place} to a place apart from the data");
    }
    Ok(())
}

/// Opens the database, making the data folder first.
///
/// # Errors
/// When the folder cannot be made or the database refuses.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    std::fs::create_dir_all(&config.data_dir).with_context(|| {
        format!(
            "{}: the data folder cannot be made",
            config.data_dir.display()
        )
    })?;
    Ok(Store::open(&config.database_url(), &config.master_key()).await?)
}

/// Starts the recogniser of a configuration.
///
/// # Errors
/// When the model is missing or cannot be used.
pub fn start_ears(config: &Config) -> anyhow::Result<Ears> {
    Ok(Ears::start(EarsConfig {
        model: config.ears.model.clone(),
        workers: config.ears.workers,
        queue: config.ears.queue,
        deadline: Duration::from_millis(config.ears.deadline_ms),
        remote: remote_ear(&config.ears),
    })?)
}

/// The other machine's ear of a configuration; its token comes from the environment.
fn remote_ear(ears: &config::Ears) -> Option<RemoteConfig> {
    let remote = ears.remote.as_ref()?;
    Some(RemoteConfig {
        url: remote.url.clone(),
        model: remote.model.clone(),
        key: std::env::var("AFTERCALL_EARS_KEY").ok(),
    })
}

/// The voice of a configuration.
pub fn voice_config(config: &Config) -> VoiceConfig {
    let voice = config.voice.clone();
    let timeout = Duration::from_secs(voice.timeout_s);
    let engine = match voice.engine {
        VoiceEngine::Espeak => VoiceOf::Espeak(EspeakConfig {
            program: voice.program,
            speed_zh: voice.speed_zh,
            speed_en: voice.speed_en,
            ..EspeakConfig::default()
        }),
        VoiceEngine::Kokoro => VoiceOf::Kokoro(KokoroConfig {
            model: voice.model,
            voice_zh: voice.voice_zh,
            voice_en: voice.voice_en,
            lexicon: voice.lexicon,
        }),
        VoiceEngine::Openai => VoiceOf::OpenAi(OpenAiConfig {
            url: voice.url,
            key_env: voice.key_env,
            model: voice.server_model,
            voice_zh: voice.speaker_zh,
            voice_en: voice.speaker_en,
            speed: voice.speed,
            timeout,
        }),
        VoiceEngine::Command => VoiceOf::Command(CommandConfig {
            command: voice.command,
            voice_zh: voice.speaker_zh,
            voice_en: voice.speaker_en,
            speed: voice.speed,
            timeout,
        }),
    };
    VoiceConfig {
        engine,
        rendered: Some(config.rendered_dir()),
    }
}

/// What is left out of a library, and that what is not may be said, for the log and the record.
async fn put_on_record(store: &Store, library: &Library, rules: &Rules) -> anyhow::Result<()> {
    library.log_what_is_left_out();
    publish(store, library, rules).await?;
    audit_demo_key(store, library, rules).await
}

/// `dialogs/` seeds the published versions, which are immutable rows.
async fn publish(store: &Store, library: &Library, rules: &Rules) -> anyhow::Result<()> {
    let now = rules.clock.now();
    for script in &library.scripts {
        let signature = script
            .signature
            .as_ref()
            .map(serde_json::to_string)
            .transpose()?;
        let version = ScriptVersion {
            id: script.id.clone(),
            version: script.revision.to_string(),
            langs: "en,zh".to_owned(),
            hash: script.hash.clone(),
            content: script.content.clone(),
            signature,
            published_by: script
                .signature
                .as_ref()
                .map_or_else(String::new, |signature| signature.clinician.clone()),
            published_at: now,
        };
        store.publish_script(&version).await.with_context(|| {
            format!(
                "script `{}` revision {} was published with other words; raise its revision",
                script.id, script.revision
            )
        })?;
    }
    Ok(())
}

/// That the demo's key let scripts dial, on the loopback trunk, is on record.
async fn audit_demo_key(store: &Store, library: &Library, rules: &Rules) -> anyhow::Result<()> {
    for script in &library.demo_signed {
        let now = rules.clock.now();
        store
            .audit(
                &rules.engine,
                "demo_key_accepted",
                script,
                "loopback trunk",
                now,
            )
            .await?;
    }
    Ok(())
}

/// What callees see.
fn shown(trunk: &Trunk) -> Vec<String> {
    let ids = trunk.caller.ids.iter();
    ids.map(|id| id.user.clone()).collect()
}

fn say_goodbye(driver: &Driver, dialog: &str) {
    match serde_json::from_str::<DialogSnapshot>(dialog) {
        Ok(snapshot) => {
            for farewell in snapshot.farewells() {
                driver.send(Command::Farewell(farewell));
            }
        }
        Err(error) => warn!(%error, "a stored dialog cannot be read; its far end hears no BYE"),
    }
}

/// What rules are made of beside the configuration, and what stays while the engine runs.
struct Content {
    clock: PlanClock,
    clinic: Arc<Clinic>,
    trunk: Trunk,
    voice: Arc<Voice>,
}

impl Content {
    fn rules(&self, config: &Config) -> anyhow::Result<Rules> {
        let mut rules = Rules::of(config, self.clock, Arc::clone(&self.clinic))?;
        let trunk = &self.trunk;
        rules.policy = rules.policy.on_trunk(&trunk.name, trunk.hours.clone());
        let telephone = Telephone::new(trunk, Arc::clone(&self.voice));
        rules.channels = Arc::new(Channels::load(config)?.with_telephone(telephone));
        rules.messages = Arc::new(Messages {
            callers: shown(&self.trunk),
            ..Messages::of(config)
        });
        Ok(rules)
    }
}

/// Everything that learns of a new configuration.
struct Swapper {
    /// Locked while anything is swapped.
    content: Mutex<Content>,
    state: web::AppState,
    rules: watch::Sender<Arc<Rules>>,
    config: watch::Sender<Arc<Config>>,
    routes: watch::Sender<axum::Router>,
}

impl Swapper {
    fn swap(&self, new: Config) -> anyhow::Result<Swap> {
        let content = self.content();
        let swap = self.config.borrow().swap(new);
        let rules = content.rules(&swap.config)?;
        self.put(&swap.config, rules);
        self.config.send_replace(Arc::new(swap.config.clone()));
        Ok(swap)
    }

    /// Orders are raised by the packs of the scripts that are in force.
    fn take(&self, library: &Library) -> anyhow::Result<()> {
        let mut content = self.content();
        content.clinic = Arc::new(library.clinic());
        let config = Arc::clone(&self.config.borrow());
        let rules = content.rules(&config)?;
        self.put(&config, rules);
        Ok(())
    }

    fn put(&self, config: &Config, rules: Rules) {
        let state = self.state.under(config, &rules);
        drop(self.routes.send_replace(web::router(state)));
        self.rules.send_replace(Arc::new(rules));
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Rules are made of it whole or not at all.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where scripts come from.
struct Dialogs {
    store: Store,
    dir: PathBuf,
    keys: Vec<TrustedKey>,
    zone: TimeZone,
}

impl Dialogs {
    /// The folder, with what was put in force laid over it.
    async fn read(&self) -> anyhow::Result<InForce> {
        // First: what is published while the rest is read shows as another number.
        let published = self.store.published().await?;
        let drafts = self.store.drafts_in_force().await?;
        let today = Timestamp::now().to_zoned(self.zone.clone()).date();
        let (dir, keys) = (self.dir.clone(), self.keys.clone());
        let loaded =
            tokio::task::spawn_blocking(move || Library::load_with(&dir, &drafts, &keys, today));
        Ok(InForce {
            published,
            library: Arc::new(loaded.await??),
        })
    }
}

/// Puts in force what is published while the engine runs. A call in progress keeps the script that it began with.
struct Follower {
    dialogs: Dialogs,
    voice: Arc<Voice>,
    swapper: Arc<Swapper>,
    in_force: watch::Sender<Arc<InForce>>,
}

impl Follower {
    async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut failed = None;
        while jobs::next_round(PUBLISHED, &mut stopping).await {
            let store = &self.dialogs.store;
            let Ok(published) = store.answered(store.published()).await else {
                // Then nobody is dialled either; the dial loop says so.
                continue;
            };
            if published == self.in_force.borrow().published {
                continue;
            }
            match self.follow().await {
                Ok(()) => info!("the scripts that were published last are in force"),
                Err(error) if failed.as_ref() != Some(&published) => {
                    error!(
                        "what was published cannot be put in force, and nobody is dialled: {error:#}"
                    );
                    failed = Some(published);
                }
                Err(_) => {}
            }
        }
    }

    async fn follow(&self) -> anyhow::Result<()> {
        let new = self.dialogs.read().await?;
        let rules = Arc::clone(&self.swapper.rules.borrow());
        put_on_record(&self.dialogs.store, &new.library, &rules).await?;
        let before = Arc::clone(&self.in_force.borrow().library);
        let is_known = |script: &Script| before.scripts.iter().any(|one| one.hash == script.hash);
        for script in new.library.scripts.iter().filter(|one| !is_known(one)) {
            render_prompts(&self.voice, &new.library.kit.prompts, script).await?;
        }
        self.swapper.take(&new.library)?;
        self.in_force.send_replace(Arc::new(new));
        Ok(())
    }
}

/// Turns permissions to dial into calls.
struct Caller {
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    rules: RulesNow,
    in_force: watch::Receiver<Arc<InForce>>,
    voice: Arc<Voice>,
    driver: Arc<Driver>,
    to_record: mpsc::UnboundedSender<Recorded>,
    metrics: Arc<Metrics>,
    seen: Option<mpsc::UnboundedSender<Seen>>,
}

impl Caller {
    async fn run(self, mut calls: mpsc::Receiver<ToDial>) {
        while let Some(call) = calls.recv().await {
            let attempt = call.attempt.clone();
            if let Err(error) = self.start(call).await {
                error!(attempt.id = %attempt, "not dialled: {error:#}");
                let report = Recorded {
                    attempt,
                    what: Record::NotStarted,
                };
                if self.to_record.send(report).is_err() {
                    error!("the recorder has ended");
                }
            }
        }
    }

    async fn start(&self, call: ToDial) -> anyhow::Result<()> {
        let config = Arc::clone(&self.config.borrow());
        let rules = self.rules.get();
        let today = Timestamp::now().to_zoned(config.zone()).date();
        let library = Arc::clone(&self.in_force.borrow().library);
        let script = library.script(&call.step.script, call.patient.lang, today)?;
        if script.hash != call.script_hash {
            bail!("another version of `{}` was put in force", script.id);
        }
        let whom = (&call.patient, &call.episode, &call.step);
        let facts = Facts {
            earlier: call.earlier.clone(),
            ..facts_of(&config, &self.store, &rules, whom).await?
        };
        let prompts = &library.kit.prompts;
        render(&self.voice, prompts, &script, &facts, Vec::new()).await?;
        let record = recording_key(&self.store, &call.attempt, &call.patient).await?;
        let start = StartCall {
            attempt: call.attempt.clone(),
            number: call.order.number.clone(),
            caller: Some(call.caller.clone()),
            script,
            kit: Arc::clone(&library.kit),
            facts,
            record,
            leaves_message: config.calling.voicemail_message,
            on_call: config.on_call(),
        };
        if let Some(seen) = &self.seen
            && seen.send(Seen::Dialled(Box::new(call))).is_err()
        {
            info!("nobody watches any more");
        }
        self.metrics.calls_dialled.inc();
        self.metrics.calls_live.inc();
        self.driver.start_call(start);
        Ok(())
    }
}

/// What a patient's recording is encrypted by, where she agreed to one.
///
/// # Errors
/// When there is no master key, or hers was destroyed.
pub(crate) async fn recording_key(
    store: &Store,
    attempt: &AttemptId,
    patient: &Patient,
) -> Result<Option<DataKey>, StoreError> {
    if !patient.consent.recording {
        return Ok(None);
    }
    match store.recording_key(attempt).await {
        Ok(key) => Ok(Some(key)),
        // Her recordings were destroyed; she is called all the same.
        Err(StoreError::Destroyed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Holds the dial loop while those that talk already are answered late, and while clock or disk is in doubt.
async fn watch_health(
    ears: Arc<Ears>,
    health: Arc<Health>,
    room: watch::Sender<bool>,
    mut stopping: watch::Receiver<bool>,
) {
    while jobs::next_round(WATCH, &mut stopping).await {
        health.tick(Timestamp::now());
        let behind = ears.are_behind().then(|| "the ears are behind".to_owned());
        let why = health.why_no_call().or(behind);
        let has_room = why.is_none();
        let changed = room.send_if_modified(|had| std::mem::replace(had, has_room) != has_room);
        match (changed, why) {
            (true, Some(why)) => warn!("nobody else is called: {why}"),
            (true, None) => info!("calls go on"),
            (false, _) => {}
        }
    }
}

/// Passes what calls tell to the recorder, in order, and to whoever watches.
async fn relay(
    mut told: mpsc::UnboundedReceiver<Report>,
    to_record: mpsc::UnboundedSender<Recorded>,
    to_reception: mpsc::UnboundedSender<Rung>,
    metrics: Arc<Metrics>,
    seen: Option<mpsc::UnboundedSender<Seen>>,
) {
    while let Some(Report { attempt, what }) = told.recv().await {
        metrics.observe(&what);
        if let Told::Rings(numbers) = what {
            if to_reception.send((attempt, numbers)).is_err() {
                error!("nobody answers calls any more");
            }
            continue;
        }
        if let Some(what) = recorded(&what) {
            let report = Recorded {
                attempt: attempt.clone(),
                what,
            };
            if to_record.send(report).is_err() {
                error!(attempt.id = %attempt, "the recorder has ended");
            }
        }
        let Some(seen) = &seen else { continue };
        let shown = match what {
            Told::Trace(_) | Told::Rings(_) => continue,
            Told::Event(event) => Seen::Event(attempt, event),
            Told::NotStarted(why) => Seen::NotStarted(attempt, why),
        };
        if seen.send(shown).is_err() {
            info!("nobody watches any more");
        }
    }
}

/// Tells calls that their findings are on disk; ends with the recorder.
async fn acknowledge(mut stored: mpsc::UnboundedReceiver<Stored>, driver: Sender<Command>) {
    while let Some(Stored { attempt, position }) = stored.recv().await {
        if driver.send(Command::Stored { attempt, position }).is_err() {
            info!("a finding is on disk whose call has ended");
        }
    }
}

/// What of a call's events goes to disk.
fn recorded(what: &Told) -> Option<Record> {
    let event = match what {
        Told::NotStarted(_) => return Some(Record::NotStarted),
        Told::Trace(trace) => return Some(Record::Trace(trace.clone())),
        Told::Rings(_) => return None,
        Told::Event(event) => event,
    };
    Some(match event {
        CallEvent::Ringing { .. } | CallEvent::EarlyMedia => Record::Ringing,
        CallEvent::Answered => Record::Answered,
        CallEvent::Dialog(snapshot) => match serde_json::to_string(snapshot) {
            Ok(text) => Record::Dialog(text),
            Err(error) => {
                error!(%error, "a dialog cannot be kept");
                return None;
            }
        },
        CallEvent::TurnClosed(turn) => Record::Turn(turn.clone()),
        CallEvent::Found { position, placed } => Record::Found {
            position: *position,
            placed: placed.clone(),
        },
        CallEvent::Progressed(progress) => Record::Progressed(*progress),
        CallEvent::Ended(record) => Record::Ended(Box::<CallRecord>::clone(record)),
        CallEvent::Noted(Note::AskedForPerson) => Record::AskedForPerson,
        CallEvent::Noted(Note::WentOn) => Record::WentOn,
        CallEvent::AskedForPatience
        | CallEvent::Announced(_)
        | CallEvent::Met(_)
        | CallEvent::Beep { .. }
        | CallEvent::Asked { .. }
        | CallEvent::HeardWords(_)
        | CallEvent::TakenOver { .. }
        | CallEvent::HandedBack
        | CallEvent::Noted(_) => return None,
    })
}

/// Pages that wait for changes are let go, so that the server can end.
async fn let_pages_go(changes: web::Changes, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        if stopping.changed().await.is_err() {
            break;
        }
    }
    changes.end();
}
