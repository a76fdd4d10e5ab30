//! What is wrong with a configuration, said so that it can be mended: where, what, and the remedy.

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file.
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from one.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The built-in default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}, line {line}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// The parser's word.
        message: String,
    },
    /// A key that does not exist.
    #[error("{place}: there is no key `{key}`{}", hint(.suggestion))]
    Unknown {
        /// Where.
        place: Place,
        /// Full name, such as `sip.bnd`.
        key: String,
        /// The nearest existing name.
        suggestion: Option<String>,
    },
    /// A value that makes no sense.
    #[error("{place}: `{key}`: {message}")]
    Value {
        /// Where.
        place: Place,
        /// Full name.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default()
}
