//! Single sign-on by OpenID Connect Core 1.0: authorisation code with PKCE (RFC 7636), endpoints and keys by discovery.
//!
//! Configuration and keys are asked for anew at every sign-in: few are made, and none fails because a key has changed.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::staff::{Role, Wards};
use anyhow::Context as _;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardErrorResponse, StandardTokenResponse, TokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::config::Oidc;

/// The path at which the provider sends browsers back.
pub const CALLBACK: &str = "/api/v1/session/sso/callback";
/// For the provider's answers together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer of a provider.
const ANSWER_LIMIT: u64 = 1 << 20;

/// A provider that can be asked.
pub struct Sso {
    pub config: Oidc,
    secret: Option<ClientSecret>,
    agent: Agent,
}

impl std::fmt::Debug for Sso {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sso")
            .field("issuer", &self.config.issuer)
            .finish_non_exhaustive()
    }
}

/// Where a browser goes, and what the answer is held against.
pub struct Departure {
    pub url: String,
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

/// Who came back, by claims whose signature, issuer, audience, time and nonce hold.
#[derive(Clone, Debug)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    claims: Map<String, Value>,
}

/// Why nobody could be taken in. None names a person or repeats a token.
#[derive(Debug, thiserror::Error)]
pub enum SsoError {
    #[error("the provider cannot be used: {0}")]
    Unavailable(&'static str),
    #[error("the provider gave no token for the code")]
    NoToken,
    #[error("the provider's token does not hold: {0}")]
    BadToken(&'static str),
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer(#[source] Box<ureq::Error>);

/// Every claim that has no field of its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Others {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Others {}

type Fields = IdTokenFields<
    Others,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type Client<Auth, Token> = openidconnect::Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    Auth,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    Token,
    Token,
>;

impl Sso {
    /// Takes the client's secret from the environment and reads the authority's certificate.
    ///
    /// # Errors
    /// A variable that is not set, a file that is no certificate.
    pub fn load(config: &Oidc) -> anyhow::Result<Self> {
        let named = config.secret_env.as_ref();
        let secret = named.map(|variable| {
            std::env::var(variable)
                .with_context(|| format!("web.oidc: the variable {variable} is not set"))
        });
        Self::with(config, secret.transpose()?)
    }

    /// The same with a secret from elsewhere.
    ///
    /// # Errors
    /// A file that is no certificate.
    pub fn with(config: &Oidc, secret: Option<String>) -> anyhow::Result<Self> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &config.ca {
            let pem = fs::read(path)
                .with_context(|| format!("web.oidc.ca: {} cannot be read", path.display()))?;
            let mut certificates = Vec::new();
            for item in parse_pem(&pem) {
                if let PemItem::Certificate(certificate) = item.context("web.oidc.ca: no PEM")? {
                    certificates.push(certificate);
                }
            }
            anyhow::ensure!(
                !certificates.is_empty(),
                "web.oidc.ca: holds no certificate"
            );
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates)));
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // Whoever answers for the provider must not send us elsewhere in this network.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .https_only(config.issuer.starts_with("https://"))
            .tls_config(tls.build())
            .build();
        Ok(Self {
            config: config.clone(),
            secret: secret.map(ClientSecret::new),
            agent: agent.into(),
        })
    }

    /// Where a browser is sent. Blocks while the provider is asked.
    ///
    /// # Errors
    /// A provider that does not answer, or not as a provider does.
    pub fn depart(&self) -> Result<Departure, SsoError> {
        let client = self.client()?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut asked = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge);
        for scope in &self.config.scopes {
            asked = asked.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = asked.url();
        Ok(Departure {
            url: url.into(),
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
        })
    }

    /// Exchanges the code that a browser brought back. Blocks while the provider is asked.
    ///
    /// # Errors
    /// A provider that does not answer, a code that is not its own, a token that does not hold.
    pub fn arrive(
        &self,
        code: String,
        nonce: String,
        verifier: String,
    ) -> Result<Identity, SsoError> {
        let client = self.client()?;
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| SsoError::Unavailable("it names no token endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier))
            .request(&|request| self.ask(request))
            .map_err(|error| match error {
                RequestTokenError::Request(_) => SsoError::Unavailable("no answer"),
                RequestTokenError::ServerResponse(_)
                | RequestTokenError::Parse(..)
                | RequestTokenError::Other(_) => SsoError::NoToken,
            })?;
        let token = answer.id_token().ok_or(SsoError::NoToken)?;
        // Signed by a key that the provider publishes; never by the client's secret, and never by nothing.
        let verifier = client.id_token_verifier().set_allowed_algs([
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            CoreJwsSigningAlgorithm::RsaSsaPssSha384,
            CoreJwsSigningAlgorithm::RsaSsaPssSha512,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            CoreJwsSigningAlgorithm::EdDsa,
        ]);
        let claims = token
            .claims(&verifier, &Nonce::new(nonce))
            .map_err(|error| SsoError::BadToken(fault(&error)))?;
        if let Some(expected) = claims.access_token_hash() {
            let bad = |_| SsoError::BadToken("signature");
            let alg = token.signing_alg().map_err(bad)?;
            let key = token
                .signing_key(&verifier)
                .map_err(|_| SsoError::BadToken("signature"))?;
            let hash = AccessTokenHash::from_token(answer.access_token(), alg, key)
                .map_err(|_| SsoError::BadToken("access token"))?;
            if hash != *expected {
                return Err(SsoError::BadToken("access token"));
            }
        }
        let Ok(Value::Object(all)) = serde_json::to_value(claims) else {
            return Err(SsoError::BadToken("claims"));
        };
        Ok(Identity {
            issuer: claims.issuer().as_str().to_owned(),
            subject: claims.subject().as_str().to_owned(),
            claims: all,
        })
    }

    fn client(&self) -> Result<Client<EndpointSet, EndpointMaybeSet>, SsoError> {
        let bad = |_| SsoError::Unavailable("the configured address is none");
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(bad)?;
        let back = format!("{}{CALLBACK}", self.config.public_url.trim_end_matches('/'));
        let back = RedirectUrl::new(back).map_err(bad)?;
        let metadata = CoreProviderMetadata::discover(&issuer, &|request| self.ask(request))
            .map_err(|_| SsoError::Unavailable("its configuration or keys cannot be had"))?;
        let by_body = metadata
            .token_endpoint_auth_methods_supported()
            .is_some_and(|known| {
                !known.contains(&CoreClientAuthMethod::ClientSecretBasic)
                    && known.contains(&CoreClientAuthMethod::ClientSecretPost)
            });
        let id = ClientId::new(self.config.client_id.clone());
        let client = Client::from_provider_metadata(metadata, id, self.secret.clone())
            .set_redirect_uri(back);
        Ok(if by_body {
            client.set_auth_type(AuthType::RequestBody)
        } else {
            client
        })
    }

    fn ask(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let failed = |error| NoAnswer(Box::new(error));
        let (parts, body) = self.agent.run(request).map_err(failed)?.into_parts();
        let mut body = body;
        let bytes = body
            .with_config()
            .limit(ANSWER_LIMIT)
            .read_to_vec()
            .map_err(failed)?;
        Ok(HttpResponse::from_parts(parts, bytes))
    }
}

impl Identity {
    /// What the provider calls the person: the configured claim. An e-mail counts in small letters, and only if verified.
    pub fn name(&self, config: &Oidc) -> Option<String> {
        let name = self.text(&config.claim)?;
        if config.claim != "email" {
            return Some(name.to_owned());
        }
        let verified = self.claims.get("email_verified") == Some(&Value::Bool(true));
        (verified || config.trust_email).then(|| name.to_lowercase())
    }

    /// Whether the person proved themselves as the hospital asks.
    pub fn is_strong_enough(&self, config: &Oidc) -> bool {
        let methods = self.list("amr");
        config.amr.is_empty()
            || config
                .amr
                .iter()
                .any(|wanted| methods.contains(&wanted.as_str()))
    }

    /// The roles of the person's groups, where the configuration maps them.
    pub fn roles(&self, config: &Oidc) -> Option<Vec<Role>> {
        let groups = self.list(config.roles_claim.as_deref()?);
        let of = |group: &&str| config.roles.get(*group).copied();
        let mut roles: Vec<Role> = groups.iter().filter_map(of).collect();
        roles.sort_unstable();
        roles.dedup();
        Some(roles)
    }

    /// The wards of the person, where the configuration maps them. A ward that the mapping does not name is as it is called.
    pub fn wards(&self, config: &Oidc) -> Option<Wards> {
        let named = self.list(config.wards_claim.as_deref()?);
        let here = |ward: &&str| {
            config
                .wards
                .get(*ward)
                .map_or(*ward, String::as_str)
                .to_owned()
        };
        let wards: Vec<String> = named.iter().map(here).collect();
        // Only the hospital's own configuration says "every ward".
        let every = named
            .iter()
            .any(|ward| config.wards.get(*ward).is_some_and(|here| here == "*"));
        Some(if every {
            Wards::ALL
        } else {
            Wards::only(wards)
        })
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.find(claim)?.as_str().filter(|text| !text.is_empty())
    }

    fn list(&self, claim: &str) -> Vec<&str> {
        match self.find(claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// By its whole name, or by its path: `realm_access.roles`.
    fn find(&self, claim: &str) -> Option<&Value> {
        self.claims.get(claim).or_else(|| {
            let mut parts = claim.split('.');
            let first = self.claims.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        })
    }
}

/// In a word: what the library says may repeat the token.
fn fault(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "expired",
        ClaimsVerificationError::InvalidAudience(_) => "audience",
        ClaimsVerificationError::InvalidIssuer(_) => "issuer",
        ClaimsVerificationError::InvalidNonce(_) => "nonce",
        ClaimsVerificationError::SignatureVerification(_) => "signature",
        _ => "claims",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(claims: Value) -> Identity {
        let Value::Object(claims) = claims else {
            panic!("an object")
        };
        Identity {
            issuer: String::new(),
            subject: "1".to_owned(),
            claims,
        }
    }

    #[test]
    fn an_email_counts_only_where_somebody_verified_it() {
        let mut config = Oidc {
            claim: "email".to_owned(),
            ..Oidc::default()
        };
        for (verified, trusted, counts) in [
            (json!(true), false, true),
            (json!(false), false, false),
            (json!(null), false, false),
            (json!("true"), false, false),
            (json!(null), true, true),
        ] {
            config.trust_email = trusted;
            let claims = json!({ "email": "Li.Na@Hospital.example", "email_verified": verified });
            let name = identity(claims.clone()).name(&config);
            assert_eq!(name.is_some(), counts, "{claims} {trusted}");
            assert!(name.is_none_or(|name| name == "li.na@hospital.example"));
        }
        config.claim = "employee".to_owned();
        let name = identity(json!({ "employee": "E1" })).name(&config);
        assert_eq!(name.as_deref(), Some("E1"));
    }

    #[test]
    fn groups_give_roles_and_wards_and_never_every_ward_by_themselves() {
        let config = Oidc {
            roles_claim: Some("realm_access.roles".to_owned()),
            roles: [("n".to_owned(), Role::Nurse), ("q".to_owned(), Role::Qa)].into(),
            wards_claim: Some("wards".to_owned()),
            wards: [
                ("all".to_owned(), "*".to_owned()),
                ("five".to_owned(), "5A".to_owned()),
            ]
            .into(),
            ..Oidc::default()
        };
        let of = |roles: Value, wards: Value| {
            let known = identity(json!({ "realm_access": { "roles": roles }, "wards": wards }));
            (known.roles(&config), known.wards(&config))
        };
        let only = |wards: &[&str]| Wards::only(wards.iter().map(ToString::to_string).collect());
        assert_eq!(
            of(json!(["q", "x", "n", "n"]), json!(["five", "6B"])),
            (Some(vec![Role::Nurse, Role::Qa]), Some(only(&["5A", "6B"])))
        );
        assert_eq!(of(json!("n"), json!("*")).1, Some(only(&["*"])));
        assert_eq!(
            of(json!(7), json!(["all"])),
            (Some(vec![]), Some(Wards::ALL))
        );
        assert_eq!(of(json!([]), json!(null)).1, Some(only(&[])));
        let plain = identity(json!({ "realm_access.roles": ["n"] }));
        assert_eq!(plain.roles(&config), Some(vec![Role::Nurse]));
        assert_eq!(plain.roles(&Oidc::default()), None, "not mapped");
    }

    #[test]
    fn a_provider_may_be_asked_for_a_second_factor() {
        let config = Oidc {
            amr: vec!["mfa".to_owned(), "hwk".to_owned()],
            ..Oidc::default()
        };
        assert!(identity(json!({ "amr": ["pwd", "mfa"] })).is_strong_enough(&config));
        assert!(!identity(json!({ "amr": ["pwd"] })).is_strong_enough(&config));
        assert!(!identity(json!({})).is_strong_enough(&config));
        assert!(identity(json!({})).is_strong_enough(&Oidc::default()));
    }
}
