//! Sign-in: name and password, a code where the account has one, and a cookie that no script can read.

use std::sync::Arc;

use aftercall_core::staff::{Lockout, Role, WeakPassword};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cookie::{Cookie, SameSite};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::auth::{COOKIE, session_key};
use super::extract::Body;
use super::problem::Problem;
use super::{AppState, Caller};
use crate::config;
use crate::password;
use crate::store::staff::{Credentials, Session, SessionLimits, SignedInBy};

/// What sign-in and access are held to.
#[derive(Debug)]
pub struct Access {
    pub limits: SessionLimits,
    pub lockout: Lockout,
    pub separate_duties: bool,
    /// Names of the audit log for which the caller says why.
    pub reasons_for: Vec<String>,
    /// Roles that do nothing before their second factor is set up.
    pub second_factor_for: Vec<Role>,
    /// Passwords hashed at once: each takes 19 MiB and some 20 ms.
    hashing: Arc<Semaphore>,
}

impl Access {
    pub fn new(staff: &config::Staff) -> Self {
        Self {
            limits: staff.limits(),
            lockout: staff.lockout(),
            separate_duties: staff.separate_duties,
            reasons_for: staff.reasons_for.clone(),
            second_factor_for: staff.second_factor_for.clone(),
            hashing: Arc::new(Semaphore::new(2)),
        }
    }

    /// Whether a sign-in is good for nothing but setting up a second factor. At the provider that is the provider's matter.
    pub fn needs_second_factor(&self, session: &Session) -> bool {
        let staff = &session.staff;
        let asked = |role| self.second_factor_for.contains(role);
        session.by == SignedInBy::Password && !staff.two_factor && staff.roles.iter().any(asked)
    }

    /// Hashes a password for an account, off the async threads.
    pub async fn hash(
        &self,
        name: &str,
        password: String,
    ) -> Result<Result<String, WeakPassword>, Problem> {
        let name = name.to_owned();
        self.work(move || password::hash(&name, &password)).await
    }

    /// Whether it fits; as slow for an account that is not there, or has no password, as for one that has.
    async fn fits(&self, phc: Option<String>, password: String) -> Result<bool, Problem> {
        self.work(move || {
            // With nobody's hash the same work is done, and its answer does not count.
            let fits = password::fits(phc.as_deref().unwrap_or(password::NOBODYS), &password);
            fits && phc.is_some()
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.hashing).acquire_owned().await;
        let done = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the password could not be checked",
            )
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    #[schema(example = "li.na")]
    pub name: String,
    pub password: String,
    /// Of the authenticator, where the account has one.
    #[serde(default)]
    pub code: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    pub old: String,
    pub new: String,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    pub name: String,
    pub display_name: String,
    #[schema(value_type = Vec<String>, example = json!(["nurse"]))]
    pub roles: Vec<Role>,
    /// `null`: every ward.
    pub wards: Option<Vec<String>>,
    /// A code is asked for beside the password.
    pub two_factor: bool,
    /// Nothing is answered before `POST /session/second-factor` and its confirmation.
    pub second_factor_needed: bool,
    /// A request that changes something carries it as `x-csrf-token`.
    pub csrf: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl SessionView {
    fn of(session: &Session, access: &Access) -> Self {
        Self {
            two_factor: session.staff.two_factor,
            second_factor_needed: access.needs_second_factor(session),
            name: session.staff.name.clone(),
            display_name: session.staff.display_name.clone(),
            roles: session.staff.roles.clone(),
            wards: session.staff.wards.names().map(<[String]>::to_vec),
            csrf: session.csrf.clone(),
            expires_at: session.expires_at,
        }
    }
}

/// Signs in and sets the cookie. 401 `wrong_credentials` says not whether the name is known; 401 `code_needed` comes
/// only after the right password; 429 `locked_out` after too many failures in a row.
#[utoipa::path(post, path = "/session", tag = "session", security(()), request_body = SignIn, responses(
    (status = OK, body = SessionView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn open(
    State(state): State<AppState>,
    headers: HeaderMap,
    extensions: Extensions,
    Body(sign_in): Body<SignIn>,
) -> Result<Response, Problem> {
    state.limits.sign_in(&headers, &extensions)?;
    let now = state.now();
    let known = state.store.credentials(&sign_in.name).await?;
    if let Some(until) = known.as_ref().and_then(|known| known.staff.locked_until)
        && now < until
    {
        return Err(locked(until, now));
    }
    let phc = known.as_ref().and_then(|known| known.password.clone());
    let fits = state.access.fits(phc, sign_in.password).await?;
    let Some(known) = known else {
        state
            .store
            .audit("unknown", "session.refused", "", "no such account", now)
            .await?;
        return Err(wrong());
    };
    if !known.staff.active || !fits {
        return Err(failed(&state, &known, "password", now).await?);
    }
    if let Some(secret) = &known.totp {
        let Some(code) = sign_in.code.filter(|code| !code.trim().is_empty()) else {
            let detail = "the account has a second factor: send its code";
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "code_needed",
                detail,
            ));
        };
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let taken = match password::totp_step(secret, &code, seconds) {
            Some(step) => state.store.take_totp_step(&known.staff.id, step).await?,
            None => false,
        };
        if !taken {
            return Err(failed(&state, &known, "code", now).await?);
        }
    }
    let (session, key) = state
        .store
        .open_session(known.staff, SignedInBy::Password, &state.access.limits, now)
        .await?;
    let staff = &session.staff;
    state
        .store
        .audit(&staff.name, "session.open", &staff.id, "", now)
        .await?;
    let cookie = cookie(key, &headers);
    let mut response = Json(SessionView::of(&session, &state.access)).into_response();
    set_cookie(&mut response, &cookie);
    Ok(response)
}

/// Shows who is signed in.
#[utoipa::path(get, path = "/session", tag = "session", responses(
    (status = OK, body = SessionView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<SessionView>, Problem> {
    let session = caller.session.as_ref().ok_or_else(no_session)?;
    Ok(Json(SessionView::of(session, &state.access)))
}

/// Signs out.
#[utoipa::path(delete, path = "/session", tag = "session", responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn end(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = session_key(&headers).ok_or_else(no_session)?;
    state.store.end_session(&key, state.now()).await?;
    state.audit(&caller, "session.end", "", "").await?;
    let mut gone = cookie(String::new(), &headers);
    gone.make_removal();
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, &gone);
    Ok(response)
}

/// Changes one's own password, and ends every session of the account, this one too.
#[utoipa::path(put, path = "/session/password", tag = "session", request_body = PasswordChange, responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn change_password(
    State(state): State<AppState>,
    caller: Caller,
    Body(change): Body<PasswordChange>,
) -> Result<StatusCode, Problem> {
    let session = caller.session.as_ref().ok_or_else(no_session)?;
    let name = session.staff.name.clone();
    check_password(&state, &name, change.old).await?;
    let phc = state.access.hash(&name, change.new).await?;
    let phc = phc.map_err(|weak| Problem::field("new", weak.to_string()))?;
    state.store.set_password(&name, &phc, state.now()).await?;
    state
        .audit(&caller, "staff.password", &session.staff.id, "")
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether it is the account's password; what is not counts as a failure to sign in.
pub(super) async fn check_password(
    state: &AppState,
    name: &str,
    password: String,
) -> Result<(), Problem> {
    let known = state.store.credentials(name).await?.ok_or_else(wrong)?;
    if state.access.fits(known.password.clone(), password).await? {
        return Ok(());
    }
    Err(failed(state, &known, "password", state.now()).await?)
}

/// Counts a failure, and says what is answered.
async fn failed(
    state: &AppState,
    known: &Credentials,
    by: &str,
    now: Timestamp,
) -> Result<Problem, Problem> {
    let lockout = state.access.lockout;
    let staff = &known.staff;
    let until = state
        .store
        .sign_in_failed(&staff.id, move |failures| lockout.until(failures, now))
        .await?;
    state
        .store
        .audit(&staff.name, "session.refused", &staff.id, by, now)
        .await?;
    Ok(match until {
        Some(until) => {
            tracing::warn!(staff.id = %staff.id, "account locked after failures to sign in");
            locked(until, now)
        }
        None => wrong(),
    })
}

/// `Secure` unless the page itself comes from this machine: a browser keeps no such cookie there without TLS.
pub(super) fn cookie(key: String, headers: &HeaderMap) -> Cookie<'static> {
    Cookie::build((COOKIE, key))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(!is_here(headers))
        .path("/")
        .build()
}

/// Whether the page comes from this machine.
pub(super) fn is_here(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.starts_with("127.")
}

pub(super) fn set_cookie(response: &mut Response, cookie: &Cookie<'_>) {
    let line = HeaderValue::from_str(&cookie.to_string()).expect("base64 and attributes");
    response.headers_mut().append(header::SET_COOKIE, line);
}

fn wrong() -> Problem {
    let detail = "name, password or code is wrong";
    Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", detail)
}

fn locked(until: Timestamp, now: Timestamp) -> Problem {
    let minutes = (until.as_second() - now.as_second() + 59) / 60;
    let detail = format!("too many failures: try again in {minutes} min");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "locked_out", detail)
}

pub(super) fn no_session() -> Problem {
    let detail = "a token has no session; sign in by POST /session";
    Problem::new(StatusCode::CONFLICT, "no_session", detail)
}
