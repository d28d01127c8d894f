//! Who calls, by bearer token (RFC 6750) or by the cookie of a sign-in, and whether they may.

use aftercall_core::staff::{Right, Role, Wards};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use cookie::Cookie;
use percent_encoding::percent_decode_str;

use super::AppState;
use super::problem::Problem;
use super::rights::{About, Record, rule};
use crate::store::staff::Session;

/// The cookie of a sign-in.
pub const COOKIE: &str = "aftercall_session";
/// What a request that changes something carries under the cookie: no other site can read it.
const CSRF: &str = "x-csrf-token";
/// Why a record is looked at, percent-encoded UTF-8, at most 200 characters.
const REASON: &str = "x-access-reason";

/// Who made this request, and what they may see.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name of the account or token: what the audit log shows.
    pub name: String,
    pub roles: Vec<Role>,
    pub wards: Wards,
    /// Why, where they said so.
    pub reason: Option<String>,
    /// The sign-in, where it is a person in a browser.
    pub session: Option<Session>,
}

impl Caller {
    /// Whether one of their roles may.
    pub fn may(&self, right: Right) -> bool {
        self.roles.iter().any(|role| role.may(right))
    }
}

/// Lets a request through whose caller is known and may do this to that record.
pub async fn require_right(
    State(state): State<AppState>,
    path: MatchedPath,
    ids: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = known(&state, request.method(), request.headers()).await?;
    state.limits.request(&caller.name)?;
    let route = path.as_str().strip_prefix("/api/v1").unwrap_or_default();
    if let Some(session) = &caller.session
        && state.access.needs_second_factor(session)
        && !matches!(route, "/session" | "/session/second-factor")
    {
        let detail = "your role needs a second factor: set it up by POST /session/second-factor";
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "second_factor_needed",
            detail,
        ));
    }
    // An id that is no text is nobody's.
    let ids = ids.map_err(|_| Problem::not_found("record"))?;
    let id = ids.iter().find(|(name, _)| *name == "id");
    let id = id.map(|(_, id)| id.to_owned()).unwrap_or_default();
    if let Err(problem) = allowed(&state, &caller, request.method(), route, &id).await {
        if problem.status != StatusCode::SERVICE_UNAVAILABLE.as_u16() {
            let what = format!("{} {route}", request.method());
            state.audit(&caller, "access.refused", &id, &what).await?;
            tracing::warn!(route, code = problem.code, "request refused");
        }
        return Err(problem);
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// The caller of a token or of a cookie.
pub async fn known(
    state: &AppState,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    let reason = reason(headers)?;
    if let Some(secret) = header(headers, header::AUTHORIZATION.as_str()).and_then(bearer) {
        let token = state.store.verify_token(secret).await?;
        let token = token.ok_or_else(Problem::unauthorised)?;
        return Ok(Caller {
            name: token.name,
            roles: token.roles,
            wards: token.wards,
            reason,
            session: None,
        });
    }
    let key = session_key(headers).ok_or_else(Problem::unauthorised)?;
    let session = state
        .store
        .session(&key, &state.access.limits, state.now())
        .await?
        .ok_or_else(Problem::unauthorised)?;
    if !method.is_safe() && header(headers, CSRF) != Some(session.csrf.as_str()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "csrf",
            "send the `csrf` of GET /session as x-csrf-token",
        ));
    }
    Ok(Caller {
        name: session.staff.name.clone(),
        roles: session.staff.roles.clone(),
        wards: session.staff.wards.clone(),
        reason,
        session: Some(session),
    })
}

async fn allowed(
    state: &AppState,
    caller: &Caller,
    method: &Method,
    route: &str,
    id: &str,
) -> Result<(), Problem> {
    let not_allowed = |detail: &str| Problem::new(StatusCode::FORBIDDEN, "not_allowed", detail);
    // HEAD is answered as GET is.
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let Some(rule) = rule(method, route) else {
        return Err(not_allowed("no role may do this"));
    };
    if !caller.may(rule.right) {
        return Err(not_allowed("none of your roles may do this"));
    }
    if caller.wards == Wards::ALL {
        return Ok(());
    }
    match rule.about {
        About::Nobody | About::Narrowed => Ok(()),
        About::Hospital => Err(not_allowed(
            "this is about every ward, and you see only some",
        )),
        About::One(record) => {
            let wards = match record {
                Record::Patient => state.store.wards_of_patient(id).await?,
                Record::Episode => state.store.wards_of_episode(id).await?,
                Record::Attempt => state.store.wards_of_attempt(id).await?,
                Record::Order => state.store.wards_of_order(id).await?,
                Record::AuditItem => state.store.wards_of_audit_item(id).await?,
                Record::Message => state.store.wards_of_message(id).await?,
            };
            match wards {
                Some(wards) if !caller.wards.see(wards.iter().map(String::as_str)) => {
                    // Not even that there is one.
                    Err(Problem::not_found("record of your wards"))
                }
                Some(_) | None => Ok(()),
            }
        }
    }
}

/// The secret in the cookie of a sign-in.
pub fn session_key(headers: &HeaderMap) -> Option<String> {
    cookie_of(headers, COOKIE)
}

/// What a cookie of this name holds.
pub fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter();
    cookies
        .filter_map(|line| line.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn reason(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = header(headers, REASON) else {
        return Ok(None);
    };
    let wrong = || {
        let detail = "x-access-reason is percent-encoded UTF-8 of at most 200 characters";
        Problem::new(StatusCode::BAD_REQUEST, "invalid_reason", detail)
    };
    let text = percent_decode_str(value)
        .decode_utf8()
        .map_err(|_| wrong())?;
    let text = text.trim();
    if text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(wrong());
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or_else(Problem::unauthorised)
    }
}
