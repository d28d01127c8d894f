//! The figures of a period: counted by the core from what the store has, told apart by day, ward, script or age.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_core::attempt::{AnsweredBy, Disposition};
use aftercall_core::figures::{By, Facts, Figure, Figures, Of, Unit, nurse_shifts};
use aftercall_core::finding::Urgency;
use aftercall_core::lang::Lang;
use aftercall_core::time::{self, Timestamp};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_xlsxwriter::{Format, Workbook, XlsxError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::Params;
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::figures::Days;

/// The longest period that is counted at once.
const MOST_DAYS: i32 = 400;
/// The most calls that a drill-down lists.
const MOST_CALLS: usize = 500;

/// Which days, whose, and told apart by what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FiguresQuery {
    /// First day by the hospital's calendar; 30 days with the last one where it is left out.
    #[param(value_type = Option<String>, format = Date)]
    pub first: Option<Date>,
    /// Last day, included; today where it is left out.
    #[param(value_type = Option<String>, format = Date)]
    pub last: Option<Date>,
    /// `day`, `ward`, `script`, `age_band`, `dialect` or `party`.
    #[param(value_type = Option<String>)]
    pub by: Option<By>,
    pub ward: Option<String>,
    pub script: Option<String>,
    /// `0-17`, `18-44`, `45-64`, `65-79` or `80+`.
    pub ages: Option<String>,
    /// Of the patient; empty where the record has none.
    pub dialect: Option<String>,
    /// Whom a call was with: `patient`, `proxy`, or empty where nobody was identified.
    pub party: Option<String>,
    /// Of names and definitions: en or zh.
    #[param(value_type = Option<String>)]
    pub lang: Option<Lang>,
    /// Of the calls alone: `reached`, `not_reached`, `right_party`, `completed`, `not_completed`, `not_screened`, `alerted`.
    #[param(value_type = Option<String>)]
    pub only: Option<Only>,
}

/// Which calls a figure is drilled down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Only {
    Reached,
    NotReached,
    RightParty,
    Completed,
    NotCompleted,
    NotScreened,
    Alerted,
}

/// The figures of a period, and of each group in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeriodFigures {
    #[schema(value_type = String, format = Date)]
    pub first: Date,
    #[schema(value_type = String, format = Date)]
    pub last: Date,
    /// What each figure is called and made of.
    pub catalogue: Vec<FigureNote>,
    pub all: CountedFigures,
    /// By name; the empty name is what belongs to none.
    pub groups: Vec<GroupView>,
    /// What the period has, for filters.
    pub wards: Vec<String>,
    pub scripts: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FigureNote {
    #[schema(value_type = String, example = "reach")]
    pub id: Figure,
    #[schema(value_type = String, example = "share")]
    pub unit: Unit,
    pub name: &'static str,
    pub definition: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct GroupView {
    pub name: String,
    pub figures: CountedFigures,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CountedFigures {
    /// As the catalogue is ordered.
    pub values: Vec<ValueView>,
    /// The alert rate by the call's most urgent finding.
    pub tiers: Vec<TierView>,
    /// PPV by concept.
    pub concepts: Vec<ConceptFigure>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ValueView {
    #[schema(value_type = String, example = "reach")]
    pub id: Figure,
    /// Null where nothing was counted, or a rate is not configured.
    pub value: Option<f64>,
    pub part: Option<u64>,
    pub of: Option<u64>,
    /// The 95 % interval of a share.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// It is not as it is to be.
    pub alarm: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TierView {
    #[schema(value_type = String, example = "emergent")]
    pub tier: Urgency,
    pub part: u64,
    pub of: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ConceptFigure {
    #[schema(example = "chest_pain")]
    pub concept: String,
    pub part: u64,
    pub of: u64,
}

/// Calls behind a figure, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FigureCalls {
    pub items: Vec<FigureCall>,
    /// How many there are; more than are listed may be.
    pub total: u64,
}

/// A call without name or words.
#[derive(Debug, Serialize, ToSchema)]
pub struct FigureCall {
    pub id: String,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    pub ward: String,
    pub script: String,
    pub ages: Option<String>,
    #[schema(value_type = String, example = "completed")]
    pub disposition: Disposition,
    #[schema(value_type = String, example = "patient")]
    pub answered_by: AnsweredBy,
    pub identified: bool,
    pub screened: bool,
    #[schema(value_type = Option<String>, example = "urgent")]
    pub alert: Option<Urgency>,
    pub talk_ms: u64,
}

/// Counts the figures of a period: their definitions stand beside them.
#[utoipa::path(get, path = "/figures", tag = "figures", params(FiguresQuery), responses(
    (status = OK, body = PeriodFigures),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<FiguresQuery>,
) -> Result<Json<PeriodFigures>, Problem> {
    Ok(Json(count(&state, &caller, &query).await?))
}

/// The same figures as a workbook (.xlsx): one sheet of the period, one of its groups, one of definitions.
#[utoipa::path(get, path = "/figures/sheet", tag = "figures", params(FiguresQuery), responses(
    (status = OK, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn sheet(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<FiguresQuery>,
) -> Result<(HeaderMap, Vec<u8>), Problem> {
    let counted = count(&state, &caller, &query).await?;
    let detail = format!("{} to {}", counted.first, counted.last);
    state.audit(&caller, "figures.export", "", &detail).await?;
    let bytes = workbook(&counted, query.lang.unwrap_or(Lang::En)).map_err(|error| {
        tracing::error!(%error, "workbook not written");
        let said = "the server failed; its log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", said)
    })?;
    let name = format!(
        "attachment; filename=\"figures-{}-{}.xlsx\"",
        counted.first, counted.last
    );
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok((headers, bytes))
}

/// Lists the calls behind a figure: what was dialled in the period, the newest first.
#[utoipa::path(get, path = "/figures/calls", tag = "figures", params(FiguresQuery), responses(
    (status = OK, body = FigureCalls),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn calls(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<FiguresQuery>,
) -> Result<Json<FigureCalls>, Problem> {
    let days = days(&state, &query)?;
    let mut facts = state.store.facts(&days, &caller.wards).await?;
    narrow(&mut facts, &query);
    facts.calls.retain(|call| match query.only {
        None => true,
        Some(Only::Reached) => call.is_reached(),
        Some(Only::NotReached) => !call.is_reached(),
        Some(Only::RightParty) => call.identified,
        Some(Only::Completed) => call.is_completed(),
        Some(Only::NotCompleted) => call.identified && !call.is_completed(),
        Some(Only::NotScreened) => call.identified && !call.screened,
        Some(Only::Alerted) => call.alert.is_some(),
    });
    let total = facts.calls.len() as u64;
    let newest = facts.calls.into_iter().rev().take(MOST_CALLS);
    let items = newest.map(|call| FigureCall {
        id: call.attempt.0,
        started_at: call.started_at,
        ward: call.of.ward,
        script: call.of.script,
        ages: call.of.band.map(|band| band.to_string()),
        disposition: call.disposition,
        answered_by: call.answered_by,
        identified: call.identified,
        screened: call.screened,
        alert: call.alert,
        talk_ms: call.talk_ms,
    });
    let items: Vec<FigureCall> = items.collect();
    let detail = format!("{} rows", items.len());
    state.audit(&caller, "figures.calls", "", &detail).await?;
    Ok(Json(FigureCalls { items, total }))
}

async fn count(
    state: &AppState,
    caller: &Caller,
    query: &FiguresQuery,
) -> Result<PeriodFigures, Problem> {
    let days = days(state, query)?;
    let mut facts = state.store.facts(&days, &caller.wards).await?;
    let wards = names(&facts, |of| &of.ward);
    let scripts = names(&facts, |of| &of.script);
    narrow(&mut facts, query);
    let rota = state.store.rota().await?;
    let set = &state.config.figures;
    let shifts = |wards: &BTreeSet<String>, first, last| {
        let of = |ward: &String| {
            let calendar = state.policy.calendar();
            nurse_shifts(rota.as_deref(), ward, (first, last), &set.shifts, calendar)
        };
        set.load(wards.iter().map(of).sum())
    };
    let here = names(&facts, |of| &of.ward);
    let rates = set.rates();
    let by_people = |query: &FiguresQuery| {
        let narrower = [&query.script, &query.ages, &query.dialect, &query.party];
        narrower.into_iter().all(Option::is_none)
    };
    let load = by_people(query).then(|| shifts(&here, days.first, days.last));
    let all = Figures::of(&facts, &rates, load);
    let groups = query.by.map(|by| {
        Figures::by(&facts, by, &rates, |name| match by {
            _ if !by_people(query) => None,
            By::Day => {
                let day = name.parse().ok()?;
                Some(shifts(&here, day, day))
            }
            By::Ward => Some(shifts(
                &BTreeSet::from([name.to_owned()]),
                days.first,
                days.last,
            )),
            By::Script | By::AgeBand | By::Dialect | By::Party => None,
        })
    });
    let lang = query.lang.unwrap_or(Lang::En);
    Ok(PeriodFigures {
        first: days.first,
        last: days.last,
        catalogue: Figure::ALL.map(|id| FigureNote::of(id, lang)).into(),
        all: CountedFigures::of(&all),
        groups: groups
            .unwrap_or_default()
            .iter()
            .map(GroupView::of)
            .collect(),
        wards: wards.into_iter().collect(),
        scripts: scripts.into_iter().collect(),
    })
}

/// The period that is asked for; the future has no figures.
pub(super) fn days(state: &AppState, query: &FiguresQuery) -> Result<Days, Problem> {
    let zone = time::zone(&state.defaults.zone).unwrap_or(TimeZone::UTC);
    let today = zone.to_datetime(state.now()).date();
    let last = query.last.unwrap_or(today).min(today);
    let first = query
        .first
        .unwrap_or_else(|| last.saturating_sub(29.days()));
    if first > last {
        return Err(Problem::field(
            "first",
            "is after the last day, or has not come yet",
        ));
    }
    if first
        .until(last)
        .is_ok_and(|span| span.get_days() >= MOST_DAYS)
    {
        return Err(Problem::field(
            "first",
            format!("at most {MOST_DAYS} days are counted at once"),
        ));
    }
    Ok(Days { first, last, zone })
}

fn narrow(facts: &mut Facts, query: &FiguresQuery) {
    let is_meant = |of: &Of| {
        let same =
            |asked: &Option<String>, has: &str| asked.as_deref().is_none_or(|one| one == has);
        same(&query.ward, &of.ward)
            && same(&query.script, &of.script)
            && same(&query.ages, &of.group(By::AgeBand))
            && same(&query.dialect, &of.dialect)
            && same(&query.party, &of.group(By::Party))
    };
    facts.calls.retain(|call| is_meant(&call.of));
    facts.due.retain(|due| is_meant(&due.of));
    facts.orders.retain(|order| is_meant(&order.of));
}

fn names(facts: &Facts, of: impl Fn(&Of) -> &String) -> BTreeSet<String> {
    let calls = facts.calls.iter().map(|call| &call.of);
    let due = facts.due.iter().map(|due| &due.of);
    let orders = facts.orders.iter().map(|order| &order.of);
    let all = calls.chain(due).chain(orders).map(of);
    all.filter(|name| !name.is_empty()).cloned().collect()
}

/// One sheet: a row a figure or a group, numbers as numbers.
fn workbook(counted: &PeriodFigures, lang: Lang) -> Result<Vec<u8>, XlsxError> {
    let [period, figures, value, definition, group] = match lang {
        Lang::Zh => ["时段", "指标", "数值", "定义", "分组"],
        Lang::En => ["Period", "Figure", "Value", "Definition", "Group"],
    };
    let share = Format::new().set_num_format("0.0%");
    let number = Format::new().set_num_format("#,##0.0");
    let bold = Format::new().set_bold();
    let mut book = Workbook::new();
    let page = book.add_worksheet().set_name(figures)?;
    page.write_with_format(0, 0, period, &bold)?;
    page.write(0, 1, format!("{} – {}", counted.first, counted.last))?;
    for (at, name) in (0..).zip([figures, value, "n", "N", definition]) {
        page.write_with_format(2, at, name, &bold)?;
    }
    let format = |unit: Unit| if unit == Unit::Share { &share } else { &number };
    for (row, (note, one)) in (3..).zip(counted.catalogue.iter().zip(&counted.all.values)) {
        page.write(row, 0, note.name)?;
        if let Some(value) = one.value {
            page.write_with_format(row, 1, value, format(note.unit))?;
        }
        page.write(row, 2, one.part.map(|part| part as f64))?;
        page.write(row, 3, one.of.map(|of| of as f64))?;
        page.write(row, 4, note.definition)?;
    }
    page.set_column_width(0, 28)?.set_column_width(4, 90)?;
    if !counted.groups.is_empty() {
        let page = book.add_worksheet().set_name(group)?;
        page.write_with_format(0, 0, group, &bold)?;
        page.set_column_width(0, 16)?;
        for (column, note) in (1..).zip(&counted.catalogue) {
            page.write_with_format(0, column, note.name, &bold)?;
            page.set_column_width(column, 18)?;
        }
        for (row, group) in (1..).zip(&counted.groups) {
            page.write(row, 0, &group.name)?;
            let values = counted.catalogue.iter().zip(&group.figures.values);
            for (column, (note, one)) in (1..).zip(values) {
                if let Some(value) = one.value {
                    page.write_with_format(row, column, value, format(note.unit))?;
                }
            }
        }
    }
    book.save_to_buffer()
}

impl FigureNote {
    fn of(id: Figure, lang: Lang) -> Self {
        Self {
            id,
            unit: id.unit(),
            name: id.name(lang),
            definition: id.definition(lang),
        }
    }
}

impl GroupView {
    fn of((name, figures): (&String, &Figures)) -> Self {
        Self {
            name: name.clone(),
            figures: CountedFigures::of(figures),
        }
    }
}

impl CountedFigures {
    fn of(figures: &Figures) -> Self {
        let values = Figure::ALL.map(|id| {
            let value = id.value(figures);
            ValueView {
                id,
                value: value.value,
                part: value.part,
                of: value.of,
                low: value.interval.map(|interval| interval.0),
                high: value.interval.map(|interval| interval.1),
                alarm: value.alarm,
            }
        });
        let tiers: &BTreeMap<_, _> = &figures.alert_by_tier;
        let tiers = tiers.iter().map(|(tier, share)| TierView {
            tier: *tier,
            part: share.part,
            of: share.of,
        });
        let concepts = figures.ppv_by_concept.iter();
        let concepts = concepts.map(|(concept, share)| ConceptFigure {
            concept: concept.0.clone(),
            part: share.part,
            of: share.of,
        });
        Self {
            values: values.into(),
            tiers: tiers.collect(),
            concepts: concepts.collect(),
        }
    }
}
