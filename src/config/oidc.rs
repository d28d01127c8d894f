//! `[web.oidc]`: single sign-on by the hospital's OpenID Connect provider.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aftercall_core::staff::Role;
use serde::{Deserialize, Serialize};

/// The provider, and what its claims mean here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Its `iss`, below which its configuration is found (OpenID Connect Discovery 1.0 §4).
    pub issuer: String,
    pub client_id: String,
    /// The variable that holds the client's secret; none where the provider knows a public client.
    pub secret_env: Option<String>,
    /// Where browsers find the pages, as `https://aftercall.hospital.example`.
    pub public_url: String,
    /// PEM of the authority behind the provider's certificate, where it is the hospital's own.
    pub ca: Option<PathBuf>,
    /// What the button says.
    #[serde(default = "Oidc::label_zh")]
    pub label_zh: String,
    #[serde(default = "Oidc::label_en")]
    pub label_en: String,
    /// Asked for beside `openid`.
    #[serde(default = "Oidc::scopes")]
    pub scopes: Vec<String>,
    /// The claim that finds an account at its first sign-in.
    #[serde(default = "Oidc::claim")]
    pub claim: String,
    /// E-mails count although the provider does not say that it verified them.
    #[serde(default)]
    pub trust_email: bool,
    /// One of these must stand in `amr` (RFC 8176), as `mfa`; empty: none is asked for.
    #[serde(default)]
    pub amr: Vec<String>,
    /// The claim with groups, and which group has which role. Where it is named, every sign-in sets the roles anew.
    pub roles_claim: Option<String>,
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// The claim with wards, and what they are called here; `*` is every ward.
    pub wards_claim: Option<String>,
    #[serde(default)]
    pub wards: BTreeMap<String, String>,
    /// Who has a role by their claims and no account gets one.
    #[serde(default)]
    pub create: bool,
    /// What such an account sees where no claim gives wards.
    #[serde(default)]
    pub new_accounts_see: NewAccountsSee,
}

/// The wards of an account that nobody has given any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewAccountsSee {
    /// No patient, until somebody gives them wards.
    #[default]
    NoWard,
    EveryWard,
}

impl Oidc {
    fn label_zh() -> String {
        "医院统一登录".to_owned()
    }

    fn label_en() -> String {
        "Hospital single sign-on".to_owned()
    }

    fn scopes() -> Vec<String> {
        vec!["email".to_owned(), "profile".to_owned()]
    }

    fn claim() -> String {
        "email".to_owned()
    }

    /// What breaks a rule: its key, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let must = |holds: bool, key, fault: &str| match holds {
            true => Ok(()),
            false => Err((key, fault.to_owned())),
        };
        let https = "must begin with https://; without TLS only loopback";
        must(is_safe(&self.issuer), "web.oidc.issuer", https)?;
        must(is_safe(&self.public_url), "web.oidc.public_url", https)?;
        must(
            !self.client_id.is_empty(),
            "web.oidc.client_id",
            "is what the provider calls this program",
        )?;
        must(
            !self.claim.is_empty(),
            "web.oidc.claim",
            "is the claim by which an account is found, as \"email\"",
        )?;
        must(
            self.roles_claim.is_some() != self.roles.is_empty(),
            "web.oidc.roles",
            "goes with web.oidc.roles_claim: which of its values has which role",
        )?;
        must(
            self.roles.values().all(|role| *role != Role::Service),
            "web.oidc.roles",
            "makes a person a program; give them a role of people",
        )?;
        must(
            self.wards_claim.is_some() || self.wards.is_empty(),
            "web.oidc.wards",
            "goes with web.oidc.wards_claim",
        )?;
        must(
            !self.create || self.roles_claim.is_some(),
            "web.oidc.create",
            "needs web.oidc.roles_claim: nobody gets an account without a role",
        )?;
        must(
            self.new_accounts_see == NewAccountsSee::NoWard || self.wards_claim.is_none(),
            "web.oidc.new_accounts_see",
            "is for sites without web.oidc.wards_claim, which gives every account its wards",
        )
    }
}

/// HTTPS, or this machine itself.
fn is_safe(url: &str) -> bool {
    let host = |rest: &str| rest.split(['/', ':']).next().map(str::to_owned);
    url.strip_prefix("https://")
        .and_then(host)
        .is_some_and(|host| !host.is_empty())
        || url
            .strip_prefix("http://")
            .and_then(host)
            .is_some_and(|host| host == "localhost" || host == "127.0.0.1")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const GOOD: &str = "[web.oidc]\nissuer = \"https://sso.example\"\nclient_id = \"a\"\npublic_url = \"https://a.example\"\n";

    #[test]
    fn what_would_let_strangers_in_is_refused_by_name() {
        let config = Config::parse("a.toml", GOOD).expect("a good file");
        let oidc = config.web.oidc.expect("configured");
        assert_eq!((oidc.claim.as_str(), oidc.create), ("email", false));
        for (more, key) in [
            ("create = true\n", "web.oidc.create"),
            ("roles_claim = \"groups\"\n", "web.oidc.roles"),
            ("roles = { a = \"nurse\" }\n", "web.oidc.roles"),
            (
                "roles_claim = \"groups\"\nroles = { a = \"service\" }\n",
                "web.oidc.roles",
            ),
            ("wards = { a = \"5A\" }\n", "web.oidc.wards"),
            (
                "wards_claim = \"wards\"\nnew_accounts_see = \"every_ward\"\n",
                "web.oidc.new_accounts_see",
            ),
            ("claim = \"\"\n", "web.oidc.claim"),
        ] {
            let error = Config::parse("a.toml", &format!("{GOOD}{more}")).expect_err(more);
            assert!(error.to_string().contains(key), "{error}");
        }
        for (good, bad) in [
            ("https://sso.example", "http://sso.example"),
            ("https://a.example", "ftp://a.example"),
            ("https://sso.example", "http://127.0.0.1.evil.example"),
            ("https://sso.example", "https://"),
        ] {
            let error = Config::parse("a.toml", &GOOD.replace(good, bad)).expect_err(bad);
            assert!(error.to_string().contains("https://"), "{error}");
        }
    }
}
