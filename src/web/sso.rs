//! Single sign-on: out to the hospital's provider and back, with an account at the end or nothing.

use std::sync::Arc;

use aftercall_core::staff::{Wards, duties_in_conflict};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cookie::time::Duration as CookieAge;
use cookie::{Cookie, SameSite};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::extract::Params;
use super::problem::Problem;
use super::session::{cookie, is_here, set_cookie};
use crate::config::{NewAccountsSee, Oidc};
use crate::password;
use crate::sso::{Identity, Sso, SsoError};
use crate::store::StoreError;
use crate::store::staff::{SignedInBy, Staff};

/// Holds a browser to the journey it began.
const COOKIE: &str = "aftercall_sso";
/// Longest time at the provider.
const JOURNEY: SignedDuration = SignedDuration::from_mins(10);

/// Ways to sign in beside name and password.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaysIn {
    pub single_sign_on: Option<SingleSignOn>,
}

/// What stands on the button that leads to `GET /session/sso`.
#[derive(Debug, Serialize, ToSchema)]
pub struct SingleSignOn {
    pub label_zh: String,
    pub label_en: String,
}

/// What a provider's answer carries in its address (OpenID Connect Core 1.0 §3.1.2.5); others are left alone.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Answer {
    pub state: Option<String>,
    pub code: Option<String>,
    pub error: Option<String>,
}

/// Why somebody is back without a session: the page says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// The provider is away, or is none.
    Unavailable,
    /// A journey that this browser did not begin, that is over or was made twice.
    Journey,
    /// The provider let nobody through, or its token does not hold.
    Token,
    /// Without the second factor that the hospital asks for.
    Weak,
    /// Nobody here goes by that name, or they may no longer sign in, or no role is theirs.
    Account,
}

impl Refused {
    fn code(self) -> &'static str {
        match self {
            Refused::Unavailable => "unavailable",
            Refused::Journey => "journey",
            Refused::Token => "token",
            Refused::Weak => "weak",
            Refused::Account => "account",
        }
    }
}

impl From<SsoError> for Refused {
    fn from(error: SsoError) -> Self {
        tracing::warn!(%error, "single sign-on failed");
        match error {
            SsoError::Unavailable(_) => Refused::Unavailable,
            SsoError::NoToken | SsoError::BadToken(_) => Refused::Token,
        }
    }
}

/// Says how people sign in here.
#[utoipa::path(get, path = "/session/ways", tag = "session", security(()), responses((status = OK, body = WaysIn)))]
pub async fn ways(State(state): State<AppState>) -> Json<WaysIn> {
    let label = |sso: &Arc<Sso>| SingleSignOn {
        label_zh: sso.config.label_zh.clone(),
        label_en: sso.config.label_en.clone(),
    };
    Json(WaysIn {
        single_sign_on: state.sso.as_ref().map(label),
    })
}

/// Sends a browser to the provider. 404 where none is configured.
#[utoipa::path(get, path = "/session/sso", tag = "session", security(()), responses(
    (status = SEE_OTHER),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn depart(
    State(state): State<AppState>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, Problem> {
    state.limits.sign_in(&headers, &extensions)?;
    let sso = provider(&state)?;
    let departure = match asked(move || sso.depart()).await? {
        Ok(departure) => departure,
        Err(error) => return Ok(back_without(error.into())),
    };
    let now = state.now();
    let until = now.saturating_add(JOURNEY).unwrap_or(Timestamp::MAX);
    let kept = (
        departure.state.as_str(),
        departure.nonce.as_str(),
        departure.verifier.as_str(),
    );
    let browser = state.store.begin_journey(kept, until, now).await?;
    let mut response = see_other(&departure.url);
    set_cookie(&mut response, &journey_cookie(browser, &headers));
    Ok(response)
}

/// Takes a browser back from the provider and opens its session; without one the page is told why (`/?sso=CODE`:
/// `unavailable`, `journey`, `token`, `weak`, `account`).
#[utoipa::path(get, path = "/session/sso/callback", tag = "session", security(()), params(Answer), responses(
    (status = SEE_OTHER),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn arrive(
    State(state): State<AppState>,
    headers: HeaderMap,
    extensions: Extensions,
    Params(answer): Params<Answer>,
) -> Result<Response, Problem> {
    state.limits.sign_in(&headers, &extensions)?;
    let sso = provider(&state)?;
    let now = state.now();
    let mut response = match identity(&state, &headers, &sso, answer, now).await? {
        Err(refused) => {
            let why = format!("single sign-on: {}", refused.code());
            state
                .store
                .audit("unknown", "session.refused", "", &why, now)
                .await?;
            back_without(refused)
        }
        Ok(identity) => match account(&state, &sso.config, &identity, now).await? {
            Err(refused) => back_without(refused),
            Ok(staff) => {
                let (session, key) = state
                    .store
                    .open_session(staff, SignedInBy::Provider, &state.access.limits, now)
                    .await?;
                let staff = &session.staff;
                state
                    .store
                    .audit(
                        &staff.name,
                        "session.open",
                        &staff.id,
                        "single sign-on",
                        now,
                    )
                    .await?;
                let mut response = see_other("/");
                set_cookie(&mut response, &cookie(key, &headers));
                response
            }
        },
    };
    let mut gone = journey_cookie(String::new(), &headers);
    gone.make_removal();
    set_cookie(&mut response, &gone);
    Ok(response)
}

fn provider(state: &AppState) -> Result<Arc<Sso>, Problem> {
    let none = || Problem::not_found("way to sign in: web.oidc is not configured");
    state.sso.clone().ok_or_else(none)
}

/// Off the async threads: the provider's answers are waited for.
async fn asked<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, SsoError> + Send + 'static,
) -> Result<Result<T, SsoError>, Problem> {
    spawn_blocking(ask).await.map_err(|_| {
        let detail = "the provider could not be asked";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    })
}

/// Who came back, if it is this browser's own journey, made once.
async fn identity(
    state: &AppState,
    headers: &HeaderMap,
    sso: &Arc<Sso>,
    answer: Answer,
    now: Timestamp,
) -> Result<Result<Identity, Refused>, Problem> {
    let browser = super::auth::cookie_of(headers, COOKIE);
    let (Some(known), Some(browser)) = (answer.state, browser) else {
        return Ok(Err(Refused::Journey));
    };
    let Some((nonce, verifier)) = state.store.end_journey(&known, &browser, now).await? else {
        return Ok(Err(Refused::Journey));
    };
    let Some(code) = answer.code.filter(|_| answer.error.is_none()) else {
        return Ok(Err(Refused::Token));
    };
    let there = Arc::clone(sso);
    let arrived = asked(move || there.arrive(code, nonce, verifier)).await?;
    Ok(match arrived {
        Err(error) => Err(error.into()),
        Ok(identity) if !identity.is_strong_enough(&sso.config) => Err(Refused::Weak),
        Ok(identity) => Ok(identity),
    })
}

/// The account of who came back, with the roles and wards that their claims give.
async fn account(
    state: &AppState,
    config: &Oidc,
    identity: &Identity,
    now: Timestamp,
) -> Result<Result<Staff, Refused>, Problem> {
    let refused = |who: &str, id: &str, why: &'static str| {
        let (who, id) = (who.to_owned(), id.to_owned());
        async move {
            let why = format!("single sign-on: {why}");
            state
                .store
                .audit(&who, "session.refused", &id, &why, now)
                .await?;
            Ok(Err(Refused::Account))
        }
    };
    let roles = identity.roles(config);
    if let Some(roles) = &roles {
        if roles.is_empty() {
            return refused("unknown", "", "no role by its claims").await;
        }
        if state.access.separate_duties && duties_in_conflict(roles).is_some() {
            return refused("unknown", "", "duties that are kept apart").await;
        }
    }
    let mut staff = match find(state, config, identity, now).await? {
        Ok(staff) => staff,
        Err(why) => return refused("unknown", "", why).await,
    };
    if !staff.active {
        return refused(&staff.name, &staff.id, "may not sign in").await;
    }
    if staff.locked_until.is_some_and(|until| now < until) {
        return refused(&staff.name, &staff.id, "locked").await;
    }
    let before = (staff.roles.clone(), staff.wards.clone());
    staff.roles = roles.unwrap_or(staff.roles);
    staff.wards = identity.wards(config).unwrap_or(staff.wards);
    if before != (staff.roles.clone(), staff.wards.clone()) {
        state.store.change_staff(&staff, now).await?;
        let what = super::staff::roles_of(&staff);
        state
            .store
            .audit("single_sign_on", "staff.change", &staff.id, &what, now)
            .await?;
    }
    Ok(Ok(staff))
}

/// By the subject that signed in before; else by the name that an admin wrote down; else a new one, where that is allowed.
async fn find(
    state: &AppState,
    config: &Oidc,
    identity: &Identity,
    now: Timestamp,
) -> Result<Result<Staff, &'static str>, Problem> {
    let (issuer, subject) = (&identity.issuer, &identity.subject);
    if let Some(staff) = state.store.staff_of_subject(issuer, subject).await? {
        return Ok(Ok(staff));
    }
    let Some(name) = identity.name(config) else {
        return Ok(Err("no verified name in its claims"));
    };
    let staff = match state.store.staff_of_sso_name(&name).await? {
        Some(named) if named.is_bound => return Ok(Err("the name is another subject's")),
        Some(named) => named.staff,
        None if !config.create => return Ok(Err("no such account")),
        None => match create(state, config, identity, &name, now).await? {
            Ok(staff) => staff,
            Err(why) => return Ok(Err(why)),
        },
    };
    if !state
        .store
        .bind_subject(&staff.id, issuer, subject, now)
        .await?
    {
        return Ok(Err("the name is another subject's"));
    }
    state
        .store
        .audit("single_sign_on", "staff.bind", &staff.id, "", now)
        .await?;
    Ok(Ok(staff))
}

/// A new account under the name that the provider prefers. No account that is there is ever taken over.
async fn create(
    state: &AppState,
    config: &Oidc,
    identity: &Identity,
    sso_name: &str,
    now: Timestamp,
) -> Result<Result<Staff, &'static str>, Problem> {
    let preferred = identity.text("preferred_username").unwrap_or(sso_name);
    let name = preferred.split('@').next().unwrap_or_default();
    if password::check_name(name).is_err() {
        return Ok(Err("its name cannot be an account's"));
    }
    let display = identity.text("name").unwrap_or(name);
    let roles = identity.roles(config).unwrap_or_default();
    let wards = identity.wards(config);
    let wards = wards.unwrap_or_else(|| match config.new_accounts_see {
        NewAccountsSee::NoWard => Wards::only(Vec::new()),
        NewAccountsSee::EveryWard => Wards::ALL,
    });
    let made = state.store.add_staff(name, display, &roles, &wards, now);
    let staff = match made.await {
        Ok(staff) => staff,
        Err(StoreError::Conflict { .. }) => return Ok(Err("another account has its name")),
        Err(error) => return Err(error.into()),
    };
    state.store.set_sso_name(name, Some(sso_name), now).await?;
    let what = super::staff::roles_of(&staff);
    state
        .store
        .audit("single_sign_on", "staff.add", &staff.id, &what, now)
        .await?;
    Ok(Ok(staff))
}

fn back_without(refused: Refused) -> Response {
    see_other(&format!("/?sso={}", refused.code()))
}

fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/?sso=unavailable"));
    response.headers_mut().insert(header::LOCATION, to);
    response
}

/// `Lax`, for the browser comes back from another site.
fn journey_cookie(key: String, headers: &HeaderMap) -> Cookie<'static> {
    Cookie::build((COOKIE, key))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(!is_here(headers))
        .path("/api/v1/session/sso")
        .max_age(CookieAge::seconds(JOURNEY.as_secs()))
        .build()
}
