//! Signatures: the shipped ones hold under the demo's key, and nothing else does.

use std::fs;

use aftercall_core::redflag::Lexicon;
use aftercall_core::signature::{Signature, SignatureError, TrustedKey, public_key, sign, verify};
use jiff::civil::date;
use serde::Deserialize;

use super::files::{root, shipped};
use crate::redflag::files;

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
        let signed = verify(&script.claim(), &[demo_key()], date(2026, 11, 22));
        let signed = signed.unwrap_or_else(|e| {
            panic!("{e}\nsign again: aftercall check dialogs --sign fixtures/demo_signing_key.toml --from 2026-11-01 --until 2036-12-31")
        });
        assert!(signed.loopback_only);
    }
}

#[test]
fn the_shipped_lexicon_is_signed_by_the_demo_key_for_loopback_only() {
    let lexicon = Lexicon::compile(&files()).expect("the shipped lexicon compiles");
    let path = root().join("dialogs/redflags/signature.toml");
    let text = fs::read_to_string(path).expect("the signature lies beside the lexicon");
    let signature: Signature = toml::from_str(&text).expect("a signature");
    let signed = verify(
        &lexicon.claim(Some(&signature)),
        &[demo_key()],
        date(2026, 11, 22),
    );
    let signed = signed.unwrap_or_else(|e| {
        panic!("{e}\nsign again: aftercall check dialogs --sign fixtures/demo_signing_key.toml --from 2026-11-01 --until 2036-12-31")
    });
    assert!(signed.loopback_only);
}

#[test]
fn the_signature_of_a_script_signs_no_lexicon() {
    let script = shipped().remove(0);
    let lexicon = Lexicon::compile(&files()).expect("the shipped lexicon compiles");
    let mut claim = script.claim();
    claim.hash = lexicon.hash();
    let secret = [7; 32];
    let signature = sign(
        &claim,
        &secret,
        "Dr Lin",
        date(2027, 1, 1),
        date(2027, 7, 1),
    );
    let key = TrustedKey {
        clinician: "Dr Lin".to_owned(),
        public: public_key(&secret),
        loopback_only: false,
    };
    let refused = verify(&lexicon.claim(Some(&signature)), &[key], date(2027, 1, 5));
    assert!(matches!(refused, Err(SignatureError::DoesNotVerify { .. })));
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
    let signature = sign(
        &script.claim(),
        &secret,
        "Dr Lin",
        signed_on,
        date(2027, 7, 1),
    );
    let mut good = script.clone();
    good.signature = Some(signature.clone());
    assert!(verify(&good.claim(), &[key("Dr Lin")], today).is_ok());

    let mut unsigned = script.clone();
    unsigned.signature = None;
    let refused = verify(&unsigned.claim(), &[key("Dr Lin")], today);
    assert!(matches!(refused, Err(SignatureError::Missing { .. })));

    let mut changed = good.clone();
    changed.hash = "0".repeat(64);
    let refused = verify(&changed.claim(), &[key("Dr Lin")], today);
    assert!(matches!(refused, Err(SignatureError::Changed { .. })));

    let refused = verify(&good.claim(), &[key("Dr Lin")], date(2027, 7, 1));
    assert!(matches!(refused, Err(SignatureError::Expired { .. })));
    let refused = verify(&good.claim(), &[key("Dr Lin")], date(2026, 12, 31));
    assert!(matches!(refused, Err(SignatureError::NotYet { .. })));
    let refused = verify(&good.claim(), &[demo_key()], today);
    assert!(matches!(refused, Err(SignatureError::UnknownKey { .. })));
    let refused = verify(&good.claim(), &[key("Dr Wu")], today);
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
    let refused = verify(&stretched.claim(), &[key("Dr Lin")], today);
    assert!(matches!(refused, Err(SignatureError::DoesNotVerify { .. })));
}
