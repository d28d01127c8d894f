//! Patients: the hospital's record of a person and one stay in, our record out.

use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::import::phone_number;
use aftercall_core::lang::Lang;
use aftercall_core::patient::{
    Consent, ConsentBasis, Contact, Episode, EpisodeState, Hearing, Life, Patient, Relation, Topic,
};
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::Case;
use aftercall_core::time::{self, Timestamp};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Id, List, Paging, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::new_id;
use crate::store::patient::{Enrolment, PatientChange};

/// A listed relative, who may be asked about the permitted topics.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactView {
    pub name: String,
    #[schema(value_type = String, example = "spouse")]
    pub relation: Relation,
    pub phone: Option<String>,
    #[schema(value_type = Vec<String>, example = json!(["health", "medicines"]))]
    pub topics: Vec<Topic>,
}

/// The ground on which a robot may call.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentView {
    #[schema(value_type = String, example = "written")]
    pub basis: ConsentBasis,
    pub text_version: Option<String>,
    #[schema(value_type = Option<String>, format = Date)]
    pub given_on: Option<Date>,
    /// May the call be recorded.
    pub recording: bool,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub struct PatientView {
    pub id: String,
    pub hospital: String,
    pub number: String,
    pub name: String,
    #[schema(value_type = String, format = Date)]
    pub birth_date: Date,
    pub phone: Option<String>,
    #[schema(value_type = String, example = "zh")]
    pub lang: Lang,
    pub dialect: Option<String>,
    #[schema(value_type = String, example = "normal")]
    pub hearing: Hearing,
    /// IANA zone of the telephone.
    pub zone: String,
    pub knows_diagnosis: bool,
    #[schema(value_type = String, example = "alive")]
    pub life: Life,
    pub consent: ConsentView,
    pub contacts: Vec<ContactView>,
}

/// A person with the stay that ended: saved once however often it is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPatient {
    /// The hospital's patient number.
    pub number: String,
    pub name: String,
    #[schema(value_type = String, format = Date)]
    pub birth_date: Date,
    pub phone: Option<String>,
    #[schema(value_type = String, example = "zh")]
    pub lang: Lang,
    pub dialect: Option<String>,
    #[serde(default)]
    #[schema(value_type = String, example = "normal")]
    pub hearing: Hearing,
    /// The hospital's zone when it is left out.
    pub zone: Option<String>,
    #[serde(default)]
    pub knows_diagnosis: bool,
    #[serde(default)]
    #[schema(value_type = String, example = "alive")]
    pub life: Life,
    #[serde(default)]
    pub consent: ConsentView,
    #[serde(default)]
    pub contacts: Vec<ContactView>,
    pub stay: NewStay,
}

/// One stay; its plan follows from the discharge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStay {
    /// The hospital's encounter number.
    pub encounter: String,
    /// Script: `cardiac`, `surgery`, `general`.
    pub pathway: String,
    #[serde(default)]
    pub department: String,
    #[serde(default)]
    pub ward: String,
    #[schema(value_type = String, format = DateTime)]
    pub discharged_at: Timestamp,
    #[serde(default)]
    #[schema(value_type = String, example = "discharged")]
    pub state: EpisodeState,
    #[serde(default)]
    pub high_risk: bool,
}

/// What a save became.
#[derive(Debug, Serialize, ToSchema)]
pub struct SavedPatient {
    pub id: String,
    pub episode: String,
    pub new_patient: bool,
    pub new_episode: bool,
}

/// What may change without a new discharge; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatientPatch {
    #[schema(value_type = Option<String>)]
    pub lang: Option<Lang>,
    /// The empty text forgets the dialect.
    pub dialect: Option<String>,
    #[schema(value_type = Option<String>)]
    pub hearing: Option<Hearing>,
    pub knows_diagnosis: Option<bool>,
    pub contacts: Option<Vec<ContactView>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LifeBody {
    #[schema(value_type = String, example = "dead")]
    pub life: Life,
}

/// Whom to look for: a name or a number, which stands in no URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FindBody {
    /// The hospital's number, or how the name begins.
    pub text: String,
}

/// A person in a list of those who were looked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundPatient {
    pub id: String,
    pub number: String,
    pub name: String,
    #[schema(value_type = String, format = Date)]
    pub birth_date: Date,
    /// Of all stays.
    pub wards: Vec<String>,
}

/// Finds patients by number, or by how the name begins: at most 50.
#[utoipa::path(post, path = "/patients/find", tag = "patients", request_body = FindBody, responses(
    (status = OK, body = List<FoundPatient>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn find(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<FindBody>,
) -> Result<Json<List<FoundPatient>>, Problem> {
    let text = body.text.trim();
    if text.is_empty() {
        return Err(Problem::field("text", "must not be empty"));
    }
    let found = state.store.find_patients(text, &caller.wards).await?;
    let detail = format!("{} rows", found.len());
    state.audit(&caller, "patient.list", "", &detail).await?;
    let items = found.into_iter().map(|(patient, wards)| FoundPatient {
        id: patient.id.0,
        number: patient.number.expose().clone(),
        name: patient.name.expose().clone(),
        birth_date: *patient.birth_date.expose(),
        wards,
    });
    Ok(Json(List {
        items: items.collect(),
        next_cursor: None,
    }))
}

/// Lists patients in the order first saved.
#[utoipa::path(get, path = "/patients", tag = "patients", params(Paging), responses(
    (status = OK, body = List<PatientView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<List<PatientView>>, Problem> {
    let page = state
        .store
        .patients_seen(&caller.wards, &paging.request()?)
        .await?;
    state
        .audit(
            &caller,
            "patient.list",
            "",
            &format!("{} rows", page.items.len()),
        )
        .await?;
    Ok(Json(List::of(page, PatientView::from)))
}

/// Shows one patient.
#[utoipa::path(get, path = "/patients/{id}", tag = "patients", params(("id" = String, Path)), responses(
    (status = OK, body = PatientView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<PatientView>, Problem> {
    let patient = state.store.patient(&PatientId(id)).await?;
    state
        .audit(&caller, "patient.read", &patient.id.0, "")
        .await?;
    Ok(Json(PatientView::from(patient)))
}

/// Saves a patient with one stay and plans its calls; a second time it brings the record up to date.
#[utoipa::path(post, path = "/patients", tag = "patients", request_body = NewPatient, responses(
    (status = CREATED, body = SavedPatient, description = "the patient or the stay is new"),
    (status = OK, body = SavedPatient, description = "both were known"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn save(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<NewPatient>,
) -> Result<(StatusCode, Json<SavedPatient>), Problem> {
    let (patient, episode) = body.into_record(&state)?;
    let plan = state.pathways.plan(&patient, &episode, &Case::default());
    let plan = plan
        .ok_or_else(|| Problem::field("stay.pathway", "no pathway fits: name one, or a script"))?;
    let zone = patient.zone.clone();
    let enrolment = Enrolment {
        patient,
        episode: Episode {
            pathway: plan.script,
            ..episode
        },
        steps: plan.steps,
    };
    let saved = state
        .store
        .save_patient_with_episode_and_steps(&enrolment, &caller.name, state.now())
        .await?;
    state
        .store
        .plan_errands(
            (&saved.patient, &zone),
            &saved.episode,
            (&plan.errands, &plan.readings),
        )
        .await?;
    state
        .audit(&caller, "patient.save", &saved.patient.0, &saved.episode.0)
        .await?;
    let status = if saved.new_patient || saved.new_episode {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let view = SavedPatient {
        id: saved.patient.0,
        episode: saved.episode.0,
        new_patient: saved.new_patient,
        new_episode: saved.new_episode,
    };
    Ok((status, Json(view)))
}

/// Changes language, dialect, hearing, what the patient knows, or the contacts.
#[utoipa::path(patch, path = "/patients/{id}", tag = "patients", params(("id" = String, Path)),
    request_body = PatientPatch, responses(
    (status = OK, body = PatientView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<PatientPatch>,
) -> Result<Json<PatientView>, Problem> {
    let id = PatientId(id);
    let read = |told| contacts(told, &state.defaults.country);
    let change = PatientChange {
        lang: body.lang,
        dialect: body
            .dialect
            .map(|dialect| Some(dialect).filter(|dialect| !dialect.is_empty())),
        hearing: body.hearing,
        knows_diagnosis: body.knows_diagnosis,
        contacts: body.contacts.map(read).transpose()?,
    };
    let patient = state
        .store
        .change_patient(&id, &change, state.now())
        .await?;
    state.audit(&caller, "patient.change", &id.0, "").await?;
    Ok(Json(PatientView::from(patient)))
}

/// Records that the patient has died, or that a reported death was wrong.
#[utoipa::path(put, path = "/patients/{id}/life", tag = "patients", params(("id" = String, Path)),
    request_body = LifeBody, responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn set_life(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<LifeBody>,
) -> Result<StatusCode, Problem> {
    state
        .store
        .set_life(&PatientId(id.clone()), body.life, state.now())
        .await?;
    state.audit(&caller, "patient.life", &id, "").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a consent in force, or a withdrawal; the one before stays as history.
#[utoipa::path(put, path = "/patients/{id}/consent", tag = "patients", params(("id" = String, Path)),
    request_body = ConsentView, responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn set_consent(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<ConsentView>,
) -> Result<StatusCode, Problem> {
    let patient = state.store.patient(&PatientId(id)).await?;
    state
        .store
        .set_consent(&patient.id, &body.into(), &caller.name, state.now())
        .await?;
    state
        .audit(&caller, "patient.consent", &patient.id.0, "")
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

impl NewPatient {
    fn into_record(self, state: &AppState) -> Result<(Patient, Episode), Problem> {
        for (field, text) in [
            ("number", &self.number),
            ("name", &self.name),
            ("stay.encounter", &self.stay.encounter),
            ("stay.pathway", &self.stay.pathway),
        ] {
            if text.trim().is_empty() {
                return Err(Problem::field(field, "must not be empty"));
            }
        }
        let zone = self.zone.unwrap_or_else(|| state.defaults.zone.clone());
        if time::zone(&zone).is_none() {
            return Err(Problem::field(
                "zone",
                "is not an IANA zone; write one as Asia/Shanghai",
            ));
        }
        let country = &state.defaults.country;
        let patient = Patient {
            id: PatientId(new_id()),
            hospital: state.defaults.hospital.clone(),
            number: Phi::new(self.number),
            name: Phi::new(self.name),
            birth_date: Phi::new(self.birth_date),
            phone: phone("phone", self.phone.as_deref(), country)?,
            lang: self.lang,
            dialect: self.dialect,
            hearing: self.hearing,
            zone,
            knows_diagnosis: self.knows_diagnosis,
            life: self.life,
            consent: self.consent.into(),
            contacts: contacts(self.contacts, country)?,
        };
        let episode = Episode {
            id: EpisodeId(new_id()),
            patient: patient.id.clone(),
            encounter: self.stay.encounter,
            pathway: self.stay.pathway,
            department: self.stay.department,
            ward: self.stay.ward,
            discharged_at: self.stay.discharged_at,
            state: self.stay.state,
            high_risk: self.stay.high_risk,
        };
        Ok((patient, episode))
    }
}

fn phone(field: &str, text: Option<&str>, country: &str) -> Result<Option<PhoneNumber>, Problem> {
    text.map(|text| phone_number(text, country))
        .transpose()
        .map_err(|fault| Problem::field(field, fault.to_string()))
}

fn contacts(views: Vec<ContactView>, country: &str) -> Result<Vec<Contact>, Problem> {
    let read = |(place, view): (usize, ContactView)| {
        Ok(Contact {
            name: Phi::new(view.name),
            relation: view.relation,
            phone: phone(
                &format!("contacts[{place}].phone"),
                view.phone.as_deref(),
                country,
            )?,
            topics: view.topics,
        })
    };
    views.into_iter().enumerate().map(read).collect()
}

impl From<Patient> for PatientView {
    fn from(patient: Patient) -> Self {
        Self {
            id: patient.id.0,
            hospital: patient.hospital,
            number: patient.number.expose().clone(),
            name: patient.name.expose().clone(),
            birth_date: *patient.birth_date.expose(),
            phone: patient.phone.map(String::from),
            lang: patient.lang,
            dialect: patient.dialect,
            hearing: patient.hearing,
            zone: patient.zone,
            knows_diagnosis: patient.knows_diagnosis,
            life: patient.life,
            consent: ConsentView {
                basis: patient.consent.basis,
                text_version: patient.consent.text_version,
                given_on: patient.consent.given_on,
                recording: patient.consent.recording,
            },
            contacts: patient
                .contacts
                .into_iter()
                .map(ContactView::from)
                .collect(),
        }
    }
}

impl From<Contact> for ContactView {
    fn from(contact: Contact) -> Self {
        Self {
            name: contact.name.expose().clone(),
            relation: contact.relation,
            phone: contact.phone.map(String::from),
            topics: contact.topics,
        }
    }
}

impl From<ConsentView> for Consent {
    fn from(view: ConsentView) -> Self {
        Self {
            basis: view.basis,
            text_version: view.text_version,
            given_on: view.given_on,
            recording: view.recording,
        }
    }
}
