//! Signatures: the shipped ones hold under the demo's key, and nothing else does.

use std::fs;

use aftercall_core::script::signature::{SignatureError, TrustedKey, public_key, sign, verify};
use jiff::civil::date;
use serde::Deserialize;

use super::files::{root, shipped};

#[derive(Deserialize)]
struct KeyFile {
    clinician: String,
    loopback_only: bool,
    public: String,
}

fn demo_key() -> TrustedKey {
    let text =
        fs::read_to_string(root().join("fixtures/demo_signing_key.toml")).expect("the demo's key");
    let file: KeyFile = toml::from_str(&text).expect("a key file");
    TrustedKey {
        clinician: file.clinician,
        public: file.public,
        loopback_only: file.loopback_only,
    }
}

#[test]
fn the_shipped_scripts_are_signed_by_the_demo_key_for_loopback_only() {
    for script in shipped() {
        let signed = verify(&script, &[demo_key()], date(2026, 11, 22));
        let signed = signed.unwrap_or_else(|e| {
            panic!("{e}\nsign again: aftercall check dialogs --sign fixtures/demo_signing_key.toml --from 2026-11-01 --until 2036-12-31")
        });
        assert!(signed.loopback_only);
    }
}

#[test]
fn a_signature_that_is_missing_old_foreign_or_of_another_text_is_refused() {
    let script = shipped().remove(0);
    let today = date(2027, 1, 5);
    let secret = [7; 32];
    let key = |clinician: &str| TrustedKey {
        clinician: clinician.to_owned(),
        public: public_key(&secret),
        loopback_only: false,
    };
    let signed_on = date(2027, 1, 1);
    let signature = sign(&script, &secret, "Dr Lin", signed_on, date(2027, 7, 1));
    let mut good = script.clone();
    good.signature = Some(signature.clone());
    assert!(verify(&good, &[key("Dr Lin")], today).is_ok());

    let mut unsigned = script.clone();
    unsigned.signature = None;
    let refused = verify(&unsigned, &[key("Dr Lin")], today);
    assert!(matches!(refused, Err(SignatureError::Missing { .. })));

    let mut changed = good.clone();
    changed.hash = "0".repeat(64);
    let refused = verify(&changed, &[key("Dr Lin")], today);
    assert!(matches!(refused, Err(SignatureError::Changed { .. })));

    let refused = verify(&good, &[key("Dr Lin")], date(2027, 7, 1));
    assert!(matches!(refused, Err(SignatureError::Expired { .. })));
    let refused = verify(&good, &[key("Dr Lin")], date(2026, 12, 31));
    assert!(matches!(refused, Err(SignatureError::NotYet { .. })));
    let refused = verify(&good, &[demo_key()], today);
    assert!(matches!(refused, Err(SignatureError::UnknownKey { .. })));
    let refused = verify(&good, &[key("Dr Wu")], today);
    assert!(matches!(
        refused,
        Err(SignatureError::WrongClinician { .. })
    ));

    // A longer life than the clinician gave it.
    let mut stretched = good;
    stretched.signature = Some({
        let mut longer = signature;
        longer.expires = date(2099, 1, 1);
        longer
    });
    let refused = verify(&stretched, &[key("Dr Lin")], today);
    assert!(matches!(refused, Err(SignatureError::DoesNotVerify { .. })));
}
