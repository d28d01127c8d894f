//! What a list makes of what is stored, row by row, and its saving in chunks of one transaction each.

use std::collections::BTreeMap;

use aftercall_core::import::{Stated, different, merged_episode, merged_patient, other_person};
use aftercall_core::patient::{ConsentBasis, Episode, EpisodeState, Life, Patient};
use aftercall_core::plan::{
    Cadence, CadenceDay, Case, LifeEvent, Pathways, Plan, Step, StepState, enroll,
};
use aftercall_core::time::Timestamp;
use futures_util::future::try_join;

use super::{DischargeList, Report, Row, RowReport, problem};
use crate::store::enrol::{Enrol, Known, KnownPatients, Standing};
use crate::store::{Backend, Store, StoreError, import, new_id};

/// Rows a transaction.
const CHUNK: usize = 2000;

/// Saves a discharge list with the plan of every stay. Importing a list twice changes nothing.
///
/// # Errors
/// When the database refuses; chunks before that are saved, and importing again is harmless.
pub async fn save_discharges(
    store: &Store,
    list: &DischargeList,
    pathways: &Pathways,
    by: &str,
    now: Timestamp,
) -> Result<Report, StoreError> {
    let mut report = begin(list, false);
    let save = |rows| save_chunk(store, rows, (list.stated, pathways), by, now);
    for rows in list.rows.chunks(2 * CHUNK) {
        let (first, second) = rows.split_at(rows.len().min(CHUNK));
        let (first, second) = match is_shared(store, first, second) {
            true => try_join(save(first), save(second)).await?,
            false => (save(first).await?, save(second).await?),
        };
        report.add(first);
        report.add(second);
    }
    let mut kept = report.clone();
    kept.rows.clear();
    let saved = import::Import {
        id: new_id(),
        at: now,
        who: by.to_owned(),
        accepted: report.accepted,
        refused: report.refused,
        report: serde_json::to_string(&kept).unwrap_or_default(),
    };
    store.save_import(&saved).await?;
    Ok(report)
}

/// Whether two chunks are saved at once: PostgreSQL has a process for each, and no patient stands in both.
fn is_shared(store: &Store, first: &[Row], second: &[Row]) -> bool {
    let (first, second) = (numbers(first).1, numbers(second).1);
    store.backend() == Backend::Postgres
        && second
            .iter()
            .all(|number| first.binary_search(number).is_err())
}

async fn save_chunk(
    store: &Store,
    rows: &[Row],
    (stated, pathways): (Stated, &Pathways),
    by: &str,
    now: Timestamp,
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    if !rows.is_empty() {
        let (hospital, numbers) = numbers(rows);
        let decide = |known| decided(rows, stated, pathways, known, &mut report).0;
        store.enrol((hospital, &numbers), by, now, decide).await?;
    }
    Ok(report)
}

/// What saving the list would do.
///
/// # Errors
/// When the database refuses.
pub async fn preview(
    store: &Store,
    list: &DischargeList,
    pathways: &Pathways,
) -> Result<Report, StoreError> {
    let mut report = begin(list, true);
    let mut earlier = KnownPatients::new();
    for rows in list.rows.chunks(CHUNK) {
        let (hospital, numbers) = numbers(rows);
        let mut known = store.known_patients(hospital, &numbers).await?;
        for number in numbers {
            if let Some(patient) = earlier.remove(number) {
                known.insert(number.to_owned(), patient);
            }
        }
        let after = decided(rows, list.stated, pathways, known, &mut report).1;
        earlier.extend(after);
    }
    Ok(report)
}

fn begin(list: &DischargeList, dry_run: bool) -> Report {
    Report {
        dry_run,
        source: list.source.clone(),
        refused: list
            .records
            .saturating_sub(u64::try_from(list.rows.len()).unwrap_or(u64::MAX)),
        not_read: list.skipped.clone(),
        problems: list.problems.clone(),
        ..Report::default()
    }
}

fn numbers(rows: &[Row]) -> (&str, Vec<&str>) {
    let hospital = rows.first().map_or("", |row| row.patient.hospital.as_str());
    let mut numbers: Vec<&str> = rows
        .iter()
        .map(|row| row.patient.number.expose().as_str())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    (hospital, numbers)
}

/// The changes of a chunk, and what is known after them: a later row of the same patient builds on the earlier.
fn decided(
    rows: &[Row],
    stated: Stated,
    pathways: &Pathways,
    mut known: KnownPatients,
    report: &mut Report,
) -> (Vec<Enrol>, KnownPatients) {
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let number = row.patient.number.expose();
        let before = known.get(number);
        if before.is_some_and(|before| other_person(&before.patient, &row.patient)) {
            report.refused += 1;
            report.problems.push(problem(
                row.line,
                "hospital_number",
                "belongs to another patient: the record has another name and another birth date",
                "correct the number; if the record is wrong, correct it first",
            ));
            continue;
        }
        let Some(change) = change(row, before, stated, pathways) else {
            report.refused += 1;
            report.problems.push(problem(
                row.line,
                "pathway",
                "is empty, and no pathway fits diagnosis, department and risk",
                "name a script or a pathway, or write a pathway that fits",
            ));
            continue;
        };
        report.count(row.line, &change, before);
        let after = known.entry(number.clone()).or_insert_with(|| Known {
            patient: change.patient.clone(),
            stays: Vec::new(),
        });
        after.patient = change.patient.clone();
        remember(&mut after.stays, &change);
        changes.push(change);
    }
    (changes, known)
}

fn remember(stays: &mut Vec<(Episode, Vec<Step>)>, change: &Enrol) {
    let place = stays
        .iter()
        .position(|(episode, _)| episode.id == change.episode.id);
    let (_, mut plan) = place.map_or_else(
        || (change.episode.clone(), Vec::new()),
        |place| stays.remove(place),
    );
    let moved: BTreeMap<u16, &Step> = change.steps.iter().map(|step| (step.day, step)).collect();
    plan.retain(|step| !moved.contains_key(&step.day) && !change.dropped.contains(&step.id));
    plan.extend(change.steps.iter().cloned());
    stays.push((change.episode.clone(), plan));
}

/// `None` where no plan is known for the stay, and none fits.
pub(crate) fn change(
    row: &Row,
    before: Option<&Known>,
    stated: Stated,
    pathways: &Pathways,
) -> Option<Enrol> {
    let patient = before.map_or_else(
        || row.patient.clone(),
        |before| merged_patient(&before.patient, &row.patient, stated),
    );
    let mut stays = before.iter().flat_map(|before| &before.stays);
    let stay = stays.find(|(episode, _)| episode.encounter == row.episode.encounter);
    let mut episode = match stay {
        None => Episode {
            patient: patient.id.clone(),
            ..row.episode.clone()
        },
        Some((known, _)) => merged_episode(known, &row.episode, stated),
    };
    let named = Episode {
        pathway: row.episode.pathway.clone(),
        ..episode.clone()
    };
    let known_plan = stay.map_or(&[][..], |(_, plan)| plan);
    let chosen = match (&row.case, stay) {
        (None, Some(_)) => Some(moved(&patient, &episode, known_plan)),
        (case, _) => pathways.plan(&patient, &named, case.as_ref().unwrap_or(&Case::default())),
    };
    let (mut steps, mut dropped) = (Vec::new(), Vec::new());
    let (mut errands, mut readings) = (Vec::new(), Vec::new());
    match chosen {
        Some(plan) => {
            episode.pathway = plan.script;
            let stale = known_plan.iter().filter(|known| {
                known.state == StepState::Planned
                    && plan.steps.iter().all(|step| step.day != known.day)
            });
            dropped.extend(stale.map(|step| step.id.clone()));
            steps.extend(
                plan.steps
                    .into_iter()
                    .filter(|step| is_new(step, known_plan)),
            );
            errands = plan.errands;
            readings = plan.readings;
        }
        // A list that says less than the one before: the plan stays.
        None if stay.is_some() => {}
        None => return None,
    }
    let episode_is = match stay {
        None => Standing::New,
        Some((known, _)) if *known == episode => Standing::Same,
        Some(_) => Standing::Changed,
    };
    let events = events(before, &patient, &episode);
    Some(Enrol {
        events,
        stays: Vec::new(),
        patient_is: before.map_or(Standing::New, |before| standing(&before.patient, &patient)),
        contacts_changed: before.is_some_and(|before| patient.contacts != before.patient.contacts),
        consent_changed: before.is_some_and(|before| patient.consent != before.patient.consent),
        steps,
        dropped,
        errands,
        readings,
        patient,
        episode,
        episode_is,
    })
}

/// The same plan from another day of discharge.
fn moved(patient: &Patient, episode: &Episode, plan: &[Step]) -> Plan {
    let grace = |step: &Step| {
        let days = (step.lapses_on - step.due_on).get_days();
        u16::try_from(days - 1).unwrap_or(0)
    };
    let days = plan.iter().map(|step| CadenceDay {
        day: step.day,
        grace_days: grace(step),
    });
    Plan {
        pathway: None,
        script: episode.pathway.clone(),
        steps: enroll(patient, episode, &Cadence(days.collect())),
        errands: Vec::new(),
        readings: Vec::new(),
    }
}

/// What the row tells that was not known before.
fn events(before: Option<&Known>, patient: &Patient, episode: &Episode) -> Vec<LifeEvent> {
    let known = before.map(|before| &before.patient);
    let stays = || {
        before
            .iter()
            .flat_map(|before| &before.stays)
            .map(|(stay, _)| stay)
    };
    let stay = stays().find(|stay| stay.id == episode.id);
    let is_news = |known: Option<bool>| known != Some(true);
    let mut events = Vec::new();
    if patient.life == Life::Dead && is_news(known.map(|known| known.life == Life::Dead)) {
        events.push(LifeEvent::Died);
    }
    if known.is_some_and(|known| known.phone != patient.phone) && patient.phone.is_some() {
        events.push(LifeEvent::NumberChanged);
    }
    // Of several stays the plan of the last discharge holds, in whatever order they are told.
    let last = stays()
        .chain([episode])
        .filter(|stay| stay.state != EpisodeState::Cancelled)
        .max_by_key(|stay| stay.discharged_at);
    let is_first = stay.is_some() || stays().next().is_none();
    if let Some(last) = last.filter(|last| !is_first && last.state == EpisodeState::Discharged) {
        events.push(LifeEvent::Discharged {
            stay: last.id.clone(),
        });
    }
    let is_new_state = is_news(stay.map(|stay| stay.state == episode.state));
    match episode.state {
        EpisodeState::Readmitted if is_new_state => events.push(LifeEvent::Admitted),
        EpisodeState::Cancelled if is_new_state => {
            events.push(LifeEvent::DischargeCancelled {
                stay: episode.id.clone(),
            });
        }
        EpisodeState::Discharged
        | EpisodeState::Readmitted
        | EpisodeState::ReportedReadmitted
        | EpisodeState::Cancelled => {}
    }
    events
}

fn standing(before: &Patient, after: &Patient) -> Standing {
    if before == after {
        Standing::Same
    } else {
        Standing::Changed
    }
}

/// Not in the plan, or there at another date or with another script and not yet begun.
fn is_new(step: &Step, plan: &[Step]) -> bool {
    let known = plan.iter().find(|known| known.day == step.day);
    known.is_none_or(|known| {
        known.state == StepState::Planned
            && (known.due_on != step.due_on || known.script != step.script)
    })
}

impl Report {
    /// Adds what became of a chunk.
    fn add(&mut self, chunk: Report) {
        self.accepted += chunk.accepted;
        self.refused += chunk.refused;
        self.new_patients += chunk.new_patients;
        self.changed_patients += chunk.changed_patients;
        self.new_episodes += chunk.new_episodes;
        self.changed_episodes += chunk.changed_episodes;
        self.steps += chunk.steps;
        self.consents_without_text += chunk.consents_without_text;
        self.problems.extend(chunk.problems);
        self.rows.extend(chunk.rows);
    }

    fn count(&mut self, line: u64, change: &Enrol, before: Option<&Known>) {
        let is = |standing: Standing, counted: Standing| u64::from(standing == counted);
        self.accepted += 1;
        let consent = &change.patient.consent;
        let is_given = matches!(consent.basis, ConsentBasis::Written | ConsentBasis::Verbal);
        self.consents_without_text += u64::from(is_given && consent.text_version.is_none());
        self.new_patients += is(change.patient_is, Standing::New);
        self.changed_patients += is(change.patient_is, Standing::Changed);
        self.new_episodes += is(change.episode_is, Standing::New);
        self.changed_episodes += is(change.episode_is, Standing::Changed);
        self.steps += u64::try_from(change.steps.len()).unwrap_or(u64::MAX);
        let changed = before.map_or_else(Vec::new, |before| {
            let stay = before
                .stays
                .iter()
                .find(|(episode, _)| episode.id == change.episode.id);
            let stays = stay.map(|(episode, _)| (episode, &change.episode));
            different((&before.patient, &change.patient), stays)
        });
        self.rows.push(RowReport {
            line,
            patient: words(change.patient_is),
            stay: words(change.episode_is),
            changed: changed.into_iter().map(|column| column.name()).collect(),
            steps: change
                .steps
                .iter()
                .map(|step| (step.day, step.due_on))
                .collect(),
        });
    }
}

fn words(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "new",
        Standing::Changed => "changed",
        Standing::Same => "known",
    }
}
