//! Calls in progress: where each stands and the last words. The stream of events says only that something changed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::calls::AttemptView;
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::call_list::CallFilter;
use crate::store::page::PageRequest;

/// Calls at once that a page shows, the newest first: more than a person can follow.
const SHOWN: u32 = 200;

/// One call in progress.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveCallView {
    pub attempt: AttemptView,
    pub ward: Option<String>,
    /// Concepts heard and not as absent.
    pub found: Vec<String>,
    /// What the robot said last.
    pub asked: Option<String>,
    /// What was answered last.
    pub said: Option<String>,
    /// Who took the patient over from the robot, and has them now.
    pub taken_over_by: Option<String>,
}

/// Who has looked at which call while it went on: one line of the audit log each, not one a second.
#[derive(Clone, Debug, Default)]
pub struct Watched(Arc<Mutex<BTreeSet<(String, String)>>>);

impl Watched {
    /// Of these calls those that `who` sees for the first time; others than these are over and forgotten.
    fn first_seen(&self, who: &str, live: &[String]) -> Vec<String> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|(name, call)| name != who || live.contains(call));
        let new = live
            .iter()
            .filter(|call| seen.insert((who.to_owned(), (*call).clone())));
        new.cloned().collect()
    }
}

/// Lists the calls in progress, newest first, each with its last words.
#[utoipa::path(get, path = "/live", tag = "calls", responses(
    (status = OK, body = Vec<LiveCallView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<LiveCallView>>, Problem> {
    let filter = CallFilter {
        live: true,
        ..CallFilter::default()
    };
    let page = PageRequest {
        limit: SHOWN,
        after: None,
    };
    let lines = state
        .store
        .call_list(&filter, &caller.name, &caller.wards, &page)
        .await?
        .items;
    let ids: Vec<String> = lines
        .iter()
        .map(|line| line.row.attempt.id.0.clone())
        .collect();
    for id in state.watched.first_seen(&caller.name, &ids) {
        state.audit(&caller, "call.read", &id, "live").await?;
    }
    let monitor = state.monitor.as_ref();
    let mut calls = Vec::with_capacity(lines.len());
    for line in lines {
        let turns = state.store.turns(&line.row.attempt.id).await?;
        let said = turns.iter().rev().find_map(|turn| turn.reply.as_ref());
        calls.push(LiveCallView {
            attempt: AttemptView::of(&line.row),
            ward: line.ward,
            found: line.found.into_iter().map(|concept| concept.0).collect(),
            asked: turns.last().map(|turn| turn.prompt.expose().clone()),
            said: said.map(|reply| reply.heard.expose().text.clone()),
            taken_over_by: monitor.and_then(|monitor| monitor.holder(&line.row.attempt.id)),
        });
    }
    Ok(Json(calls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_a_call_is_written_down_once_a_person() {
        let watched = Watched::default();
        let calls = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(watched.first_seen("li", &calls(&["a", "b"])), ["a", "b"]);
        assert_eq!(watched.first_seen("li", &calls(&["a", "b"])), [""; 0]);
        assert_eq!(watched.first_seen("wang", &calls(&["b"])), ["b"]);
        assert_eq!(watched.first_seen("li", &calls(&["b", "c"])), ["c"]);
        assert_eq!(
            watched.first_seen("li", &calls(&["a"])),
            ["a"],
            "it was forgotten"
        );
    }
}
