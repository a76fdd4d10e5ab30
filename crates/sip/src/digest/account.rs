//! Who may come in, and who we are for others.

use std::{collections::HashMap, fmt, sync::Arc};

use super::Algorithm;

/// A password, or the hashes of one. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Password(String),
    /// `H(user:realm:password)` in hexadecimal digits, for the algorithms there are.
    Ha1(Vec<(Algorithm, String)>),
}

impl Secret {
    /// `HA1` of this secret; `None` when only that of another algorithm is known.
    pub(crate) fn ha1(&self, algorithm: Algorithm, user: &str, realm: &[u8]) -> Option<String> {
        match self {
            Self::Password(password) => Some(algorithm.hash(&[user.as_bytes(), realm, password.as_bytes()])),
            Self::Ha1(hashes) => hashes.iter().find(|(a, _)| *a == algorithm).map(|(_, hash)| hash.clone()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Who we are in somebody else's realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The realm they are for. Nobody else gets a hash made of them.
    pub realm: String,
    /// User name.
    pub user: String,
    /// Password or hashes.
    pub secret: Secret,
}

/// Accounts that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountsError {
    /// No name, or one with blanks, quotes or control characters.
    #[error("`{0}` is no user name")]
    Name(String),
    /// The same name twice.
    #[error("the account `{0}` is there twice")]
    Twice(String),
    /// A hash with the wrong number of digits.
    #[error("the hash of the account `{0}` is not {1} hexadecimal digits")]
    Hash(String, usize),
    /// An empty password, or no hash at all.
    #[error("the account `{0}` has no password")]
    Empty(String),
    /// Some have only the hash of one algorithm, some only that of another: nobody could be challenged so that all can answer.
    #[error(
        "the accounts have no algorithm in common: give every account a password, or the hash for the same algorithm"
    )]
    Mixed,
}

/// The accounts of a realm.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    by_name: HashMap<Arc<str>, Secret>,
    offered: Vec<Algorithm>,
}

impl Accounts {
    /// Accounts of these users.
    ///
    /// # Errors
    /// [`AccountsError`] with the name.
    pub fn new(all: impl IntoIterator<Item = (String, Secret)>) -> Result<Self, AccountsError> {
        // SHA-256 before MD5: the order of preference (RFC 8760 2.3).
        let mut offered = vec![Algorithm::Sha256, Algorithm::Md5];
        let mut by_name = HashMap::new();
        for (name, secret) in all {
            if name.is_empty()
                || name.len() > 128
                || name.chars().any(|c| c.is_control() || " \"\\".contains(c))
            {
                return Err(AccountsError::Name(name));
            }
            match &secret {
                Secret::Password(password) if password.is_empty() => return Err(AccountsError::Empty(name)),
                Secret::Password(_) => {}
                Secret::Ha1(hashes) if hashes.is_empty() => return Err(AccountsError::Empty(name)),
                Secret::Ha1(hashes) => {
                    for (algorithm, hash) in hashes {
                        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                        if hash.len() != algorithm.digits() || !hash.bytes().all(lower) {
                            return Err(AccountsError::Hash(name, algorithm.digits()));
                        }
                    }
                    offered.retain(|a| hashes.iter().any(|(of, _)| of == a));
                }
            }
            if by_name.insert(name.clone().into(), secret).is_some() {
                return Err(AccountsError::Twice(name));
            }
        }
        if offered.is_empty() {
            return Err(AccountsError::Mixed);
        }
        Ok(Self { by_name, offered })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Algorithms every account can be asked for, the preferred one first.
    pub(crate) fn offered(&self) -> &[Algorithm] {
        &self.offered
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<(&Arc<str>, &Secret)> {
        self.by_name.get_key_value(std::str::from_utf8(name).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, secret: Secret) -> (String, Secret) {
        (name.to_owned(), secret)
    }

    #[test]
    fn accounts_that_make_no_sense_are_named() {
        let password = || Secret::Password("x".into());
        let hash = |a: Algorithm| Secret::Ha1(vec![(a, "0".repeat(a.digits()))]);
        let made = |all: Vec<(String, Secret)>| Accounts::new(all).map(|a| a.offered().to_vec());
        assert_eq!(
            made(vec![named("a", password()), named("a", password())]),
            Err(AccountsError::Twice("a".into()))
        );
        assert_eq!(made(vec![named("a b", password())]), Err(AccountsError::Name("a b".into())));
        assert_eq!(
            made(vec![named("a", Secret::Password("".into()))]),
            Err(AccountsError::Empty("a".into()))
        );
        let short = Secret::Ha1(vec![(Algorithm::Sha256, "00".into())]);
        assert_eq!(made(vec![named("a", short)]), Err(AccountsError::Hash("a".into(), 64)));
        assert_eq!(
            made(vec![named("a", hash(Algorithm::Md5)), named("b", hash(Algorithm::Sha256))]),
            Err(AccountsError::Mixed)
        );
        assert_eq!(
            made(vec![named("a", hash(Algorithm::Md5)), named("b", password())]),
            Ok(vec![Algorithm::Md5])
        );
        assert_eq!(made(vec![named("a", password())]), Ok(vec![Algorithm::Sha256, Algorithm::Md5]));
    }

    #[test]
    fn secrets_are_not_shown() {
        let it =
            Credentials { realm: "r".into(), user: "u".into(), secret: Secret::Password("hidden".into()) };
        assert!(!format!("{it:?}").contains("hidden"));
    }
}
