//! What a call may know and say, and the speech that is made before it begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use aftercall_core::lang::Lang;
use aftercall_core::patient::{Episode, Patient};
use aftercall_core::phi::Phi;
use aftercall_core::plan::{Step, StepState};
use aftercall_core::script::speaking::variables;
use aftercall_core::script::{Facts, Script};
use aftercall_core::time;
use anyhow::Context;

use crate::config::Config;
use crate::jobs::Rules;
use crate::speech::voice::{Voice, VoiceError};
use crate::store::Store;

/// The facts of a patient's step.
///
/// # Errors
/// A zone that is not known, or a database that refuses.
pub async fn facts_of(
    config: &Config,
    store: &Store,
    rules: &Rules,
    (patient, episode, step): (&Patient, &Episode, &Step),
) -> anyhow::Result<Facts> {
    let zone = time::zone(&patient.zone).context("the patient's zone is not known")?;
    let steps = store.steps_of_episode(&episode.id).await?;
    let later = steps
        .iter()
        .filter(|other| other.day > step.day && other.state == StepState::Planned);
    Ok(Facts {
        lang: patient.lang,
        day: step.day,
        hospital: hospital_name(config, patient.lang),
        patient: patient.name.clone(),
        birth: Some(patient.birth_date.clone()),
        contacts: patient.contacts.clone(),
        knows_diagnosis: patient.knows_diagnosis,
        hearing: patient.hearing,
        dialect: patient.dialect.clone(),
        emergency_number: config.hospital.emergency_number.clone(),
        crisis_line: config.hospital.crisis_line.clone(),
        callback_number: config.hospital.callback_number.clone(),
        next_call: later.map(|step| step.due_on).min(),
        today: rules.clock.now().to_zoned(zone).date(),
        earlier: None,
    })
}

/// The approved neutral name.
pub fn hospital_name(config: &Config, lang: Lang) -> String {
    match lang {
        Lang::Zh => config.hospital.name_zh.clone(),
        Lang::En => config.hospital.name_en.clone(),
    }
}

/// Of a stranger no name is known: nothing is left of it but its full stop.
fn is_said(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

/// The prompts of a script that have no recording are synthesised, once for every call.
///
/// # Errors
/// When the voice fails.
pub async fn render_prompts(
    voice: &Arc<Voice>,
    prompts: &BTreeMap<String, Arc<[i16]>>,
    script: &Script,
) -> anyhow::Result<()> {
    let unrecorded = script.prompts.values().filter(|prompt| {
        let recording = prompt.id.recording(script.lang);
        !prompts.contains_key(&recording)
    });
    let texts: Vec<String> = unrecorded.map(|prompt| prompt.text.clone()).collect();
    let (voice, lang) = (Arc::clone(voice), script.lang);
    let rendered = tokio::task::spawn_blocking(move || {
        for text in texts.iter().filter(|text| is_said(text)) {
            voice.speak_prompt(text, lang)?;
        }
        Ok::<(), VoiceError>(())
    });
    Ok(rendered.await??)
}

/// Names, dates, prompts without a recording and `more` are synthesised before a call begins: it never waits for a voice
/// it could have had.
///
/// # Errors
/// When the voice fails.
pub async fn render(
    voice: &Arc<Voice>,
    prompts: &BTreeMap<String, Arc<[i16]>>,
    script: &Script,
    facts: &Facts,
    more: Vec<Phi<String>>,
) -> anyhow::Result<()> {
    render_prompts(voice, prompts, script).await?;
    let mut of_patient = variables(script, facts);
    of_patient.extend(more);
    let (voice, lang) = (Arc::clone(voice), facts.lang);
    let rendered = tokio::task::spawn_blocking(move || {
        for text in of_patient.iter().filter(|text| is_said(text.expose())) {
            voice.speak(text.expose(), lang)?;
        }
        Ok::<(), VoiceError>(())
    });
    Ok(rendered.await??)
}
