//! Answers calls that come: asks `jobs::ring_back` how, gathers what the call must know, and tells the driver.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use aftercall_core::id::AttemptId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::Hearing;
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::script::{Facts, RingBack, Segment, speaking};
use aftercall_core::time::Timestamp;
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use crate::config::Config;
use crate::facts::{facts_of, hospital_name, render};
use crate::jobs::ring_back::{self, Desk, Taken};
use crate::jobs::{Rules, RulesNow};
use crate::library::InForce;
use crate::metrics::Metrics;
use crate::run::recording_key;
use crate::speech::voice::Voice;
use crate::store::Store;
use crate::trunk::driver::{Answer, Command};

/// Somebody who rings: the call's name, and the numbers that it may come from.
pub type Rung = (AttemptId, Phi<Vec<PhoneNumber>>);

/// What calls are answered with.
pub struct Reception {
    pub config: watch::Receiver<Arc<Config>>,
    pub store: Store,
    pub rules: RulesNow,
    /// Name of the trunk.
    pub trunk: String,
    pub in_force: watch::Receiver<Arc<InForce>>,
    pub voice: Arc<Voice>,
    pub commands: Sender<Command>,
    pub metrics: Arc<Metrics>,
}

impl Reception {
    /// Runs until nobody tells of calls any more.
    pub async fn run(self, mut rung: mpsc::UnboundedReceiver<Rung>) {
        while let Some((attempt, numbers)) = rung.recv().await {
            let command = match self.answer(&attempt, numbers.expose()).await {
                Ok(Some(answer)) => {
                    self.metrics.calls_live.inc();
                    Command::Answer(Box::new(answer))
                }
                Ok(None) => {
                    let status = 486;
                    Command::Refuse { attempt, status }
                }
                Err(error) => {
                    error!(attempt.id = %attempt, "a call is not answered: {error:#}");
                    let status = 480;
                    Command::Refuse { attempt, status }
                }
            };
            if self.commands.send(command).is_err() {
                info!("the media thread has ended; nobody is answered any more");
            }
        }
    }

    async fn answer(
        &self,
        attempt: &AttemptId,
        numbers: &[PhoneNumber],
    ) -> anyhow::Result<Option<Answer>> {
        let config = Arc::clone(&self.config.borrow());
        let rules = self.rules.get();
        let library = Arc::clone(&self.in_force.borrow().library);
        let desk = Desk {
            trunk: self.trunk.clone(),
            scripts: library.signed_scripts(),
        };
        let taken = ring_back::take(&self.store, &rules, &desk, attempt, numbers).await?;
        let Some(taken) = taken else {
            return Ok(None);
        };
        let Taken {
            kind,
            script,
            known,
        } = taken;
        let today = Timestamp::now().to_zoned(config.zone()).date();
        let script = library.script(&script.pathway, script.lang, today)?;
        let (facts, record) = match &known {
            None => (stranger(&config, &rules, script.lang), None),
            Some(known) => {
                let whom = (&known.patient, &known.episode, &known.step);
                let facts = Facts {
                    earlier: known.earlier.clone(),
                    ..facts_of(&config, &self.store, &rules, whom).await?
                };
                let key = recording_key(&self.store, attempt, &known.patient).await?;
                (facts, key)
            }
        };
        let first = speaking::ring_back(&script, &facts, kind);
        let first = first.into_iter().filter_map(|segment| match segment {
            Segment::Spoken(text) => Some(Phi::new(text)),
            Segment::Recorded { .. } => None,
        });
        let prompts = &library.kit.prompts;
        render(&self.voice, prompts, &script, &facts, first.collect()).await?;
        let on_call = match kind {
            RingBack::Resume | RingBack::Person => config.on_call(),
            RingBack::Closed | RingBack::Stranger => Arc::new([]),
        };
        Ok(Some(Answer {
            attempt: attempt.clone(),
            kind,
            script,
            kit: Arc::clone(&library.kit),
            facts,
            record,
            on_call,
        }))
    }
}

/// What may be said to somebody of whom nothing is known.
fn stranger(config: &Config, rules: &Rules, lang: Lang) -> Facts {
    let hospital = &config.hospital;
    Facts {
        lang,
        day: 0,
        hospital: hospital_name(config, lang),
        patient: Phi::new(String::new()),
        birth: None,
        contacts: Vec::new(),
        knows_diagnosis: false,
        hearing: Hearing::Normal,
        dialect: None,
        emergency_number: hospital.emergency_number.clone(),
        crisis_line: hospital.crisis_line.clone(),
        callback_number: hospital.callback_number.clone(),
        next_call: None,
        today: rules.clock.now().to_zoned(config.zone()).date(),
        earlier: None,
    }
}
