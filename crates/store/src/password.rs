//! The rule for passwords and their hashing.

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};

use crate::Error;

/// Longest password accepted, in bytes; hashing a longer one would only be work for an attacker to hand out.
pub const MAX_BYTES: usize = 256;

/// Why a password is refused. At least 8 characters with a digit, a lower-case, an upper-case and a special one, and not
/// the user's name in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Fewer than 8 characters.
    #[error("a password needs at least 8 characters")]
    Short,
    /// More than [`MAX_BYTES`].
    #[error("a password may have at most 256 bytes")]
    Long,
    /// No digit.
    #[error("a password needs a digit")]
    NoDigit,
    /// No lower-case letter.
    #[error("a password needs a lower-case letter")]
    NoLower,
    /// No upper-case letter.
    #[error("a password needs an upper-case letter")]
    NoUpper,
    /// Letters and digits only.
    #[error("a password needs a special character such as ! ? # -")]
    NoSpecial,
    /// The user's name is in it.
    #[error("a password must not contain the user's name")]
    UserName,
}

impl Weak {
    /// The same in Vietnamese.
    pub fn vi(self) -> &'static str {
        match self {
            Self::Short => "mật khẩu cần ít nhất 8 ký tự",
            Self::Long => "mật khẩu dài tối đa 256 byte",
            Self::NoDigit => "mật khẩu cần có chữ số",
            Self::NoLower => "mật khẩu cần có chữ thường",
            Self::NoUpper => "mật khẩu cần có chữ hoa",
            Self::NoSpecial => "mật khẩu cần có ký tự đặc biệt như ! ? # -",
            Self::UserName => "mật khẩu không được chứa tên người dùng",
        }
    }
}

/// Checks the rule.
///
/// # Errors
/// The first part of the rule that is not met.
pub fn check(user: &str, password: &str) -> Result<(), Weak> {
    let any = |f: fn(char) -> bool| password.chars().any(f);
    if password.chars().count() < 8 {
        Err(Weak::Short)
    } else if password.len() > MAX_BYTES {
        Err(Weak::Long)
    } else if !any(char::is_numeric) {
        Err(Weak::NoDigit)
    } else if !any(char::is_lowercase) {
        Err(Weak::NoLower)
    } else if !any(char::is_uppercase) {
        Err(Weak::NoUpper)
    } else if !any(|c| !c.is_alphanumeric()) {
        Err(Weak::NoSpecial)
    } else if !user.is_empty() && password.to_lowercase().contains(&user.to_lowercase()) {
        Err(Weak::UserName)
    } else {
        Ok(())
    }
}

/// A random password that meets the rule: 20 characters, about 110 bits.
pub fn random() -> String {
    // Without 0 O 1 l I, which are misread from a screen.
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.!";
    loop {
        let p: String = (0..20)
            .filter_map(|_| LETTERS.get(rand::random_range(0..LETTERS.len())))
            .map(|&b| char::from(b))
            .collect();
        if check("admin", &p).is_ok() {
            return p;
        }
    }
}

/// Argon2id with the parameters OWASP recommends (19 MiB, 2 passes, 1 lane).
#[derive(Debug)]
pub(crate) struct Hasher {
    /// Hash of no one's password: verified when the user does not exist, so that the time does not tell who does.
    nobody: String,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { nobody: hash(&random()).unwrap_or_default() }
    }
}

impl Hasher {
    /// Slow on purpose (tens of milliseconds): call it off the async threads.
    pub fn verify(&self, password: &str, stored: Option<&str>) -> bool {
        let Ok(hash) = PasswordHash::new(stored.unwrap_or(&self.nobody)) else { return false };
        password.len() <= MAX_BYTES
            && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            && stored.is_some()
    }
}

/// A PHC string with a fresh salt. Slow on purpose.
pub(crate) fn hash(password: &str) -> Result<String, Error> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|h| h.to_string())
        .map_err(|e| Error::Hash(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_rule_is_asked_for() {
        assert_eq!(check("admin", "Ab1!"), Err(Weak::Short));
        assert_eq!(check("admin", "Abcdefg!"), Err(Weak::NoDigit));
        assert_eq!(check("admin", "ABCDEFG1!"), Err(Weak::NoLower));
        assert_eq!(check("admin", "abcdefg1!"), Err(Weak::NoUpper));
        assert_eq!(check("admin", "Abcdefg1"), Err(Weak::NoSpecial));
        assert_eq!(check("admin", "xAdmin1!x"), Err(Weak::UserName));
        assert_eq!(check("admin", &format!("Aa1!{}", "x".repeat(300))), Err(Weak::Long));
        assert_eq!(check("admin", "Mật-khẩu 8000 Tốt"), Ok(()));
    }

    #[test]
    fn random_passwords_meet_the_rule_and_differ() {
        let (a, b) = (random(), random());
        assert_eq!(check("admin", &a), Ok(()));
        assert_ne!(a, b);
    }

    #[test]
    fn a_hash_is_argon2id_salted_and_verified() {
        let (a, b) = (hash("Xin-chao-1").unwrap(), hash("Xin-chao-1").unwrap());
        assert!(a.starts_with("$argon2id$"), "{a}");
        assert_ne!(a, b, "salted");
        let h = Hasher::default();
        assert!(h.verify("Xin-chao-1", Some(&a)));
        assert!(!h.verify("Xin-chao-2", Some(&a)));
        assert!(!h.verify("Xin-chao-1", None));
        assert!(!h.verify("Xin-chao-1", Some("not a hash")));
    }
}
