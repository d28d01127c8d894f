//! What each route needs: one line a route. A route that is not here is refused, and so is a caller of some wards
//! where a record of another ward would be shown.

use aftercall_core::staff::Right;
use axum::http::Method;

/// Whose data a route shows or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Nobody's.
    Nobody,
    /// The patient, call, … whose id is in the path.
    One(Record),
    /// A list that its handler narrows to the caller's wards.
    Narrowed,
    /// All wards together: not for a caller who sees only some.
    Hospital,
}

/// What the id in a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    Patient,
    Episode,
    Attempt,
    Order,
    AuditItem,
    Message,
}

/// What a route needs, and whose data it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub right: Right,
    pub about: About,
}

/// The rule of a route below `/api/v1`, its path as the router has it.
pub fn rule(method: &Method, path: &str) -> Option<Rule> {
    let (right, about) = find(method.as_str(), path)?;
    Some(Rule { right, about })
}

fn find(method: &str, path: &str) -> Option<(Right, About)> {
    let patient = About::One(Record::Patient);
    let attempt = About::One(Record::Attempt);
    let order = About::One(Record::Order);
    Some(match (method, path) {
        ("GET" | "DELETE", "/session")
        | ("PUT", "/session/password")
        | ("POST" | "PUT", "/session/second-factor") => (Right::Own, About::Nobody),
        // Ids alone, which open nothing by themselves; the hospital's names.
        ("GET", "/events" | "/site") => (Right::Own, About::Nobody),
        ("GET", "/patients" | "/steps" | "/attempts") => (Right::ReadPatients, About::Narrowed),
        (
            "GET",
            "/patients/{id}"
            | "/patients/{id}/plans"
            | "/patients/{id}/why"
            | "/patients/{id}/observations"
            | "/patients/{id}/trends"
            | "/patients/{id}/messages"
            | "/patients/{id}/attempts",
        ) => (Right::ReadPatients, patient),
        ("POST", "/patients") => (Right::EnrolPatients, About::Hospital),
        ("PATCH", "/patients/{id}") => (Right::EnrolPatients, patient),
        (
            "PUT",
            "/patients/{id}/life" | "/patients/{id}/consent" | "/patients/{id}/calling-hours",
        )
        | ("POST", "/patients/{id}/observations") => (Right::TellOfPatients, patient),
        ("POST", "/messages/{id}/delivery") => (Right::ReportDelivery, About::One(Record::Message)),
        ("PUT", "/episodes/{id}/state") => (Right::TellOfPatients, About::One(Record::Episode)),
        ("GET", "/feed/messages") => (Right::EnrolPatients, About::Hospital),
        ("POST", "/feed/messages/{id}/replay") => (Right::EnrolPatients, About::Hospital),
        ("GET" | "POST", "/imports") => (Right::EnrolPatients, About::Hospital),
        ("GET", "/calls/{id}" | "/calls/{id}/recording") => (Right::Listen, attempt),
        ("POST", "/calls/{id}/listeners") | ("DELETE", "/calls/{id}/listeners/{listener}") => {
            (Right::Listen, attempt)
        }
        (
            "POST",
            "/calls/{id}/listeners/{listener}/take-over"
            | "/calls/{id}/listeners/{listener}/hand-back"
            | "/calls/{id}/listeners/{listener}/hang-up",
        ) => (Right::WorkOrders, attempt),
        // Names of staff, of nobody else.
        ("GET", "/rota") => (Right::ReadOrders, About::Nobody),
        ("GET", "/work-orders") => (Right::ReadOrders, About::Narrowed),
        ("GET", "/work-orders/{id}" | "/work-orders/{id}/events") => (Right::ReadOrders, order),
        (
            "POST",
            "/work-orders/{id}/acknowledge"
            | "/work-orders/{id}/hand-over"
            | "/work-orders/{id}/spoken"
            | "/work-orders/{id}/close"
            | "/work-orders/{id}/reopen",
        ) => (Right::WorkOrders, order),
        ("GET", "/audit/items") => (Right::Review, About::Hospital),
        ("POST", "/audit/items/{id}/verdict") => (Right::Review, About::One(Record::AuditItem)),
        ("GET", "/live") => (Right::Listen, About::Narrowed),
        ("POST", "/calls/search") => (Right::ReadPatients, About::Narrowed),
        ("GET", "/review/forms") => (Right::Review, About::Nobody),
        ("GET", "/calls/{id}/reviews") | ("PUT", "/calls/{id}/review") => (Right::Review, attempt),
        ("GET", "/review/rows") => (Right::Review, About::Hospital),
        ("GET", "/review/agreement") => (Right::ReadFigures, About::Nobody),
        ("GET", "/audit/figures") => (Right::ReadFigures, About::Nobody),
        ("POST", "/patients/find") => (Right::ReadPatients, About::Narrowed),
        ("GET" | "POST", "/pauses") | ("POST", "/pauses/end") => {
            (Right::ChangePlans, About::Narrowed)
        }
        // Hours and rates of the whole hospital, nobody's name.
        ("GET", "/calling-hours" | "/calling-hours/reach") => (Right::ReadFigures, About::Nobody),
        ("POST", "/calling-hours/simulate") => (Right::ReadFigures, About::Nobody),
        ("POST", "/calling-hours/close" | "/calling-hours/open")
        | ("PUT" | "DELETE", "/calling-hours") => (Right::ChangePlans, About::Hospital),
        ("GET", "/trunks") => (Right::ReadSystem, About::Nobody),
        (
            "GET",
            "/scripts"
            | "/scripts/{id}"
            | "/scripts/{id}/drafts"
            | "/scripts/prompts/{folder}/{lang}/{name}",
        )
        | ("POST", "/scripts/{id}/rehearse") => (Right::ReadScripts, About::Nobody),
        ("GET", "/scripts/{id}/figures") => (Right::ReadScripts, About::Narrowed),
        ("PUT", "/scripts/{id}/drafts") => (Right::EditScripts, About::Nobody),
        // Handing in needs more: see the handler.
        ("POST", "/drafts/{id}/state") => (Right::ReviseScripts, About::Nobody),
        ("POST", "/drafts/{id}/signing" | "/drafts/{id}/sign") => {
            (Right::SignScripts, About::Nobody)
        }
        ("POST", "/scripts/{id}/publish") => (Right::PublishScripts, About::Nobody),
        ("GET", "/figures" | "/figures/sheet") => (Right::ReadFigures, About::Narrowed),
        ("GET", "/figures/calls") => (Right::ReadPatients, About::Narrowed),
        ("GET", "/audit/log" | "/audit/chain") => (Right::ReadAudit, About::Nobody),
        ("GET" | "POST", "/do-not-call") | ("POST", "/do-not-call/remove") => {
            (Right::ChangePlans, About::Hospital)
        }
        ("GET" | "POST", "/staff") | ("PATCH", "/staff/{name}") => {
            (Right::ManageStaff, About::Nobody)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Nothing is served that no line above speaks of; what is open to all is named here.
    #[test]
    fn every_route_has_its_rule() {
        const OPEN: [(&str, &str); 6] = [
            ("get", "/health"),
            ("get", "/metrics"),
            ("post", "/api/v1/session"),
            ("get", "/api/v1/session/ways"),
            ("get", "/api/v1/session/sso"),
            ("get", "/api/v1/session/sso/callback"),
        ];
        let document = serde_json::to_value(super::super::openapi()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let mut seen = 0;
        for (path, methods) in paths {
            for method in methods.as_object().expect("methods").keys() {
                if OPEN.contains(&(method.as_str(), path.as_str())) {
                    continue;
                }
                let below = path.strip_prefix("/api/v1").expect("below /api/v1");
                let name = method.to_uppercase().parse().expect("a method");
                assert!(rule(&name, below).is_some(), "{method} {path} has no rule");
                seen += 1;
            }
        }
        assert!(seen > 30, "{seen} routes");
    }
}
