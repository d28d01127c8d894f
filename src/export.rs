//! What is held about one patient, as one ZIP for her: records, transcripts, audio.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aftercall_core::id::{AttemptId, PatientId};
use anyhow::Context as _;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::recording::{RecordingError, Recordings};
use crate::store::page::PageRequest;
use crate::store::work_order::WorkOrderFilter;
use crate::store::{Store, StoreError};

const ABOUT: &str = "record.json      person, contacts, consent, stays, planned calls, readings
orders.json      what was handed to a nurse, and what became of it
calls/ID.json    one call: what was said, what was found, word by word
calls/ID.wav     its recording, left the robot, right the patient (where one is kept)

record.json      个人信息、联系人、同意、住院、计划的电话、测量值
orders.json      转交护士的事项及其处理结果
calls/ID.json    一次通话：逐句内容与发现
calls/ID.wav     通话录音，左声道为机器人，右声道为患者（保留录音时）
";

/// How much went into the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    pub calls: u64,
    pub recordings: u64,
}

/// Writes a new file (mode 0600) with everything of a patient.
///
/// # Errors
/// When there is no such patient, the file is there already, or the disk or the database refuses.
pub async fn export(
    store: &Store,
    recordings: &Recordings,
    patient: &PatientId,
    to: &Path,
) -> anyhow::Result<Exported> {
    let record = record(store, patient).await?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .with_context(|| to.display().to_string())?;
    let mut zip = ZipWriter::new(file);
    put(&mut zip, "README.txt", ABOUT.as_bytes())?;
    put_json(&mut zip, "record.json", &record)?;
    put_json(&mut zip, "orders.json", &orders(store, patient).await?)?;
    let mut exported = Exported::default();
    for id in calls(store, patient).await? {
        let call = store.call(&id).await?;
        let told = json!({
            "id": id, "started_at": call.row.attempt.started_at, "ended_at": call.row.attempt.ended_at,
            "day": call.row.day, "script": call.row.attempt.script, "lang": call.row.lang,
            "number": call.row.attempt.callee, "inbound": call.row.inbound, "ending": call.row.attempt.ending,
            "turns": call.turns, "findings": call.findings, "not_counted": call.suppressed, "notes": call.notes,
        });
        put_json(&mut zip, &format!("calls/{id}.json"), &told)?;
        exported.calls += 1;
        exported.recordings += u64::from(put_audio(&mut zip, store, recordings, &id).await?);
    }
    let file = zip.finish()?;
    file.sync_all().with_context(|| to.display().to_string())?;
    Ok(exported)
}

async fn record(store: &Store, id: &PatientId) -> anyhow::Result<Value> {
    let patient = store.patient(id).await?;
    let stays = store.episodes_of(id).await?;
    let steps = store.steps_of_patient(id).await?;
    let plan = steps.iter().map(|step| {
        json!({ "day": step.day, "script": step.script, "due_on": step.due_on, "state": step.state, "reason": step.reason })
    });
    let stay = stays.iter().map(serde_json::to_value);
    let mut readings = Vec::new();
    for kind in store
        .observations_since(id, aftercall_core::time::Timestamp::MIN)
        .await?
    {
        readings.push(json!({
            "kind": kind.kind, "value": kind.value, "second_value": kind.second_value, "unit": kind.unit,
            "taken_at": kind.taken_at, "source": kind.source,
        }));
    }
    Ok(json!({
        "patient": patient,
        "wishes": store.wishes(id).await?,
        "stays": stay.collect::<Result<Vec<_>, _>>()?,
        "plan": plan.collect::<Vec<_>>(),
        "readings": readings,
    }))
}

async fn orders(store: &Store, id: &PatientId) -> anyhow::Result<Value> {
    let mut all = Vec::new();
    for state in [
        None,
        Some(aftercall_core::work_order::WorkOrderState::Closed),
    ] {
        let filter = WorkOrderFilter {
            state,
            patient: Some(id.clone()),
            ..WorkOrderFilter::default()
        };
        let mut request = PageRequest::default();
        loop {
            let page = store.work_orders(&filter, &request).await?;
            for order in page.items {
                let events = store.work_order_events(&order.id).await?;
                let events = events.iter().map(|event| {
                    json!({ "at": event.at, "who": event.who, "what": event.what, "state": event.to, "note": event.note })
                });
                all.push(json!({
                    "id": order.id, "urgency": order.urgency, "state": order.state, "raised_at": order.raised_at,
                    "causes": order.causes, "outcome": order.outcome, "note": order.note,
                    "events": events.collect::<Vec<_>>(),
                }));
            }
            match page.next {
                Some(next) => request.after = Some(next),
                None => break,
            }
        }
    }
    Ok(all.into())
}

async fn calls(store: &Store, id: &PatientId) -> Result<Vec<AttemptId>, StoreError> {
    let mut all = Vec::new();
    let mut request = PageRequest::default();
    loop {
        let page = store.attempts(Some(id), &request).await?;
        all.extend(page.items.into_iter().map(|row| row.attempt.id));
        match page.next {
            Some(next) => request.after = Some(next),
            None => return Ok(all),
        }
    }
}

/// False where nothing was recorded, or the recording is gone.
async fn put_audio(
    zip: &mut ZipWriter<File>,
    store: &Store,
    recordings: &Recordings,
    id: &AttemptId,
) -> anyhow::Result<bool> {
    let key = match store.recording_key(id).await {
        Ok(key) => key,
        Err(StoreError::Destroyed { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let mut reader = match recordings.reader(id, &key) {
        Ok(reader) => reader,
        Err(RecordingError::None(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    zip.start_file(format!("calls/{id}.wav"), SimpleFileOptions::default())?;
    io::copy(&mut reader, zip)?;
    Ok(true)
}

fn put(zip: &mut ZipWriter<File>, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    zip.start_file(name, SimpleFileOptions::default())?;
    Ok(zip.write_all(bytes)?)
}

fn put_json(zip: &mut ZipWriter<File>, name: &str, value: &Value) -> anyhow::Result<()> {
    put(zip, name, &serde_json::to_vec_pretty(value)?)
}
