//! Accounts: made, changed and ended by a security admin, who does so to nobody's own account but others'.

use aftercall_core::staff::{Role, Wards, duties_in_conflict};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, List};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::password;
use crate::store::staff::Staff;

/// A person with an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct StaffView {
    #[schema(example = "li.na")]
    pub name: String,
    pub display_name: String,
    #[schema(value_type = Vec<String>, example = json!(["nurse"]))]
    pub roles: Vec<Role>,
    /// `null`: every ward.
    pub wards: Option<Vec<String>>,
    /// A code is asked for beside the password.
    pub two_factor: bool,
    /// What the provider of single sign-on calls them.
    pub sso_name: Option<String>,
    pub active: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub locked_until: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStaff {
    /// What is typed at sign-in, and stands in the audit log.
    pub name: String,
    pub display_name: String,
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<Role>,
    /// Left out or `null`: every ward.
    #[serde(default)]
    pub wards: Option<Vec<String>>,
}

/// What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StaffChange {
    #[serde(default)]
    pub display_name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub roles: Option<Vec<Role>>,
    #[serde(default)]
    pub wards: Option<WardsBody>,
    #[serde(default)]
    pub active: Option<bool>,
    /// What the provider of single sign-on calls them; empty: they sign in by password alone. Whoever signed in under the
    /// old one is forgotten.
    #[serde(default)]
    pub sso_name: Option<String>,
    /// True: no code is asked for beside the password any more, until they set up a new one.
    #[serde(default)]
    pub remove_second_factor: bool,
    /// True: a new password is made, and shown once.
    #[serde(default)]
    pub new_password: bool,
}

/// Which wards: all of them, or these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WardsBody {
    All,
    Only(Vec<String>),
}

/// An account, and what is shown of it once.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedStaff {
    pub staff: StaffView,
    /// To be handed over, and changed at the first sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Lists the accounts, by name.
#[utoipa::path(get, path = "/staff", tag = "staff", responses(
    (status = OK, body = List<StaffView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<List<StaffView>>, Problem> {
    let staff = state.store.staff().await?;
    state
        .audit(&caller, "staff.list", "", &format!("{} rows", staff.len()))
        .await?;
    Ok(Json(List {
        items: staff.into_iter().map(StaffView::from).collect(),
        next_cursor: None,
    }))
}

/// Makes an account with a password that is shown once.
#[utoipa::path(post, path = "/staff", tag = "staff", request_body = NewStaff, responses(
    (status = CREATED, body = ChangedStaff),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn add(
    State(state): State<AppState>,
    caller: Caller,
    Body(new): Body<NewStaff>,
) -> Result<(StatusCode, Json<ChangedStaff>), Problem> {
    check_name(&new.name)?;
    check_roles(&state, &new.roles)?;
    let wards = new.wards.map_or(Wards::ALL, Wards::only);
    let now = state.now();
    let staff = state
        .store
        .add_staff(&new.name, &new.display_name, &new.roles, &wards, now)
        .await?;
    let password = new_password(&state, &staff).await?;
    state
        .audit(&caller, "staff.add", &staff.id, &roles_of(&staff))
        .await?;
    let changed = ChangedStaff {
        staff: staff.into(),
        password: Some(password),
    };
    Ok((StatusCode::CREATED, Json(changed)))
}

/// Changes roles, wards, whether somebody may sign in, or the password. Nobody changes their own account here.
#[utoipa::path(patch, path = "/staff/{name}", tag = "staff", params(("name" = String, Path)),
    request_body = StaffChange, responses(
    (status = OK, body = ChangedStaff),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    Body(change): Body<StaffChange>,
) -> Result<Json<ChangedStaff>, Problem> {
    if name == caller.name {
        let detail = "nobody gives rights to themselves; ask another security admin";
        return Err(Problem::new(StatusCode::FORBIDDEN, "own_account", detail));
    }
    let mut staff = state.store.staff_member(&name).await?;
    if let Some(display_name) = change.display_name {
        staff.display_name = display_name;
    }
    if let Some(roles) = change.roles {
        check_roles(&state, &roles)?;
        staff.roles = roles;
    }
    match change.wards {
        Some(WardsBody::All) => staff.wards = Wards::ALL,
        Some(WardsBody::Only(wards)) => staff.wards = Wards::only(wards),
        None => {}
    }
    staff.active = change.active.unwrap_or(staff.active);
    state.store.change_staff(&staff, state.now()).await?;
    if let Some(sso_name) = change.sso_name {
        staff.sso_name = (!sso_name.is_empty()).then_some(sso_name);
        let given = staff.sso_name.as_deref();
        state.store.set_sso_name(&name, given, state.now()).await?;
        state
            .audit(&caller, "staff.sso_name", &staff.id, "")
            .await?;
    }
    if change.remove_second_factor {
        staff.two_factor = false;
        state.store.set_totp(&name, None, state.now()).await?;
        state
            .audit(&caller, "staff.totp_off", &staff.id, "")
            .await?;
    }
    let password = if change.new_password {
        Some(new_password(&state, &staff).await?)
    } else {
        None
    };
    state
        .audit(&caller, "staff.change", &staff.id, &roles_of(&staff))
        .await?;
    Ok(Json(ChangedStaff {
        staff: staff.into(),
        password,
    }))
}

async fn new_password(state: &AppState, staff: &Staff) -> Result<String, Problem> {
    let made = password::generate();
    let phc = state.access.hash(&staff.name, made.clone()).await?;
    let phc = phc.map_err(|weak| Problem::field("password", weak.to_string()))?;
    state
        .store
        .set_password(&staff.name, &phc, state.now())
        .await?;
    Ok(made)
}

fn check_name(name: &str) -> Result<(), Problem> {
    password::check_name(name).map_err(|fault| Problem::field("name", fault))
}

fn check_roles(state: &AppState, roles: &[Role]) -> Result<(), Problem> {
    if roles.is_empty() {
        return Err(Problem::field("roles", "an account has at least one role"));
    }
    match duties_in_conflict(roles).filter(|_| state.access.separate_duties) {
        Some((one, other)) => Err(Problem::field(
            "roles",
            format!("{one} and {other} are kept apart here: give them to two people"),
        )),
        None => Ok(()),
    }
}

pub(super) fn roles_of(staff: &Staff) -> String {
    let roles: Vec<String> = staff.roles.iter().map(ToString::to_string).collect();
    let active = if staff.active {
        ""
    } else {
        "; may not sign in"
    };
    format!("{}{active}", roles.join(", "))
}

impl From<Staff> for StaffView {
    fn from(staff: Staff) -> Self {
        Self {
            name: staff.name,
            display_name: staff.display_name,
            roles: staff.roles,
            wards: staff.wards.names().map(<[String]>::to_vec),
            two_factor: staff.two_factor,
            sso_name: staff.sso_name,
            active: staff.active,
            locked_until: staff.locked_until,
            created_at: staff.created_at,
        }
    }
}
