//! What every page shows of the hospital.

use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::{AppState, Caller};
use crate::config::Config;
use crate::redflags;

/// The hospital's names, as they were configured.
#[derive(Clone, Debug, Default)]
pub struct Site {
    pub name_zh: String,
    pub name_en: String,
    pub emergency_number: Option<String>,
}

impl Site {
    pub fn of(config: &Config) -> Self {
        Self {
            name_zh: config.hospital.name_zh.clone(),
            name_en: config.hospital.name_en.clone(),
            emergency_number: config.hospital.emergency_number.clone(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SiteView {
    pub name_zh: String,
    pub name_en: String,
    /// Where it is not 120 (Mandarin) or 911 (English).
    pub emergency_number: Option<String>,
    /// IANA zone in which times are shown.
    #[schema(example = "Asia/Shanghai")]
    pub zone: String,
    /// The engine's time.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    pub version: &'static str,
    /// Those whose records the caller sees.
    pub wards: Vec<String>,
    /// What the robot listens for, and the details of it.
    pub concepts: Vec<ConceptView>,
}

/// The name of a red-flag concept, or of a detail of one.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConceptView {
    #[schema(example = "chest_pain")]
    pub id: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
}

/// Shows the hospital's names, zone and time.
#[utoipa::path(get, path = "/site", tag = "system", responses(
    (status = OK, body = SiteView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<SiteView>, Problem> {
    let site = &state.site;
    let mut wards = state.store.wards_of_stays().await?;
    wards.retain(|ward| caller.wards.see(std::iter::once(ward.as_str())));
    Ok(Json(SiteView {
        name_zh: site.name_zh.clone(),
        name_en: site.name_en.clone(),
        emergency_number: site.emergency_number.clone(),
        zone: state.defaults.zone.clone(),
        now: state.now(),
        version: env!("CARGO_PKG_VERSION"),
        wards,
        concepts: redflags::names()
            .map(|(id, zh, en)| ConceptView { id, zh, en })
            .collect(),
    }))
}
