//! Scripts as authors and clinicians see them: the tree, its check, a rehearsal, what calls made of each node. Drafts and
//! signatures are in [`super::drafts`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aftercall_core::attempt::{Disposition, Progress};
use aftercall_core::finding::{Polarity, Urgency};
use aftercall_core::lang::Lang;
use aftercall_core::patient::Hearing;
use aftercall_core::phi::Phi;
use aftercall_core::script::node::{Node, Piece, Target};
use aftercall_core::script::{Facts, Script, ScriptError, paths};
use aftercall_core::signature::{Signature, verify};
use aftercall_core::time;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::calls::value;
use super::extract::{Body, Id, List, Params};
use super::figures::{FiguresQuery, days};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::library::trusted_keys;
use crate::recording::speech_wav;
use crate::rehearsal::{By, Rehearsal};
use crate::scripts::{self, Files, Version};
use crate::speech::audio;
use crate::trunk::config::Trunk;

/// The longest rehearsal, in replies.
const MOST_REPLIES: usize = 200;

/// A script in its list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScriptHead {
    #[schema(example = "cardiac")]
    pub id: String,
    pub revision: u32,
    pub title: String,
    pub author: String,
    #[schema(value_type = Vec<String>)]
    pub langs: Vec<Lang>,
    pub days: Vec<u16>,
    pub hash: String,
    pub signature: Option<SignatureView>,
    /// Why it may not dial, where it may not.
    pub refused: Option<String>,
}

/// Whose signature it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignatureView {
    pub clinician: String,
    pub key_id: String,
    #[schema(value_type = String, format = Date)]
    pub signed_on: Date,
    /// The first day on which it no longer holds.
    #[schema(value_type = String, format = Date)]
    pub expires: Date,
}

/// A version of a script in one language.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScriptView {
    /// Null where its files cannot be read: `errors` says why.
    pub head: Option<ScriptHead>,
    pub nodes: Vec<NodeView>,
    /// Where the first words are.
    pub start: Option<String>,
    /// Where a caller's word may lead at any moment.
    pub commands: Vec<EdgeView>,
    pub errors: Vec<ErrorView>,
    /// The longest usual path of each day.
    pub lengths: Vec<LengthView>,
    /// The texts of its own folder, by name.
    pub files: Vec<FileView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct NodeView {
    pub id: String,
    #[schema(example = "yes_no")]
    pub kind: &'static str,
    /// `file:line`.
    pub at: String,
    /// It stands in the folder that all scripts share.
    pub shared: bool,
    /// Empty: every day.
    pub days: Vec<u16>,
    /// Of the emergency screen.
    pub emergency: bool,
    pub follow_up: bool,
    /// Concepts asked for.
    pub asks: Vec<String>,
    pub says: Vec<SaidView>,
    /// Said when it is asked again.
    pub again: Option<String>,
    /// The keys that answer it.
    pub hint: Option<String>,
    pub edges: Vec<EdgeView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SaidView {
    /// A prompt's name, or `{patient}`.
    pub name: String,
    pub text: String,
    /// `/scripts/prompts/{key}` plays it: folder, language and name.
    #[schema(example = "cardiac/zh/legs")]
    pub recording: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EdgeView {
    /// A reply, `next`, `silence`, `no_match`, or a command.
    pub on: String,
    /// A node, `@human`, `@skip` or `@resume`.
    pub to: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorView {
    pub file: String,
    pub line: usize,
    #[schema(example = "no_silence")]
    pub rule: String,
    pub problem: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LengthView {
    pub day: u16,
    pub questions: usize,
    pub seconds: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FileView {
    pub name: String,
    pub text: String,
}

/// Which version: the folder's where nothing is named.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct VersionQuery {
    #[param(value_type = Option<String>)]
    pub lang: Option<Lang>,
    /// A draft.
    pub draft: Option<String>,
    /// A version that calls ran, by the hash of its content.
    pub hash: Option<String>,
}

/// A rehearsal from its beginning.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RehearsalBody {
    #[schema(value_type = String, example = "zh")]
    pub lang: Lang,
    /// Days after discharge.
    pub day: u16,
    #[serde(default)]
    pub draft: Option<String>,
    #[serde(default)]
    pub high_risk: bool,
    /// What the patient says, reply by reply: nothing is silence, `=12` presses keys, `?` is noise.
    pub replies: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RehearsalView {
    pub lines: Vec<LineView>,
    /// The script has hung up.
    pub over: bool,
    /// Who is played: name and date of birth.
    pub patient: String,
    #[schema(value_type = String, format = Date)]
    pub birth: Date,
    #[schema(value_type = String, example = "completed")]
    pub disposition: Disposition,
    pub identified: bool,
    pub screened: bool,
    pub seconds: f64,
    pub findings: Vec<RehearsedFinding>,
    /// The order that a nurse would get.
    pub order: Option<RehearsedOrder>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    pub at_s: f64,
    /// `robot`, `patient` or `script`.
    pub by: &'static str,
    pub node: String,
    pub text: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RehearsedFinding {
    pub concept: String,
    #[schema(value_type = String)]
    pub polarity: Polarity,
    #[schema(value_type = String)]
    pub urgency: Urgency,
    pub node: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RehearsedOrder {
    #[schema(value_type = String)]
    pub urgency: Urgency,
    /// Kinds of cause.
    pub causes: Vec<String>,
}

/// What calls made of a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeFigures {
    pub node: String,
    /// Calls that came to it.
    pub reached: u64,
    /// Calls that broke off at it.
    pub hung_up: u64,
    /// Turns.
    pub asked: u64,
    pub not_understood: u64,
    pub silent: u64,
    /// From its prompt to the next one, on average.
    pub seconds: Option<f64>,
}

/// Lists the scripts as the next start of the engine takes them.
#[utoipa::path(get, path = "/scripts", tag = "scripts", responses(
    (status = OK, body = List<ScriptHead>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(State(state): State<AppState>) -> Result<Json<List<ScriptHead>>, Problem> {
    let folder = folder(&state).await?;
    let mut all = folder.clone();
    for draft in state.store.drafts_in_force().await? {
        all = scripts::overlaid(&all, &draft.script, &draft.files, draft.signature.as_ref());
    }
    let (found, errors) = scripts::sound(&all);
    for error in errors {
        tracing::warn!("script left out: {error}");
    }
    let judge = Judge::of(&state).await?;
    let mut items: BTreeMap<String, ScriptHead> = BTreeMap::new();
    for script in found {
        match items.get_mut(&script.id) {
            Some(head) => head.langs.push(script.lang),
            None => drop(items.insert(script.id.clone(), judge.head(&script))),
        }
    }
    Ok(Json(List {
        items: items.into_values().collect(),
        next_cursor: None,
    }))
}

/// Shows a version of a script: its tree, what is wrong with it, its texts.
#[utoipa::path(get, path = "/scripts/{id}", tag = "scripts", params(("id" = String, Path), VersionQuery), responses(
    (status = OK, body = ScriptView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    Id(id): Id,
    Params(query): Params<VersionQuery>,
) -> Result<Json<ScriptView>, Problem> {
    let version = version(&state, &id, &query).await?;
    let lang = query.lang.unwrap_or(Lang::Zh);
    let judge = Judge::of(&state).await?;
    Ok(Json(view(&state, &judge, &version, lang)))
}

/// Plays a prompt as it was recorded (WAV, 8 kHz).
#[utoipa::path(get, path = "/scripts/prompts/{folder}/{lang}/{name}", tag = "scripts",
    params(("folder" = String, Path), ("lang" = String, Path), ("name" = String, Path)), responses(
    (status = OK, content_type = "audio/wav"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn prompt(
    State(state): State<AppState>,
    Path((folder, lang, name)): Path<(String, String, String)>,
) -> Result<([(HeaderName, &'static str); 1], Vec<u8>), Problem> {
    let missing = || Problem::not_found("recording");
    let known = |part: &String| {
        let mut letters = part.chars();
        letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if ![&folder, &lang, &name].into_iter().all(known) {
        return Err(missing());
    }
    let file = recorded(&state, &format!("{folder}/{lang}/{name}")).ok_or_else(missing)?;
    let read = tokio::task::spawn_blocking(move || audio::decode_file(&file)).await;
    let Ok(Ok(samples)) = read else {
        return Err(missing());
    };
    let kind = [(header::CONTENT_TYPE, "audio/wav")];
    Ok((kind, speech_wav(&samples)))
}

/// Rehearses a call in virtual time: nobody is rung. The same replies give the same call.
#[utoipa::path(post, path = "/scripts/{id}/rehearse", tag = "scripts", params(("id" = String, Path)),
    request_body = RehearsalBody, responses(
    (status = OK, body = RehearsalView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn rehearse(
    State(state): State<AppState>,
    Id(id): Id,
    Body(body): Body<RehearsalBody>,
) -> Result<Json<RehearsalView>, Problem> {
    if body.replies.len() > MOST_REPLIES {
        return Err(Problem::field(
            "replies",
            format!("are at most {MOST_REPLIES}"),
        ));
    }
    let query = VersionQuery {
        lang: Some(body.lang),
        draft: body.draft,
        hash: None,
    };
    let version = version(&state, &id, &query).await?;
    let script = of_lang(&version, body.lang).ok_or_else(|| unreadable(&version))?;
    let facts = facts(&state, body.lang, body.day);
    let (patient, birth) = (facts.patient.expose().clone(), BIRTH);
    let mut rehearsal = Rehearsal::begin(script, facts, Arc::clone(&state.lexicon));
    for reply in &body.replies {
        if rehearsal.is_over() {
            break;
        }
        rehearsal.hear(reply.trim());
    }
    let lines = rehearsal.take_lines().into_iter().map(|line| LineView {
        at_s: line.at_s,
        by: match line.by {
            By::Robot => "robot",
            By::Patient => "patient",
            By::Script => "script",
        },
        node: line.node.0,
        text: line.text,
    });
    let (lines, over) = (lines.collect(), rehearsal.is_over());
    let outcome = rehearsal.end(body.high_risk, state.now());
    let Progress {
        identified,
        screened,
        ..
    } = outcome.progress;
    let findings = outcome.findings.iter().map(|placed| RehearsedFinding {
        concept: placed.finding.concept.0.clone(),
        polarity: placed.finding.polarity,
        urgency: placed.finding.urgency,
        node: placed.node.0.clone(),
    });
    let order = outcome.order.as_ref().map(|order| RehearsedOrder {
        urgency: order.urgency,
        causes: order
            .causes
            .iter()
            .filter_map(|cause| Some(value(cause)["kind"].as_str()?.to_owned()))
            .collect(),
    });
    Ok(Json(RehearsalView {
        lines,
        over,
        patient,
        birth,
        disposition: outcome.disposition,
        identified,
        screened,
        seconds: outcome.seconds,
        findings: findings.collect(),
        order,
    }))
}

/// Shows what calls made of each node in a period: reached, broken off at, not understood, how long.
#[utoipa::path(get, path = "/scripts/{id}/figures", tag = "scripts", params(("id" = String, Path), FiguresQuery), responses(
    (status = OK, body = List<NodeFigures>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn figures(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Params(query): Params<FiguresQuery>,
) -> Result<Json<List<NodeFigures>>, Problem> {
    let days = days(&state, &query)?;
    let nodes = state.store.node_figures(&id, &days, &caller.wards).await?;
    let items = nodes.into_iter().map(|node| NodeFigures {
        node: node.node.0,
        reached: node.reached,
        hung_up: node.hung_up,
        asked: node.asked,
        not_understood: node.not_understood,
        silent: node.silent,
        seconds: node.seconds,
    });
    Ok(Json(List {
        items: items.collect(),
        next_cursor: None,
    }))
}

/// The folder's texts, read off the async threads.
pub(super) async fn folder(state: &AppState) -> Result<Files, Problem> {
    let dir = state.config.scripts.dir.clone();
    let read = tokio::task::spawn_blocking(move || scripts::folder(&dir)).await;
    match read {
        Ok(Ok(files)) => Ok(files),
        Ok(Err(error)) => {
            tracing::error!(%error, "scripts cannot be read");
            Err(no_folder())
        }
        Err(_) => Err(no_folder()),
    }
}

fn no_folder() -> Problem {
    let said = "the folder of scripts cannot be read; the server's log says why";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", said)
}

fn unreadable(version: &Version) -> Problem {
    let first = version.errors.first().map(ToString::to_string);
    let said = first.unwrap_or_else(|| "it does not speak this language".to_owned());
    Problem::new(StatusCode::CONFLICT, "script_broken", said)
}

/// The version that is asked for.
async fn version(state: &AppState, id: &str, query: &VersionQuery) -> Result<Version, Problem> {
    let files = match (&query.draft, &query.hash) {
        (Some(draft), _) => {
            let draft = state.store.draft(draft).await?;
            let folder = folder(state).await?;
            scripts::overlaid(&folder, id, &draft.files, draft.signature.as_ref())
        }
        (None, Some(hash)) => {
            let kept = state.store.script_by_hash(hash).await?;
            let files = kept.and_then(|kept| scripts::files_of(&kept.content));
            files.ok_or_else(|| Problem::not_found("version"))?
        }
        (None, None) => folder(state).await?,
    };
    let version = scripts::version(&files, id, &state.lexicon);
    if version.files.is_empty() {
        return Err(Problem::not_found("script"));
    }
    Ok(version)
}

fn of_lang(version: &Version, lang: Lang) -> Option<Arc<Script>> {
    let mut scripts = version.scripts.iter();
    scripts.find(|script| script.lang == lang).cloned()
}

/// Holds scripts to the signatures that are trusted here.
pub(super) struct Judge {
    keys: Vec<aftercall_core::signature::TrustedKey>,
    today: Date,
}

impl Judge {
    pub(super) async fn of(state: &AppState) -> Result<Self, Problem> {
        let file = state.config.trunk.file.clone();
        let trunk = tokio::task::spawn_blocking(move || Trunk::load(&file)).await;
        let on_loopback = matches!(trunk, Ok(Ok(trunk)) if trunk.is_loopback());
        let keys = trusted_keys(&state.config.scripts, on_loopback).unwrap_or_default();
        let zone = time::zone(&state.defaults.zone).unwrap_or(jiff::tz::TimeZone::UTC);
        Ok(Self {
            keys,
            today: zone.to_datetime(state.now()).date(),
        })
    }

    pub(super) fn keys(&self) -> &[aftercall_core::signature::TrustedKey] {
        &self.keys
    }

    pub(super) fn today(&self) -> Date {
        self.today
    }

    fn head(&self, script: &Script) -> ScriptHead {
        let held = verify(&script.claim(), &self.keys, self.today);
        ScriptHead {
            id: script.id.clone(),
            revision: script.revision,
            title: script.title.clone(),
            author: script.author.clone(),
            langs: vec![script.lang],
            days: script.days.clone(),
            hash: script.hash.clone(),
            signature: script.signature.as_ref().map(SignatureView::of),
            refused: held.err().map(|error| error.to_string()),
        }
    }
}

impl SignatureView {
    pub(super) fn of(signature: &Signature) -> Self {
        Self {
            clinician: signature.clinician.clone(),
            key_id: signature.key_id.clone(),
            signed_on: signature.signed_on,
            expires: signature.expires,
        }
    }
}

fn view(state: &AppState, judge: &Judge, version: &Version, lang: Lang) -> ScriptView {
    let script = of_lang(version, lang);
    let files = version.files.iter().map(|(name, text)| FileView {
        name: name.clone(),
        text: text.clone(),
    });
    let of = |script: &Script| {
        let lengths = script.days.iter().map(|day| {
            let length = paths::longest(script, *day);
            LengthView {
                day: *day,
                questions: length.questions,
                seconds: length.seconds.round(),
            }
        });
        lengths.collect()
    };
    let script = script.as_deref();
    ScriptView {
        head: script.map(|script| judge.head(script)),
        start: script.and_then(|script| Some(script.nodes.get(script.start)?.id.0.clone())),
        nodes: script.map_or_else(Vec::new, |script| {
            let nodes = script.nodes.iter();
            nodes
                .map(|node| NodeView::of(state, script, node))
                .collect()
        }),
        commands: script.map_or_else(Vec::new, |script| {
            let commands = script.commands.iter();
            let edge = |(jump, to): (&_, &usize)| EdgeView {
                on: crate::store::word_of(jump),
                to: script.nodes[*to].id.0.clone(),
            };
            commands.map(edge).collect()
        }),
        errors: version.errors.iter().map(ErrorView::of).collect(),
        lengths: script.map_or_else(Vec::new, of),
        files: files.collect(),
    }
}

/// Where a prompt's recording lies, if there is one.
fn recorded(state: &AppState, key: &str) -> Option<PathBuf> {
    let mut parts = key.split('/');
    let (folder, lang, name) = (parts.next()?, parts.next()?, parts.next()?);
    let within = state
        .config
        .scripts
        .dir
        .join(folder)
        .join("prompts")
        .join(lang);
    let files = ["flac", "wav"].map(|ending| within.join(format!("{name}.{ending}")));
    files.into_iter().find(|file| file.is_file())
}

impl ErrorView {
    pub(super) fn of(error: &ScriptError) -> Self {
        Self {
            file: error.at.file.clone(),
            line: error.at.line,
            rule: error.rule.to_string(),
            problem: error.problem.clone(),
        }
    }
}

impl NodeView {
    fn of(state: &AppState, script: &Script, node: &Node) -> Self {
        let text = |name: &Option<String>| {
            let prompt = script.prompts.get(name.as_ref()?)?;
            Some(prompt.text.clone())
        };
        let says = node.say.iter().map(|piece| match piece {
            Piece::Variable(variable) => SaidView {
                name: format!("{{{variable}}}"),
                text: format!("{{{variable}}}"),
                recording: None,
            },
            Piece::Prompt(name) => {
                let prompt = script.prompts.get(name);
                let key = prompt.map(|prompt| prompt.id.recording(script.lang));
                SaidView {
                    name: name.clone(),
                    text: prompt.map(|prompt| prompt.text.clone()).unwrap_or_default(),
                    recording: key.filter(|key| recorded(state, key).is_some()),
                }
            }
        });
        let replies = node.on.iter().map(|(on, to)| (on.as_str(), to));
        let others = [
            ("silence", &node.silence),
            ("no_match", &node.no_match),
            ("next", &node.next),
        ];
        let others = others
            .into_iter()
            .filter_map(|(on, to)| Some((on, to.as_ref()?)));
        let edge = |(on, to): (&str, &Target)| EdgeView {
            on: on.to_owned(),
            to: match to {
                Target::Node(to) => script.nodes[*to].id.0.clone(),
                Target::Human => "@human".to_owned(),
                Target::Skip => "@skip".to_owned(),
                Target::Resume => "@resume".to_owned(),
            },
        };
        Self {
            id: node.id.0.clone(),
            kind: node.kind.name(),
            at: node.at.to_string(),
            shared: node.at.file.starts_with("common/"),
            days: node.days.clone(),
            emergency: node.emergency,
            follow_up: node.follow_up,
            asks: node.asks.iter().map(|concept| concept.0.clone()).collect(),
            says: says.collect(),
            again: text(&node.again),
            hint: text(&node.hint),
            edges: replies.chain(others).map(edge).collect(),
        }
    }
}

/// Who is played.
const BIRTH: Date = date(1951, 9, 14);

fn facts(state: &AppState, lang: Lang, day: u16) -> Facts {
    let (hospital, patient) = match lang {
        Lang::Zh => (&state.site.name_zh, "王建国"),
        Lang::En => (&state.site.name_en, "Robert Chen"),
    };
    let zone = time::zone(&state.defaults.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    Facts {
        lang,
        day,
        hospital: hospital.clone(),
        patient: Phi::new(patient.to_owned()),
        birth: Some(Phi::new(BIRTH)),
        contacts: Vec::new(),
        knows_diagnosis: false,
        hearing: Hearing::Normal,
        dialect: None,
        emergency_number: state.site.emergency_number.clone(),
        crisis_line: state.config.hospital.crisis_line.clone(),
        callback_number: state.config.hospital.callback_number.clone(),
        next_call: None,
        today: zone.to_datetime(state.now()).date(),
        earlier: None,
    }
}
