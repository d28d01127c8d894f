//! Names, passwords (Argon2id) and one-time codes (RFC 6238): checked and hashed here, kept by the store.

use aftercall_core::staff::{WeakPassword, check_password};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use totp_rs::{Builder, Secret, Totp};

/// A hash that costs as much to check as any other, for names that have none.
pub const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBzYWx0$QZ1mO3xXnXnLx0hYdQ6tCkLwXcN0Z1cYgZC1o0e3vEo";

/// Hashes a password with a salt of its own, as a PHC string. Takes some 20 ms and 19 MiB: not on an async thread.
///
/// # Errors
/// When it is too weak for this account.
pub fn hash(name: &str, password: &str) -> Result<String, WeakPassword> {
    check_password(name, password)?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .expect("the default parameters fit, and a password of this length too");
    Ok(hash.to_string())
}

/// Whether this is the password of that hash; a hash that cannot be read fits nothing. As slow as [`hash`].
pub fn fits(phc: &str, password: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|phc| {
        Argon2::default()
            .verify_password(password.as_bytes(), &phc)
            .is_ok()
    })
}

/// Whether an account may be called so: 2 to 64 letters, digits, dots, dashes and underscores.
///
/// # Errors
/// The rule.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (2..=64).contains(&name.chars().count()) && name.chars().all(plain) {
        Ok(())
    } else {
        Err("a name has 2 to 64 letters, digits, dots, dashes and underscores")
    }
}

/// A password nobody chose: 120 random bits in 24 characters.
pub fn generate() -> String {
    let mut random = [0_u8; 15];
    getrandom::fill(&mut random).expect("the kernel's random source is there after boot");
    Secret::from(random.to_vec()).to_base32().to_lowercase()
}

/// A new secret for one-time codes: in base32, and as the address that an authenticator reads.
pub fn new_totp(name: &str, issuer: &str) -> (String, String) {
    let mut random = [0_u8; 20];
    getrandom::fill(&mut random).expect("the kernel's random source is there after boot");
    let secret = Secret::from(random.to_vec());
    let base32 = secret.to_base32();
    // A colon would end the issuer's part of the address.
    let plain = |text: &str| text.replace(':', " ");
    let url = Builder::new()
        .with_secret(secret)
        .with_account_name(plain(name))
        .with_issuer(Some(plain(issuer)))
        .build()
        .ok()
        .and_then(|totp| totp.to_url().ok())
        .unwrap_or_default();
    (base32, url)
}

/// The step whose code this is, at `now` in seconds since 1970, one step of 30 s to either side.
pub fn totp_step(base32: &str, code: &str, now: u64) -> Option<u64> {
    let secret = Secret::try_from_base32(base32).ok()?;
    let totp: Totp = Builder::new()
        .with_secret(secret)
        .with_account_name("account")
        .build()
        .ok()?;
    totp.check(code.trim(), now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_alone() {
        let phc = hash("li.na", "correct horse battery").expect("strong");
        assert!(phc.starts_with("$argon2id$"), "{phc}");
        assert!(fits(&phc, "correct horse battery"));
        assert!(!fits(&phc, "correct horse battery "));
        assert!(!fits("not a hash", "correct horse battery"));
        assert!(PasswordHash::new(NOBODYS).is_ok(), "as slow as any other");
        assert!(!fits(NOBODYS, "correct horse battery"));
        assert_ne!(phc, hash("li.na", "correct horse battery").expect("strong"));
    }

    // The vectors of RFC 6238 appendix B for SHA-1, cut to six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let base32 = Secret::from(b"12345678901234567890".to_vec()).to_base32();
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(totp_step(&base32, code, at), Some(at / 30), "{at}");
            assert_eq!(totp_step(&base32, code, at + 30), Some(at / 30), "late");
            assert_eq!(totp_step(&base32, code, at + 90), None, "too late");
        }
        assert_eq!(totp_step(&base32, "", 59), None);
        assert_eq!(totp_step("not base32!", "287082", 59), None);
    }

    #[test]
    fn a_new_secret_can_be_read_by_an_authenticator() {
        let (base32, url) = new_totp("li.na", "示范医院");
        assert!(url.starts_with("otpauth://totp/"), "{url}");
        assert!(url.contains(&base32), "{url}");
    }

    #[test]
    fn a_generated_password_is_strong_enough() {
        let password = generate();
        assert!(hash("li.na", &password).is_ok());
        assert_ne!(password, generate());
    }
}
