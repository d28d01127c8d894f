//! Calling hours: what each layer allows, which hours reach people, and closing those that do not.

use std::collections::BTreeMap;

use aftercall_core::plan::learn::{ALARM, Effect, HourOfWeek, Share, proposals, simulate};
use aftercall_core::plan::{Layer, OpenHours, SetHours};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::jobs::windows::{Unchanged, close, hours_of, look_back, open, reset_hours, set_hours};
use crate::store::hours::HoursInForce;

const USUAL_DAYS: u16 = 90;

/// When calls may be made: every layer by itself, the widest first. A call is made where all allow it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallingHours {
    pub zone: String,
    pub layers: Vec<LayerView>,
    /// By the hospital's zone: when somebody is there to acknowledge orders, where no rota knows the ward.
    pub duty: Vec<DutyWindow>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LayerView {
    /// `law`, `hospital`, `department` or `trunk`.
    pub layer: &'static str,
    /// Whose law, which department or trunk.
    pub name: String,
    /// Monday first: the open stretches of each day.
    pub week: Vec<Vec<Stretch>>,
    /// Who set them, where they are not the configuration's.
    pub set: Option<SetBy>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SetBy {
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// From, and until: half open.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    #[schema(value_type = String, example = "09:00:00")]
    pub from: Time,
    #[schema(value_type = String, example = "12:00:00")]
    pub to: Time,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DutyWindow {
    /// `mon` to `sun`.
    pub days: Vec<String>,
    #[schema(value_type = String)]
    pub from: Time,
    #[schema(value_type = String)]
    pub to: Time,
}

/// How often people were reached, hour by hour of the week at the patient's place.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReachView {
    pub days: u16,
    pub all: RateView,
    /// Too few are reached for it to be chance.
    pub alarm: bool,
    pub bands: Vec<BandView>,
    pub cells: Vec<CellView>,
    /// Hours that would better be closed, the one that helps most first.
    pub proposals: Vec<ProposalView>,
    pub closed: Vec<ClosedView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RateView {
    pub tries: u32,
    pub reached: u32,
    pub rate: f64,
    /// The 95 % interval.
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct BandView {
    #[schema(example = "80+")]
    pub ages: String,
    pub rate: RateView,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CellView {
    #[schema(example = "80+")]
    pub ages: String,
    /// 0 is Monday.
    pub weekday: i8,
    /// 0–23.
    pub hour: i8,
    pub rate: RateView,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ProposalView {
    /// Send it to close the hour.
    #[schema(example = "80+.sat.12")]
    pub id: String,
    pub ages: String,
    pub weekday: i8,
    pub hour: i8,
    pub rate: RateView,
    /// Of the age band over all hours.
    pub today: RateView,
    pub effect: EffectView,
}

/// What closed hours would have done with the past.
#[derive(Debug, Serialize, ToSchema)]
pub struct EffectView {
    pub tries: u32,
    /// Calls that would have been made at another hour of their day.
    pub moved: u32,
    pub reached: u32,
    /// People expected to be reached, with the 95 % interval.
    pub expected: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ClosedView {
    pub id: String,
    pub ages: String,
    pub weekday: i8,
    pub hour: i8,
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LookBack {
    /// Days of calls to look back on, 1–3650; 90 when it is left out.
    #[param(minimum = 1, maximum = 3650)]
    pub days: Option<u16>,
}

/// An hour of the week for an age band.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HourBody {
    #[schema(example = "80+.sat.12")]
    pub hour: String,
    /// Days of calls on which the proposal was made; 90 when it is left out.
    #[serde(default)]
    pub days: Option<u16>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursBody {
    #[schema(example = json!(["80+.sat.12"]))]
    pub hours: Vec<String>,
    #[serde(default)]
    pub days: Option<u16>,
}

/// The hours of a week.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WeekBody {
    /// As records have it; left out for the whole hospital.
    #[serde(default)]
    pub department: Option<String>,
    /// Monday first: the open stretches of each of the seven days.
    #[schema(min_items = 7, max_items = 7)]
    pub week: Vec<Vec<Stretch>>,
}

/// Whose hours they are.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Whose {
    /// Left out for the whole hospital.
    pub department: Option<String>,
}

/// Shows when calls may be made, layer by layer.
#[utoipa::path(get, path = "/calling-hours", tag = "calling hours", responses(
    (status = OK, body = CallingHours),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(State(state): State<AppState>) -> Result<Json<CallingHours>, Problem> {
    let (hours, set): (Vec<SetHours>, Vec<(Option<String>, SetBy)>) = state
        .store
        .hours_in_force()
        .await?
        .into_iter()
        .map(|HoursInForce { hours, by, at }| {
            let department = hours.department.clone();
            (hours, (department, SetBy { by, at }))
        })
        .unzip();
    let mut set: BTreeMap<Option<String>, SetBy> = set.into_iter().collect();
    let layers = state.policy.with_hours(&hours).open_hours().into_iter();
    let layers = layers.map(|open| {
        let set = match &open.layer {
            Layer::Hospital => set.remove(&None),
            Layer::Department(name) => set.remove(&Some(name.clone())),
            _ => None,
        };
        LayerView::of(open, set)
    });
    let duty = state.config.calling.duty.iter().map(|window| DutyWindow {
        days: window.days.iter().map(crate::store::word_of).collect(),
        from: window.from,
        to: window.to,
    });
    Ok(Json(CallingHours {
        zone: state.defaults.zone.clone(),
        layers: layers.collect(),
        duty: duty.collect(),
    }))
}

/// Sets the hours of a week for the hospital or a department, in place of the configuration's and within the law. Noon rest is
/// what is left closed.
#[utoipa::path(put, path = "/calling-hours", tag = "calling hours", request_body = WeekBody, responses(
    (status = NO_CONTENT),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn set_week(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<WeekBody>,
) -> Result<StatusCode, Problem> {
    let day = |open: Vec<Stretch>| open.into_iter().map(|Stretch { from, to }| (from, to));
    let week: Vec<_> = body
        .week
        .into_iter()
        .map(|open| day(open).collect())
        .collect();
    let week = week
        .try_into()
        .map_err(|_| Problem::field("week", "must have seven days, Monday first"))?;
    let hours = SetHours {
        department: body.department,
        week,
    };
    set_hours(
        &state.store,
        &state.policy,
        &hours,
        &caller.name,
        state.now(),
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets the configuration's hours hold again, of the hospital or a department.
#[utoipa::path(delete, path = "/calling-hours", tag = "calling hours", params(Whose), responses(
    (status = NO_CONTENT),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn reset_week(
    State(state): State<AppState>,
    caller: Caller,
    Params(whose): Params<Whose>,
) -> Result<StatusCode, Problem> {
    let department = whose.department.as_deref();
    reset_hours(&state.store, department, &caller.name, state.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows which hours reach people, and which would better be closed.
#[utoipa::path(get, path = "/calling-hours/reach", tag = "calling hours", params(LookBack), responses(
    (status = OK, body = ReachView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn reach(
    State(state): State<AppState>,
    Params(query): Params<LookBack>,
) -> Result<Json<ReachView>, Problem> {
    let days = checked(query.days)?;
    let (found, closed) = look_back(&state.store, days, state.now()).await?;
    let proposed = proposals(&found, &hours_of(&closed));
    let bands = found.bands.iter().map(|(band, share)| BandView {
        ages: band.to_string(),
        rate: RateView::of(share),
    });
    let cells = found.cells.iter().map(|cell| CellView {
        ages: cell.at.band.to_string(),
        weekday: cell.at.weekday.to_monday_zero_offset(),
        hour: cell.at.hour,
        rate: RateView::of(&cell.share),
    });
    let proposed = proposed.iter().map(|proposal| ProposalView {
        id: proposal.close.to_string(),
        ages: proposal.close.band.to_string(),
        weekday: proposal.close.weekday.to_monday_zero_offset(),
        hour: proposal.close.hour,
        rate: RateView::of(&proposal.cell),
        today: RateView::of(&proposal.today),
        effect: EffectView::of(&proposal.effect),
    });
    let closed = closed.iter().map(|closed| ClosedView {
        id: closed.hour.to_string(),
        ages: closed.hour.band.to_string(),
        weekday: closed.hour.weekday.to_monday_zero_offset(),
        hour: closed.hour.hour,
        by: closed.by.clone(),
        at: closed.at,
    });
    Ok(Json(ReachView {
        days,
        alarm: found.all.tries > 0 && found.all.rate < ALARM,
        all: RateView::of(&found.all),
        bands: bands.collect(),
        cells: cells.collect(),
        proposals: proposed.collect(),
        closed: closed.collect(),
    }))
}

/// Says what closing hours, beside those that are closed, would have done with the past.
#[utoipa::path(post, path = "/calling-hours/simulate", tag = "calling hours", request_body = HoursBody, responses(
    (status = OK, body = EffectView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn try_out(
    State(state): State<AppState>,
    Body(body): Body<HoursBody>,
) -> Result<Json<EffectView>, Problem> {
    let days = checked(body.days)?;
    let (found, closed) = look_back(&state.store, days, state.now()).await?;
    let mut then = hours_of(&closed);
    for hour in &body.hours {
        then.insert(parsed("hours", hour)?);
    }
    Ok(Json(EffectView::of(&simulate(&found, &then))))
}

/// Closes a proposed hour in the name of who is signed in. It only narrows what law and hospital allow.
#[utoipa::path(post, path = "/calling-hours/close", tag = "calling hours", request_body = HourBody, responses(
    (status = NO_CONTENT),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn close_hour(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<HourBody>,
) -> Result<StatusCode, Problem> {
    let hour = parsed("hour", &body.hour)?;
    let days = checked(body.days)?;
    close(&state.store, days, hour, &caller.name, state.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Opens a closed hour again: patients of the age band are called in it as before.
#[utoipa::path(post, path = "/calling-hours/open", tag = "calling hours", request_body = HourBody, responses(
    (status = NO_CONTENT),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn open_hour(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<HourBody>,
) -> Result<StatusCode, Problem> {
    let hour = parsed("hour", &body.hour)?;
    open(&state.store, hour, &caller.name, state.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn checked(days: Option<u16>) -> Result<u16, Problem> {
    let days = days.unwrap_or(USUAL_DAYS);
    if (1..=3650).contains(&days) {
        Ok(days)
    } else {
        Err(Problem::field("days", "must be 1 to 3650"))
    }
}

fn parsed(field: &str, hour: &str) -> Result<HourOfWeek, Problem> {
    hour.parse()
        .map_err(|_| Problem::field(field, "write an hour as 80+.sat.12"))
}

impl From<Unchanged> for Problem {
    fn from(unchanged: Unchanged) -> Self {
        let code = match unchanged {
            Unchanged::Store(error) => return error.into(),
            Unchanged::Refused(error) => return Problem::field("week", error.to_string()),
            Unchanged::UnknownDepartment(_) => {
                return Problem::field("department", unchanged.to_string());
            }
            Unchanged::NotSet => "hours_not_set",
            Unchanged::NotProposed(_) => "not_proposed",
            Unchanged::ClosedMeanwhile(_) => "already_closed_hour",
            Unchanged::NotClosed(_) => "not_closed_hour",
        };
        Problem::new(StatusCode::CONFLICT, code, unchanged.to_string())
    }
}

impl LayerView {
    fn of(OpenHours { layer, week }: OpenHours, set: Option<SetBy>) -> Self {
        let (layer, name) = match layer {
            Layer::Law(profile) => ("law", crate::store::word_of(&profile)),
            Layer::Hospital => ("hospital", String::new()),
            Layer::Department(name) => ("department", name),
            Layer::Trunk(name) => ("trunk", name),
            Layer::Learnt => ("learnt", String::new()),
            Layer::Patient => ("patient", String::new()),
        };
        let day = |open: Vec<(Time, Time)>| {
            let open = open.into_iter().map(|(from, to)| Stretch { from, to });
            open.collect()
        };
        Self {
            layer,
            name,
            week: week.into_iter().map(day).collect(),
            set,
        }
    }
}

impl RateView {
    fn of(share: &Share) -> Self {
        Self {
            tries: share.tries,
            reached: share.reached,
            rate: share.rate,
            low: share.low,
            high: share.high,
        }
    }
}

impl EffectView {
    fn of(effect: &Effect) -> Self {
        Self {
            tries: effect.tries,
            moved: effect.moved,
            reached: effect.reached,
            expected: effect.expected,
            low: effect.low,
            high: effect.high,
        }
    }
}
