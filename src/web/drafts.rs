//! Drafts of scripts: edited, handed in, signed by a clinician who changed nothing of it, put in force and taken back.
//!
//! The secret key never comes here. The page asks for the text to sign, signs it where the clinician's key file lies, and
//! sends the signature, which is held against the trusted keys before it is kept.

use std::collections::BTreeMap;

use aftercall_core::signature::{Signature, TrustedKey, key_id, signed_text, verify};
use aftercall_core::staff::{Right, Role};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Id};
use super::problem::Problem;
use super::scripts::{ErrorView, Judge, SignatureView, folder};
use super::{AppState, Caller};
use crate::scripts::{self, Files, Version};
use crate::store::StoreError;
use crate::store::draft::{Draft, DraftState, Edit, Publication};

/// A changed script and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct DraftView {
    pub id: String,
    pub script: String,
    pub note: String,
    #[schema(value_type = String, example = "submitted")]
    pub state: DraftState,
    pub hash: String,
    /// The hash of the version it was begun from.
    pub based_on: String,
    /// Everybody who changed it: none of them may sign it.
    pub edited_by: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    pub submitted_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub submitted_at: Option<Timestamp>,
    pub signature: Option<SignatureView>,
    pub signed_by: Option<String>,
    #[schema(value_type = Option<String>)]
    pub signed_role: Option<Role>,
    /// Send it with the next change: another's change in between is not overwritten.
    pub revision: i64,
    /// What is wrong with it, at the line. None may be left when it is handed in.
    pub errors: Vec<ErrorView>,
}

/// A script's drafts, and what was put in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct DraftsView {
    /// The newest first.
    pub drafts: Vec<DraftView>,
    /// The newest first; the first is in force, the folder's version where there is none.
    pub publications: Vec<PublicationView>,
    /// Whose keys are trusted here.
    pub clinicians: Vec<ClinicianView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PublicationView {
    /// Null: the folder's version.
    pub draft: Option<String>,
    pub why: String,
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ClinicianView {
    pub clinician: String,
    pub key_id: String,
    /// The demo's key: calls on the loopback telephone network only.
    pub loopback_only: bool,
}

/// The texts of a draft, by name; what is left out is as the folder has it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftBody {
    pub note: String,
    pub files: BTreeMap<String, String>,
    /// Of the draft that is changed; left out, a new one is begun.
    #[serde(default)]
    pub draft: Option<String>,
    #[serde(default)]
    pub revision: i64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepBody {
    pub revision: i64,
    /// `submitted`, `draft` (given back to the authors) or `withdrawn`.
    #[schema(value_type = String, example = "submitted")]
    pub to: DraftState,
}

/// Whose key will sign, and until when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningBody {
    pub key_id: String,
    /// The first day on which the signature no longer holds.
    #[schema(value_type = String, format = Date)]
    pub expires: Date,
}

/// The text that is signed, and what is sent back with its signature.
#[derive(Debug, Serialize, ToSchema)]
pub struct SigningView {
    /// Ed25519 over these bytes (UTF-8).
    pub text: String,
    pub clinician: String,
    #[schema(value_type = String, format = Date)]
    pub signed_on: Date,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignBody {
    pub revision: i64,
    pub key_id: String,
    #[schema(value_type = String, format = Date)]
    pub signed_on: Date,
    #[schema(value_type = String, format = Date)]
    pub expires: Date,
    /// Base64.
    pub signature: String,
}

/// What is put in force; without a draft the folder's version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishBody {
    #[serde(default)]
    pub draft: Option<String>,
    pub why: String,
}

/// Lists a script's drafts and what was put in force.
#[utoipa::path(get, path = "/scripts/{id}/drafts", tag = "scripts", params(("id" = String, Path)), responses(
    (status = OK, body = DraftsView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(State(state): State<AppState>, Id(id): Id) -> Result<Json<DraftsView>, Problem> {
    let folder = folder(&state).await?;
    let drafts = state.store.drafts(&id).await?;
    let publications = state.store.publications(&id).await?;
    let judge = Judge::of(&state).await?;
    Ok(Json(DraftsView {
        drafts: drafts
            .into_iter()
            .map(|draft| view(&state, &folder, draft))
            .collect(),
        publications: publications.into_iter().map(PublicationView::of).collect(),
        clinicians: judge.keys().iter().map(ClinicianView::of).collect(),
    }))
}

/// Saves a draft, broken or not: its errors come back at their lines. Somebody else's change in between is a conflict.
#[utoipa::path(put, path = "/scripts/{id}/drafts", tag = "scripts", params(("id" = String, Path)),
    request_body = DraftBody, responses(
    (status = OK, body = DraftView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn save(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<DraftBody>,
) -> Result<Json<DraftView>, Problem> {
    let own = scripts::own_files(&id);
    if let Some(other) = body.files.keys().find(|name| !own.contains(name)) {
        let said = format!(
            "`{other}` is not of this script; a draft changes {}",
            own.join(", ")
        );
        return Err(Problem::field("files", said));
    }
    let folder = folder(&state).await?;
    let before = scripts::version(&folder, &id, &state.lexicon);
    if before.files.is_empty() {
        return Err(Problem::not_found("script"));
    }
    let changed = changed(&state, &folder, &id, &body.files);
    let edit = Edit {
        note: body.note,
        hash: hash(&changed),
        files: body.files,
        by: caller.name.clone(),
    };
    let now = state.now();
    let draft = match &body.draft {
        None => {
            state
                .store
                .begin_draft(&id, &hash(&before), &edit, now)
                .await?
        }
        Some(draft) => {
            of_script(&state, &id, draft).await?;
            state
                .store
                .edit_draft(draft, body.revision, &edit, now)
                .await?
        }
    };
    state.audit(&caller, "script.edit", &draft.id, &id).await?;
    Ok(Json(view(&state, &folder, draft)))
}

/// Hands a draft in, gives it back, or lays it aside. Only one without errors is handed in.
#[utoipa::path(post, path = "/drafts/{id}/state", tag = "scripts", params(("id" = String, Path)),
    request_body = StepBody, responses(
    (status = OK, body = DraftView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn step(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<StepBody>,
) -> Result<Json<DraftView>, Problem> {
    let draft = state.store.draft(&id).await?;
    let folder = folder(&state).await?;
    let moved = match body.to {
        DraftState::Submitted => {
            if !caller.may(Right::EditScripts) {
                return Err(not_yours());
            }
            let changed = changed(&state, &folder, &draft.script, &draft.files);
            if !changed.errors.is_empty() {
                return Err(broken());
            }
            if hash(&changed) != draft.hash {
                let said = "what all scripts share was changed since: save it anew first";
                return Err(Problem::new(StatusCode::CONFLICT, "draft_outdated", said));
            }
            refuse_used_revision(&state, &changed, None).await?;
            state
                .store
                .submit_draft(&id, body.revision, &caller.name, state.now())
                .await?
        }
        DraftState::Draft | DraftState::Withdrawn => {
            state
                .store
                .return_draft(&id, body.revision, body.to)
                .await?
        }
        DraftState::Signed => return Err(Problem::field("to", "signing has its own route")),
    };
    let to = crate::store::word_of(&body.to);
    state.audit(&caller, "script.draft", &id, &to).await?;
    Ok(Json(view(&state, &folder, moved)))
}

/// Says what a clinician's key has to sign. The key stays where it is.
#[utoipa::path(post, path = "/drafts/{id}/signing", tag = "scripts", params(("id" = String, Path)),
    request_body = SigningBody, responses(
    (status = OK, body = SigningView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn prepare(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<SigningBody>,
) -> Result<Json<SigningView>, Problem> {
    let draft = state.store.draft(&id).await?;
    refuse_own(&draft, &caller)?;
    let judge = Judge::of(&state).await?;
    let key = trusted(&judge, &body.key_id)?;
    let signature = Signature {
        version: 1,
        clinician: key.clinician.clone(),
        key_id: body.key_id,
        signed_on: judge.today(),
        expires: body.expires,
        content_sha256: draft.hash.clone(),
        signature: String::new(),
    };
    if signature.expires <= signature.signed_on {
        return Err(Problem::field("expires", "must come after today"));
    }
    let folder = folder(&state).await?;
    let changed = changed(&state, &folder, &draft.script, &draft.files);
    let Some(script) = changed
        .scripts
        .first()
        .filter(|_| changed.errors.is_empty())
    else {
        return Err(broken());
    };
    Ok(Json(SigningView {
        text: signed_text(&script.claim().work, &signature),
        clinician: signature.clinician,
        signed_on: signature.signed_on,
    }))
}

/// Keeps a clinician's signature of a draft that was handed in. Nobody signs their own edit.
#[utoipa::path(post, path = "/drafts/{id}/sign", tag = "scripts", params(("id" = String, Path)),
    request_body = SignBody, responses(
    (status = OK, body = DraftView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn sign(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<SignBody>,
) -> Result<Json<DraftView>, Problem> {
    let draft = state.store.draft(&id).await?;
    refuse_own(&draft, &caller)?;
    let judge = Judge::of(&state).await?;
    let key = trusted(&judge, &body.key_id)?;
    let signature = Signature {
        version: 1,
        clinician: key.clinician.clone(),
        key_id: body.key_id,
        signed_on: body.signed_on,
        expires: body.expires,
        content_sha256: draft.hash.clone(),
        signature: body.signature,
    };
    held(&state, &judge, &draft, Some(&signature)).await?;
    let by = (caller.name.as_str(), Role::Clinician);
    let signed = state
        .store
        .sign_draft(&id, body.revision, &signature, by, state.now())
        .await?;
    let detail = format!("{} until {}", signature.clinician, signature.expires);
    state.audit(&caller, "script.sign", &id, &detail).await?;
    Ok(Json(view(&state, &folder(&state).await?, signed)))
}

/// Puts a signed draft in force from the next call on; an earlier one, or the folder's version, is taken back so.
#[utoipa::path(post, path = "/scripts/{id}/publish", tag = "scripts", params(("id" = String, Path)),
    request_body = PublishBody, responses(
    (status = NO_CONTENT),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn publish(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<PublishBody>,
) -> Result<StatusCode, Problem> {
    if body.why.trim().is_empty() {
        return Err(Problem::field("why", "must not be empty"));
    }
    if let Some(draft) = &body.draft {
        let draft = of_script(&state, &id, draft).await?;
        let judge = Judge::of(&state).await?;
        let version = held(&state, &judge, &draft, draft.signature.as_ref()).await?;
        refuse_used_revision(&state, &version, draft.signature.as_ref()).await?;
    }
    let publication = Publication {
        draft: body.draft,
        why: body.why,
        by: caller.name.clone(),
        at: state.now(),
    };
    let what = publication
        .draft
        .clone()
        .unwrap_or_else(|| "folder".to_owned());
    state
        .audit(
            &caller,
            "script.publish",
            &id,
            &format!("{what}: {}", publication.why),
        )
        .await?;
    state.store.publish_draft(&id, &publication).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn of_script(state: &AppState, script: &str, draft: &str) -> Result<Draft, Problem> {
    let draft = state.store.draft(draft).await?;
    if draft.script == script {
        Ok(draft)
    } else {
        Err(Problem::not_found("draft"))
    }
}

/// The version that a draft makes with a signature, sound and held to the keys that are trusted here.
async fn held(
    state: &AppState,
    judge: &Judge,
    draft: &Draft,
    signature: Option<&Signature>,
) -> Result<Version, Problem> {
    let folder = folder(state).await?;
    let all = scripts::overlaid(&folder, &draft.script, &draft.files, signature);
    let version = scripts::version(&all, &draft.script, &state.lexicon);
    let script = version
        .scripts
        .first()
        .filter(|_| version.errors.is_empty());
    let script = script.ok_or_else(broken)?;
    verify(&script.claim(), judge.keys(), judge.today()).map_err(|error| {
        Problem::new(StatusCode::CONFLICT, "signature_refused", error.to_string())
    })?;
    Ok(version)
}

/// A revision that calls ran never changes: the engine would not start with another text under its number.
async fn refuse_used_revision(
    state: &AppState,
    version: &Version,
    signature: Option<&Signature>,
) -> Result<(), Problem> {
    let script = version.scripts.first().ok_or_else(broken)?;
    let revision = script.revision.to_string();
    let kept = match state.store.script_version(&script.id, &revision).await {
        Ok(kept) => kept,
        Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let signature = signature.and_then(|signature| serde_json::to_string(signature).ok());
    if kept.hash == script.hash && kept.signature == signature {
        return Ok(());
    }
    let said = format!(
        "revision {revision} was put in force with another text: raise `revision` in script.toml"
    );
    Err(Problem::new(StatusCode::CONFLICT, "revision_used", said))
}

fn refuse_own(draft: &Draft, caller: &Caller) -> Result<(), Problem> {
    if draft.state != DraftState::Submitted {
        let said = "only a draft that was handed in is signed";
        return Err(Problem::new(StatusCode::CONFLICT, "not_submitted", said));
    }
    let submitted = draft.submitted_by.as_deref() == Some(&caller.name);
    if submitted || draft.edited_by.contains(&caller.name) {
        let said = "nobody signs their own edit";
        return Err(Problem::new(StatusCode::FORBIDDEN, "own_edit", said));
    }
    Ok(())
}

fn trusted<'a>(judge: &'a Judge, id: &str) -> Result<&'a TrustedKey, Problem> {
    let mut keys = judge.keys().iter();
    keys.find(|key| key_id(&key.public) == id)
        .ok_or_else(|| Problem::field("key_id", "is no key that is trusted here"))
}

fn not_yours() -> Problem {
    let said = "your role may not do this";
    Problem::new(StatusCode::FORBIDDEN, "not_allowed", said)
}

fn broken() -> Problem {
    let said = "it has errors; mend them first";
    Problem::new(StatusCode::CONFLICT, "script_broken", said)
}

fn changed(state: &AppState, folder: &Files, script: &str, files: &Files) -> Version {
    let all = scripts::overlaid(folder, script, files, None);
    scripts::version(&all, script, &state.lexicon)
}

/// What is signed; empty where the texts cannot be read.
fn hash(version: &Version) -> String {
    let first = version.scripts.first();
    first.map(|script| script.hash.clone()).unwrap_or_default()
}

fn view(state: &AppState, folder: &Files, draft: Draft) -> DraftView {
    let errors = changed(state, folder, &draft.script, &draft.files).errors;
    DraftView {
        id: draft.id,
        script: draft.script,
        note: draft.note,
        state: draft.state,
        hash: draft.hash,
        based_on: draft.based_on,
        edited_by: draft.edited_by.into_iter().collect(),
        changed_at: draft.changed_at,
        submitted_by: draft.submitted_by,
        submitted_at: draft.submitted_at,
        signature: draft.signature.as_ref().map(SignatureView::of),
        signed_by: draft.signed_by,
        signed_role: draft.signed_role,
        revision: draft.revision,
        errors: errors.iter().map(ErrorView::of).collect(),
    }
}

impl PublicationView {
    fn of(publication: Publication) -> Self {
        Self {
            draft: publication.draft,
            why: publication.why,
            by: publication.by,
            at: publication.at,
        }
    }
}

impl ClinicianView {
    fn of(key: &TrustedKey) -> Self {
        Self {
            clinician: key.clinician.clone(),
            key_id: key_id(&key.public),
            loopback_only: key.loopback_only,
        }
    }
}
