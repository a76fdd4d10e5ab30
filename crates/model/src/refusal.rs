//! Why a command was not carried out, in words for the operator.

use std::fmt;

/// The same sentence in both languages of the house.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Words {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Words {
    /// Both versions of one sentence.
    pub fn new(vi: impl Into<String>, en: impl Into<String>) -> Words {
        Words { vi: vi.into(), en: en.into() }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

/// A command that was refused. Nothing has changed when this comes back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such conference or participant (404).
    #[error("{0}")]
    NotFound(Words),
    /// It exists already, or changed meanwhile (409).
    #[error("{0}")]
    Conflict(Words),
    /// It makes no sense, or does not work yet (422).
    #[error("{field}: {words}")]
    Invalid {
        /// Which part of the request, as it is called there: `layout`, `seats[1].seat`.
        field: String,
        /// What is wrong with it and what would be right.
        words: Words,
    },
}

impl Refusal {
    /// An [`Refusal::Invalid`] of `field`.
    pub fn invalid(field: impl Into<String>, vi: impl Into<String>, en: impl Into<String>) -> Refusal {
        Refusal::Invalid { field: field.into(), words: Words::new(vi, en) }
    }

    /// The reason, in both languages.
    pub fn words(&self) -> &Words {
        match self {
            Refusal::NotFound(words) | Refusal::Conflict(words) | Refusal::Invalid { words, .. } => words,
        }
    }
}
