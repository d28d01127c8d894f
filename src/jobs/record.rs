//! Commits what calls tell, in the order told. Media never waits for it; a finding is never dropped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::attempt::{
    AnsweredBy, AttemptState, CallNote, CallRecord, Disposition, Ending, Progress, Turn,
};
use aftercall_core::finding::{Confirmation, PlacedFinding};
use aftercall_core::id::AttemptId;
use aftercall_core::sip::trace::Kept;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Cause, Subject};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::settle::{Half, finish, halves, raise, subject, what_the_whole_raises};
use super::{Rules, RulesNow};
use crate::spans::{CallSpan, Spans};
use crate::store::attempt::AttemptProgress;
use crate::store::work_order::Raised;
use crate::store::{Store, StoreError};

/// What one call tells. The driver's events become these in `run`.
#[derive(Clone, Debug)]
pub struct Report {
    pub attempt: AttemptId,
    pub what: Told,
}

#[derive(Clone, Debug)]
pub enum Told {
    Ringing,
    Answered,
    /// A dialog snapshot as text, for a BYE or CANCEL after a crash.
    Dialog(String),
    Turn(Box<Turn>),
    /// New or changed; a finding keeps its position.
    Found {
        position: u32,
        placed: Box<PlacedFinding>,
    },
    Progressed(Progress),
    /// A person is asked for: a crash from here on leaves the order to the next start.
    AskedForPerson,
    /// The call goes on with what one of the day was answered before.
    WentOn,
    Ended(Box<CallRecord>),
    /// What has gone over the line by now.
    Trace(Box<Kept>),
    /// Nothing left this machine.
    NotStarted,
}

/// How long a report waits before the database is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is known of a live call here.
struct Live {
    subject: Subject,
    state: AttemptState,
    answered_at: Option<Timestamp>,
    dialog: Option<String>,
    progress: Progress,
    /// What it goes on from.
    halves: Vec<Half>,
}

/// A finding that is on disk, with its order: the call may ask on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub attempt: AttemptId,
    pub position: u32,
}

/// Runs until every sender is gone; what was told before shutdown is committed.
pub async fn run(
    store: Store,
    rules: RulesNow,
    mut reports: mpsc::UnboundedReceiver<Report>,
    stored: mpsc::UnboundedSender<Stored>,
    spans: Spans,
) {
    let mut recorder = Recorder::new(store, rules.get()).traced_by(spans.clone());
    while let Some(report) = reports.recv().await {
        recorder.rules = rules.get();
        if !recorder.record(&report).await {
            continue;
        }
        if let Told::Found { position, .. } = report.what {
            let stored_now = Stored {
                attempt: report.attempt,
                position,
            };
            if stored.send(stored_now).is_err() {
                debug!("no call waits any more");
            }
        }
    }
    if let Err(error) = tokio::task::spawn_blocking(move || spans.close()).await {
        error!(%error, "the last spans were not sent");
    }
}

/// The recorder by itself, for callers with a loop of their own.
pub struct Recorder {
    store: Store,
    rules: Arc<Rules>,
    live: HashMap<AttemptId, Live>,
    spans: Spans,
    traced: HashMap<AttemptId, CallSpan>,
}

impl Recorder {
    pub fn new(store: Store, rules: impl Into<Arc<Rules>>) -> Self {
        Self {
            store,
            rules: rules.into(),
            live: HashMap::new(),
            spans: Spans::default(),
            traced: HashMap::new(),
        }
    }

    /// The same, and a collector is told of each call.
    pub fn traced_by(self, spans: Spans) -> Self {
        Self { spans, ..self }
    }

    /// Commits one report; while the database cannot be reached, or its disk is full, it is tried again and again, in
    /// order. Whether it is on disk: a report that the database refuses for good is not.
    pub async fn record(&mut self, report: &Report) -> bool {
        let at = self.rules.clock.now();
        let store = self.store.clone();
        loop {
            match store.answered(self.commit(report, at)).await {
                Ok(raised) => {
                    self.trace(report, raised.as_ref(), at);
                    return true;
                }
                Err(error) if error.may_pass() => {
                    warn!(attempt.id = %report.attempt, %error, "report not saved; trying again");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => {
                    error!(attempt.id = %report.attempt, %error, "report not saved");
                    return false;
                }
            }
        }
    }

    /// Tells the collector what is on disk now.
    fn trace(&mut self, report: &Report, raised: Option<&Raised>, at: Timestamp) {
        let id = &report.attempt;
        let call = match self.traced.entry(id.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => match self.spans.call(id, at) {
                Some(call) => new.insert(call),
                None => return,
            },
        };
        if let Some(raised) = raised {
            call.order(raised, at, self.rules.clock.now());
        }
        let ended = match &report.what {
            Told::Answered => return call.answered(at),
            Told::Turn(turn) => return call.turn(turn.index, at),
            Told::Ended(record) => record.ending.disposition,
            Told::NotStarted => Disposition::TrunkFailure,
            _ => return,
        };
        if let Some(call) = self.traced.remove(id) {
            call.ended(ended, at);
        }
    }

    /// The order that came of it, where one did.
    async fn commit(
        &mut self,
        report: &Report,
        at: Timestamp,
    ) -> Result<Option<Raised>, StoreError> {
        let id = &report.attempt;
        match &report.what {
            Told::Found { position, placed } => {
                return self.found(id, *position, placed, at).await;
            }
            Told::Ended(record) => return self.ended(id, (**record).clone(), at).await,
            Told::NotStarted => return self.ended(id, not_started(), at).await,
            Told::Ringing => {
                self.moved(id, |live| live.state = AttemptState::Ringing)
                    .await?;
            }
            Told::Answered => {
                let answered = |live: &mut Live| {
                    live.state = AttemptState::Talking;
                    live.answered_at = Some(at);
                };
                self.moved(id, answered).await?;
            }
            Told::Dialog(text) => {
                self.moved(id, |live| live.dialog = Some(text.clone()))
                    .await?;
            }
            Told::Progressed(progress) => {
                self.moved(id, |live| live.progress = *progress).await?;
            }
            Told::Turn(turn) => self.store.append_turn(id, turn).await?,
            Told::AskedForPerson => self.store.note(id, &CallNote::AskedForPerson).await?,
            Told::WentOn => {
                self.store.note(id, &CallNote::WentOn).await?;
                let halves = halves(&self.store, &self.store.attempt(id).await?).await?;
                self.live(id).await?.halves = halves;
            }
            Told::Trace(trace) => self.store.save_trace(id, trace, at).await?,
        }
        Ok(None)
    }

    async fn live(&mut self, id: &AttemptId) -> Result<&mut Live, StoreError> {
        if !self.live.contains_key(id) {
            let row = self.store.attempt(id).await?;
            let live = Live {
                subject: subject(&self.store, &row).await?,
                state: row.attempt.state,
                answered_at: row.attempt.answered_at,
                dialog: row.dialog,
                progress: row.attempt.progress,
                halves: Vec::new(),
            };
            self.live.insert(id.clone(), live);
        }
        Ok(self.live.get_mut(id).expect("was put there above"))
    }

    async fn moved(
        &mut self,
        id: &AttemptId,
        change: impl FnOnce(&mut Live),
    ) -> Result<(), StoreError> {
        let live = self.live(id).await?;
        change(live);
        let progress = AttemptProgress {
            state: live.state,
            answered_at: live.answered_at,
            dialog: live.dialog.clone(),
            progress: live.progress,
        };
        match self.store.attempt_progress(id, &progress).await {
            // A second 180 after the answer: the row knows more already.
            Err(StoreError::Conflict { .. }) => Ok(()),
            saved => saved,
        }
    }

    /// A finding is kept as soon as it is heard. Whose confirming question is still out raises no order yet: its answer
    /// does, the end of the call, or the recovery from a crash.
    async fn found(
        &mut self,
        id: &AttemptId,
        position: u32,
        placed: &PlacedFinding,
        at: Timestamp,
    ) -> Result<Option<Raised>, StoreError> {
        let subject = self.live(id).await?.subject.clone();
        let alerts = placed.finding.alerts() && placed.finding.confirmation != Confirmation::Due;
        let cause = Cause::Finding {
            finding: Box::new(placed.clone()),
            attempt: Some(id.clone()),
        };
        let mut causes: Vec<Cause> = alerts.then_some(cause).into_iter().collect();
        let told = self.told(id, position, placed).await?;
        let row = self.store.attempt(id).await?;
        let halves = &self.live(id).await?.halves.clone();
        causes.extend(what_the_whole_raises(&self.rules, &row, &told, halves, &[]));
        let raise = raise(&self.rules, subject, causes);
        let raised = self
            .store
            .record_finding(id, position, placed, raise.as_ref(), at)
            .await?;
        tell(id, raised.as_ref());
        Ok(raised)
    }

    /// The call's findings by now, but for those whose confirming question is still out.
    async fn told(
        &self,
        id: &AttemptId,
        position: u32,
        placed: &PlacedFinding,
    ) -> Result<Vec<PlacedFinding>, StoreError> {
        let mut told = self.store.findings(id).await?;
        match usize::try_from(position)
            .ok()
            .and_then(|at| told.get_mut(at))
        {
            Some(known) => known.clone_from(placed),
            None => told.push(placed.clone()),
        }
        told.retain(|placed| placed.finding.confirmation != Confirmation::Due);
        Ok(told)
    }

    async fn ended(
        &mut self,
        id: &AttemptId,
        record: CallRecord,
        at: Timestamp,
    ) -> Result<Option<Raised>, StoreError> {
        let disposition = record.ending.disposition;
        let finished = finish(&self.store, &self.rules, id, record, at).await?;
        self.live.remove(id);
        info!(attempt.id = %id, %disposition, late = finished.late, "attempt ended");
        tell(id, finished.raised.as_ref());
        Ok(finished.raised)
    }
}

fn tell(attempt: &AttemptId, raised: Option<&Raised>) {
    if let Some(raised) = raised {
        info!(attempt.id = %attempt, order.id = %raised.id, urgency = %raised.urgency, how = ?raised.how, "work order");
    }
}

/// The record of a call that never left: the trunk's fault, and nobody was rung.
fn not_started() -> CallRecord {
    CallRecord {
        ending: Ending {
            disposition: Disposition::TrunkFailure,
            sip_status: None,
            q850_cause: None,
            early_media: None,
            answered_by: AnsweredBy::Nobody,
            met: None,
            rang: false,
            talk_ms: 0,
        },
        progress: Progress::default(),
        turns: Vec::new(),
        findings: Vec::new(),
        suppressed: Vec::new(),
        line: None,
        notes: Vec::new(),
    }
}
