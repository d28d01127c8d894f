//! What QA says of calls: on a score form, of findings, blind of each other's; how far two agree; corrected replies.

use std::collections::BTreeMap;

use aftercall_core::attempt::Disposition;
use aftercall_core::id::{AttemptId, ConceptId};
use aftercall_core::lang::Lang;
use aftercall_core::phi::Phi;
use aftercall_core::review::agreement::{About, Agreement, agreement};
use aftercall_core::review::form::{Choice, Criterion, Form};
use aftercall_core::review::row::{Source, head, rows};
use aftercall_core::review::{Is, Mark, Review, Reviewed};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::audit::EstimateView;
use super::calls::AttemptView;
use super::extract::{Body, Id, List, Params, page_request};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::redflags::{is_concept, urgency};
use crate::store::Store;
use crate::store::call::CallDetail;
use crate::store::call_list::{CallFilter, CallLine, ReviewState};
use crate::store::review::ReviewRow;

/// Which calls, and which page of them; what is left out narrows nothing. In a body, because a name is no part of an
/// address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallSearch {
    /// The hospital's number or the whole name of a patient.
    pub patient: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Not included.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    #[schema(value_type = Option<String>, example = "completed")]
    pub disposition: Option<Disposition>,
    #[schema(example = "cardiac")]
    pub script: Option<String>,
    #[schema(example = "7B")]
    pub ward: Option<String>,
    /// Heard in the call and not as absent.
    #[schema(example = "chest_pain")]
    pub concept: Option<String>,
    /// Only calls that were answered.
    #[serde(default)]
    pub answered: bool,
    /// `none`: reviewed by nobody; `second`: by one other; `mine`: by the caller; `twice`: by two or more.
    #[schema(value_type = Option<String>, example = "second")]
    pub reviews: Option<ReviewState>,
    /// Rows of the page, 1–200; 50 when it is left out.
    #[schema(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// One call of the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallLineView {
    pub attempt: AttemptView,
    pub ward: Option<String>,
    /// Concepts heard and not as absent.
    pub found: Vec<String>,
    /// How many have reviewed it.
    pub reviews: u32,
    /// The caller has.
    pub mine: bool,
}

/// A score form in both languages.
#[derive(Debug, Serialize, ToSchema)]
pub struct FormView {
    pub id: String,
    pub revision: u32,
    pub zh: String,
    pub en: String,
    pub criteria: Vec<CriterionView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CriterionView {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub options: Vec<ChoiceView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChoiceView {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub points: u32,
}

/// A judgement of one finding, or of one that is not there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "of", rename_all = "snake_case", deny_unknown_fields)]
pub enum MarkView {
    /// By its place in the call's `findings`, from 0.
    Finding {
        position: u32,
        #[schema(value_type = String, example = "right")]
        is: Is,
    },
    /// By its place in the call's `suppressed`, from 0. `wrong`: it should have been a finding.
    Suppressed {
        position: u32,
        #[schema(value_type = String, example = "right")]
        is: Is,
    },
    /// In the reply of this turn something was said that was not found.
    Missed {
        turn: u32,
        /// Characters of the reply, `to` not included.
        from: usize,
        to: usize,
        #[schema(example = "fever")]
        concept: String,
    },
}

/// What a reviewer says of a call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewBody {
    /// The form's id and the revision that was filled in.
    #[schema(example = "call")]
    pub form: String,
    pub revision: u32,
    /// The option of each criterion.
    pub scores: BTreeMap<String, String>,
    #[serde(default)]
    pub marks: Vec<MarkView>,
    #[serde(default)]
    pub note: String,
}

/// One person's review of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewView {
    pub reviewer: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub form: String,
    pub revision: u32,
    pub scores: BTreeMap<String, String>,
    pub marks: Vec<MarkView>,
    pub note: String,
}

/// The reviews of a call, as far as the caller may see them.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewsView {
    pub mine: Option<ReviewView>,
    /// Those of others: none before the caller's own is given, so that it is given blind.
    pub others: Vec<ReviewView>,
    /// How many there are, seen or not.
    pub count: usize,
}

/// How far the first two reviewers of each call agree.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgreementView {
    pub form: String,
    pub revision: u32,
    pub lines: Vec<AgreementLineView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AgreementLineView {
    /// `criterion`, `findings` or `missed`.
    #[schema(example = "criterion")]
    pub about: &'static str,
    pub criterion: Option<String>,
    /// Calls, or findings, that both have judged.
    pub items: u32,
    /// Share of items on which they agree, chance included.
    pub share: Option<f64>,
    /// Cohen's kappa with its 95 % interval; null where it is not defined.
    pub kappa: Option<EstimateView>,
}

/// Which replies.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    #[param(value_type = String, example = "zh")]
    pub lang: Lang,
}

/// Lists calls, newest first.
#[utoipa::path(post, path = "/calls/search", tag = "calls", request_body = CallSearch, responses(
    (status = OK, body = List<CallLineView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn search(
    State(state): State<AppState>,
    caller: Caller,
    Body(search): Body<CallSearch>,
) -> Result<Json<List<CallLineView>>, Problem> {
    let request = page_request(search.limit, search.cursor.as_deref())?;
    let asked_for_one = search.patient.is_some();
    let filter = filter(search);
    let page = state
        .store
        .call_list(&filter, &caller.name, &caller.wards, &request)
        .await?;
    if asked_for_one {
        let rows = format!("{} rows", page.items.len());
        state.audit(&caller, "call.search", "", &rows).await?;
    }
    Ok(Json(List::of(page, CallLineView::from)))
}

fn filter(search: CallSearch) -> CallFilter {
    let said = |text: Option<String>| {
        let text = text.map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty())
    };
    CallFilter {
        patient: said(search.patient).map(Phi::new),
        since: search.since,
        until: search.until,
        disposition: search.disposition,
        script: said(search.script),
        ward: said(search.ward),
        concept: said(search.concept).map(ConceptId),
        answered: search.answered,
        live: false,
        reviews: search.reviews,
    }
}

/// Lists the score forms.
#[utoipa::path(get, path = "/review/forms", tag = "review", responses(
    (status = OK, body = Vec<FormView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn forms(State(state): State<AppState>) -> Json<Vec<FormView>> {
    Json(state.forms.iter().map(FormView::of).collect())
}

/// Shows the caller's review of a call; those of others only once the caller's is given.
#[utoipa::path(get, path = "/calls/{id}/reviews", tag = "review",
    params(("id" = String, Path, description = "attempt")), responses(
    (status = OK, body = ReviewsView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn of_call(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<ReviewsView>, Problem> {
    let attempt = state.store.attempt(&AttemptId(id)).await?.attempt.id;
    Ok(Json(seen(&state.store, &attempt, &caller).await?))
}

/// Gives or replaces the caller's review of a call. 409 `already_compared` once another's stands beside it.
#[utoipa::path(put, path = "/calls/{id}/review", tag = "review",
    params(("id" = String, Path, description = "attempt")), request_body = ReviewBody, responses(
    (status = OK, body = ReviewsView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn save(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<ReviewBody>,
) -> Result<Json<ReviewsView>, Problem> {
    let call = state.store.call(&AttemptId(id)).await?;
    let attempt = &call.row.attempt.id;
    let form = state.forms.iter().find(|form| form.id == body.form);
    let form = form.ok_or_else(|| Problem::field("form", "there is no such form"))?;
    if form.revision != body.revision {
        let now = format!("the form is at revision {} by now", form.revision);
        return Err(Problem::field("revision", now));
    }
    let review = review(body);
    if let Some(unknown) = unknown_concept(&review) {
        return Err(Problem::field(
            "marks",
            format!("no such concept as {unknown}"),
        ));
    }
    review
        .check(form, reviewed(&call))
        .map_err(|fault| Problem::field(&fault.field(), fault.to_string()))?;
    state
        .store
        .save_review(attempt, &caller.name, &review, state.now())
        .await?;
    state
        .audit(&caller, "review.save", &attempt.0, &form.id)
        .await?;
    Ok(Json(seen(&state.store, attempt, &caller).await?))
}

/// How far two reviewers of the same calls agree, form by form.
#[utoipa::path(get, path = "/review/agreement", tag = "review", responses(
    (status = OK, body = Vec<AgreementView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show_agreement(
    State(state): State<AppState>,
) -> Result<Json<Vec<AgreementView>>, Problem> {
    let reviews = state.store.all_reviews().await?;
    let pairs: Vec<(Review, Review)> = reviews
        .chunk_by(|one, next| one.attempt == next.attempt)
        .filter_map(|of_call| match of_call {
            [first, second, ..] => Some((first.review.clone(), second.review.clone())),
            [] | [_] => None,
        })
        .collect();
    let view = |form: &Form| AgreementView {
        form: form.id.clone(),
        revision: form.revision,
        lines: agreement(form, &pairs)
            .iter()
            .map(AgreementLineView::of)
            .collect(),
    };
    Ok(Json(state.forms.iter().map(view).collect()))
}

/// Replies of which a review corrected what was found, as labelled rows (tab-separated) without names and numbers. A row
/// on which the first two reviewers of its call differ is left out, and counted in the first line. A person reads them
/// before they leave the hospital.
#[utoipa::path(get, path = "/review/rows", tag = "review", params(RowsQuery), responses(
    (status = OK, body = String, content_type = "text/tab-separated-values"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn export(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<RowsQuery>,
) -> Result<Response, Problem> {
    let reviews = state.store.all_reviews().await?;
    let (mut lines, mut left_out) = (Vec::new(), 0);
    for of_call in reviews.chunk_by(|one, next| one.attempt == next.attempt) {
        let (agreed, differ) = corrected(&state.store, of_call, query.lang).await?;
        lines.extend(agreed);
        left_out += differ;
    }
    state
        .audit(
            &caller,
            "review.export",
            "",
            &format!("{} rows", lines.len()),
        )
        .await?;
    let note = format!("# left out, because two reviewers differ: {left_out}");
    let text = [note, head()].into_iter().chain(lines).collect::<Vec<_>>();
    let kind = HeaderValue::from_static("text/tab-separated-values; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text.join("\n") + "\n").into_response())
}

/// The rows of one call on which its first two reviewers, or its only one, agree; and how many they do not.
async fn corrected(
    store: &Store,
    of_call: &[ReviewRow],
    lang: Lang,
) -> Result<(Vec<String>, usize), Problem> {
    let Some(first) = of_call.first() else {
        return Ok((Vec::new(), 0));
    };
    let call = store.call(&first.attempt).await?;
    if call.row.lang != lang {
        return Ok((Vec::new(), 0));
    }
    let mut names = Vec::new();
    if let Some(id) = &call.row.patient {
        let patient = store.patient(id).await?;
        names.push(patient.name.expose().clone());
        let contacts = patient.contacts.iter();
        names.extend(contacts.map(|contact| contact.name.expose().clone()));
    }
    let source = Source {
        attempt: &first.attempt,
        lang,
        names: &names,
        urgency: &|concept| urgency(&concept.0),
    };
    let of = |row: &ReviewRow| rows(&row.review, reviewed(&call), &source);
    let mine = of(first);
    let Some(second) = of_call.get(1) else {
        return Ok((mine, 0));
    };
    let theirs = of(second);
    let agreed: Vec<String> = mine
        .iter()
        .filter(|row| theirs.contains(row))
        .cloned()
        .collect();
    let id = |row: &String| row.split('\t').next().map(str::to_owned);
    let touched: std::collections::BTreeSet<_> = mine.iter().chain(&theirs).map(id).collect();
    let differ = touched.len() - agreed.len();
    Ok((agreed, differ))
}

fn reviewed(call: &CallDetail) -> Reviewed<'_> {
    Reviewed {
        turns: &call.turns,
        findings: &call.findings,
        suppressed: &call.suppressed,
    }
}

fn unknown_concept(review: &Review) -> Option<&str> {
    review.marks.iter().find_map(|mark| match mark {
        Mark::Missed { concept, .. } if !is_concept(&concept.0) => Some(concept.0.as_str()),
        Mark::Missed { .. } | Mark::Finding { .. } | Mark::Suppressed { .. } => None,
    })
}

async fn seen(store: &Store, attempt: &AttemptId, caller: &Caller) -> Result<ReviewsView, Problem> {
    let rows = store.reviews(attempt).await?;
    let count = rows.len();
    let (mine, others): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| row.reviewer == caller.name);
    let mine = mine.into_iter().next().map(ReviewView::from);
    let others = if mine.is_some() { others } else { Vec::new() };
    Ok(ReviewsView {
        mine,
        others: others.into_iter().map(ReviewView::from).collect(),
        count,
    })
}

fn review(body: ReviewBody) -> Review {
    Review {
        form: body.form,
        revision: body.revision,
        scores: body.scores,
        marks: body.marks.into_iter().map(Mark::from).collect(),
        note: Phi::new(body.note),
    }
}

impl From<MarkView> for Mark {
    fn from(mark: MarkView) -> Self {
        match mark {
            MarkView::Finding { position, is } => Mark::Finding { position, is },
            MarkView::Suppressed { position, is } => Mark::Suppressed { position, is },
            MarkView::Missed {
                turn,
                from,
                to,
                concept,
            } => Mark::Missed {
                turn,
                span: (from, to),
                concept: ConceptId(concept),
            },
        }
    }
}

impl From<Mark> for MarkView {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Finding { position, is } => MarkView::Finding { position, is },
            Mark::Suppressed { position, is } => MarkView::Suppressed { position, is },
            Mark::Missed {
                turn,
                span: (from, to),
                concept,
            } => MarkView::Missed {
                turn,
                from,
                to,
                concept: concept.0,
            },
        }
    }
}

impl From<ReviewRow> for ReviewView {
    fn from(row: ReviewRow) -> Self {
        Self {
            reviewer: row.reviewer,
            at: row.at,
            form: row.review.form,
            revision: row.review.revision,
            scores: row.review.scores,
            marks: row.review.marks.into_iter().map(MarkView::from).collect(),
            note: row.review.note.expose().clone(),
        }
    }
}

impl From<CallLine> for CallLineView {
    fn from(line: CallLine) -> Self {
        Self {
            attempt: AttemptView::of(&line.row),
            ward: line.ward,
            found: line.found.into_iter().map(|concept| concept.0).collect(),
            reviews: line.reviews,
            mine: line.mine,
        }
    }
}

impl FormView {
    fn of(form: &Form) -> Self {
        Self {
            id: form.id.clone(),
            revision: form.revision,
            zh: form.zh.clone(),
            en: form.en.clone(),
            criteria: form.criteria.iter().map(CriterionView::of).collect(),
        }
    }
}

impl CriterionView {
    fn of(criterion: &Criterion) -> Self {
        Self {
            id: criterion.id.clone(),
            zh: criterion.zh.clone(),
            en: criterion.en.clone(),
            options: criterion.options.iter().map(ChoiceView::of).collect(),
        }
    }
}

impl ChoiceView {
    fn of(choice: &Choice) -> Self {
        Self {
            id: choice.id.clone(),
            zh: choice.zh.clone(),
            en: choice.en.clone(),
            points: choice.points,
        }
    }
}

impl AgreementLineView {
    fn of(line: &Agreement) -> Self {
        let (about, criterion) = match &line.about {
            About::Criterion(id) => ("criterion", Some(id.clone())),
            About::Findings => ("findings", None),
            About::Missed => ("missed", None),
        };
        Self {
            about,
            criterion,
            items: line.items,
            share: line.share,
            kappa: line.kappa.map(|kappa| EstimateView {
                value: kappa.kappa,
                low: kappa.low,
                high: kappa.high,
            }),
        }
    }
}
