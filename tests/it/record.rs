//! Rows for the tests: a patient with a stay, four steps and calls of all kinds.

use std::sync::Arc;

use aftercall::jobs::Clinic;
use aftercall::redflags;
use aftercall::store::attempt::{CallerMost, NewAttempt};
use aftercall::store::call::Finish;
use aftercall::store::patient::{Enrolled, Enrolment};
use aftercall::store::step::StepChange;
use aftercall::store::work_order::Raise;
use aftercall::store::{Store, new_id};
use aftercall::vault::{DataKey, KEY_BYTES, Source};
use aftercall_core::attempt::{
    AnsweredBy, CallRecord, Disposition, Ending, Progress, Turn, TurnReply,
};
use aftercall_core::finding::{
    About, Confirmation, Evidence, Finding, MatchLevel, PlacedFinding, Polarity, Suppressed,
    Urgency, When,
};
use aftercall_core::heard::Transcript;
use aftercall_core::id::{AttemptId, ConceptId, EpisodeId, NodeId, PackId, PatientId, StepId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{
    Consent, ConsentBasis, Contact, Episode, EpisodeState, Hearing, Life, Patient, Relation, Topic,
};
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::{Step, StepState};
use aftercall_core::question::{QuestionKind, Respondent};
use aftercall_core::time::Timestamp;
use aftercall_core::trend;
use aftercall_core::work_order::{Cause, Deadlines, Subject};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

pub const ENGINE: &str = "engine-a";

/// Seconds after the origin of the tests' time.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).expect("in range")
}

pub fn phone(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).expect("a number that can be dialled")
}

pub fn enrolment(number: &str) -> Enrolment {
    let patient = Patient {
        id: PatientId(new_id()),
        hospital: "first".to_owned(),
        number: Phi::new(number.to_owned()),
        name: Phi::new("张建国".to_owned()),
        birth_date: Phi::new(date(1951, 3, 7)),
        phone: Some(phone(&format!("+8613800{number:0>6}"))),
        lang: Lang::Zh,
        dialect: Some("sichuan".to_owned()),
        hearing: Hearing::Hard,
        zone: "Asia/Shanghai".to_owned(),
        knows_diagnosis: true,
        life: Life::Alive,
        consent: Consent {
            basis: ConsentBasis::Written,
            text_version: Some("2026-1".to_owned()),
            given_on: Some(date(2026, 9, 1)),
            recording: true,
        },
        contacts: vec![Contact {
            name: Phi::new("李梅".to_owned()),
            relation: Relation::Spouse,
            phone: Some(phone("+8613900000001")),
            topics: vec![Topic::Health, Topic::Medicines],
        }],
    };
    let episode = Episode {
        id: EpisodeId(new_id()),
        patient: patient.id.clone(),
        encounter: format!("enc-{number}"),
        pathway: "cardiac".to_owned(),
        department: "cardiology".to_owned(),
        ward: "5A".to_owned(),
        discharged_at: at(-300_000),
        state: EpisodeState::Discharged,
        high_risk: true,
    };
    let steps = [3, 7, 14, 30]
        .map(|day| step(&patient, &episode, day))
        .to_vec();
    Enrolment {
        patient,
        episode,
        steps,
    }
}

fn step(patient: &Patient, episode: &Episode, day: u16) -> Step {
    let due_on: Date = date(2026, 9, 20).saturating_add(jiff::Span::new().days(i64::from(day) - 3));
    Step {
        id: StepId(new_id()),
        episode: episode.id.clone(),
        patient: patient.id.clone(),
        day,
        script: "cardiac".to_owned(),
        due_on,
        lapses_on: due_on.saturating_add(jiff::Span::new().days(2)),
        state: StepState::Planned,
        next_at: at((i64::from(day) - 3) * 86_400),
        reason: String::new(),
    }
}

/// The master key of databases that a test opens by itself.
pub fn master_key() -> Source {
    Source::Given(DataKey::new([0x5a; KEY_BYTES]))
}

pub async fn enrol(store: &Store, number: &str) -> (Enrolled, Enrolment) {
    let enrolment = enrolment(number);
    let enrolled = store
        .save_patient_with_episode_and_steps(&enrolment, "test", at(0))
        .await
        .expect("saved");
    (enrolled, enrolment)
}

pub fn new_attempt(step: &Step, phone: Option<PhoneNumber>) -> NewAttempt {
    NewAttempt {
        inbound: false,
        id: AttemptId(new_id()),
        step: Some(step.id.clone()),
        episode: Some(step.episode.clone()),
        patient: Some(step.patient.clone()),
        phone,
        number: 1,
        engine: ENGINE.to_owned(),
        leased_until: at(60),
        trunk: "loopback".to_owned(),
        caller: "4001".to_owned(),
        caller_most: CallerMost::default(),
        script: "cardiac".to_owned(),
        script_hash: "hash".to_owned(),
        day: step.day,
        lang: Lang::Zh,
        started_at: at(1),
    }
}

/// Enrols, claims the step of day 3 and begins its call.
pub async fn calling(store: &Store, number: &str) -> (NewAttempt, Enrolment) {
    let (enrolled, enrolment) = enrol(store, number).await;
    let claimed = store
        .claim_due_steps(at(0), 100, at(60), ENGINE)
        .await
        .expect("claimed");
    let step = claimed
        .into_iter()
        .find(|step| step.patient == enrolled.patient)
        .expect("day 3 is due");
    let new = new_attempt(&step, enrolment.patient.phone.clone());
    let begun = store.begin_attempt(&new).await.expect("begun");
    assert_eq!(begun, aftercall::store::attempt::Begun::Dial);
    (new, enrolment)
}

/// The rules of trends that the program was built with.
pub fn trend_rules() -> Arc<trend::Rules> {
    let lexicon = redflags::load(None).expect("the built-in lexicon compiles");
    Arc::new(redflags::load_trends(None, &lexicon).expect("the built-in rules compile"))
}

/// The clinical content that the program was built with, and the packs of the demo's scripts.
pub fn clinic() -> Arc<Clinic> {
    let pack = |id: &str| (id.to_owned(), vec![PackId(id.to_owned())]);
    Arc::new(Clinic {
        lexicon: Arc::new(redflags::load(None).expect("the built-in lexicon compiles")),
        trends: trend_rules(),
        packs: [pack("cardiac"), pack("surgery")].into(),
    })
}

fn evidence() -> Evidence {
    Evidence {
        raw: "胸口有点闷".into(),
        normalised: "胸口有点闷".into(),
        span: (0, 5),
        term: "胸口闷".to_owned(),
        level: MatchLevel::Text,
        pinyin: Some("xiong kou you dian men".to_owned()),
        rules: Vec::new(),
        lexicon: "lexicon".to_owned(),
        engine: "redflag-1".to_owned(),
    }
}

pub fn finding(concept: &str, urgency: Urgency) -> PlacedFinding {
    PlacedFinding {
        finding: Finding {
            concept: ConceptId(concept.to_owned()),
            detail: None,
            polarity: Polarity::Present,
            urgency,
            confirmation: Confirmation::Due,
            when: When::default(),
            subject: About::default(),
            evidence: evidence(),
        },
        turn: 1,
        node: NodeId("chest".to_owned()),
        from_ms: 12_000,
        to_ms: 13_400,
        denied: None,
    }
}

pub fn turn(index: u32) -> Turn {
    Turn {
        index,
        node: NodeId("chest".to_owned()),
        prompt: Phi::new("您胸口疼吗？".to_owned()),
        kind: Some(QuestionKind::YesNo),
        asks: vec![ConceptId("chest_pain".to_owned())],
        respondent: Respondent::Patient,
        prompt_from_ms: 9_000,
        prompt_to_ms: 11_000,
        reply: Some(TurnReply {
            heard: Phi::new(Transcript {
                text: "昨天晚上胸口有点闷".to_owned(),
                logprob: -0.25,
                no_speech: 0.0,
                choice: None,
                alternates: Vec::new(),
                took_ms: 700,
            }),
            keys: Phi::new(String::new()),
            meaning: "yes".to_owned(),
            from_ms: 12_000,
            to_ms: 13_400,
            latency_ms: Some(900),
            readings: Vec::new(),
        }),
    }
}

pub fn raise(new: &NewAttempt, causes: Vec<Cause>) -> Raise {
    Raise {
        subject: Subject {
            patient: new.patient.clone(),
            episode: new.episode.clone(),
            attempt: Some(new.id.clone()),
            high_risk: false,
        },
        causes,
        deadlines: deadlines(),
    }
}

pub fn deadlines() -> Deadlines {
    Deadlines::usual(TimeZone::UTC)
}

pub fn found(new: &NewAttempt, placed: PlacedFinding) -> Cause {
    Cause::Finding {
        finding: Box::new(placed),
        attempt: Some(new.id.clone()),
    }
}

pub fn finish(new: &NewAttempt, disposition: Disposition, findings: Vec<PlacedFinding>) -> Finish {
    let causes: Vec<Cause> = findings
        .iter()
        .map(|placed| found(new, placed.clone()))
        .collect();
    let completed = disposition == Disposition::Completed;
    Finish {
        attempt: new.id.clone(),
        at: at(120),
        record: CallRecord {
            ending: Ending {
                disposition,
                sip_status: Some(200),
                q850_cause: Some(16),
                early_media: None,
                answered_by: AnsweredBy::Patient,
                met: None,
                rang: true,
                talk_ms: 90_000,
            },
            progress: Progress {
                identified: true,
                screened: completed,
                closing_spoken: completed,
            },
            turns: vec![turn(0), turn(1)],
            findings,
            suppressed: vec![Suppressed {
                concept: ConceptId("dyspnea".to_owned()),
                why: "negated".to_owned(),
                evidence: evidence(),
            }],
            line: None,
            notes: Vec::new(),
        },
        step: Some(StepChange {
            state: if completed {
                StepState::Done
            } else {
                StepState::Planned
            },
            next_at: at(900),
            why: None,
        }),
        message: None,
        raise: Some(raise(new, causes)),
        suppress: None,
        reported_death: false,
        reported_readmission: false,
        asked_for: None,
        audit: None,
    }
}
