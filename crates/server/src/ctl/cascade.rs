//! The tree of MCUs and the links between them.

use clap::Subcommand;
use serde_json::{Value, json};

use super::api::Api;
use crate::failure::Failure;

/// What is to be done about links.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Makes the link of a slave, and prints the token for the file cascade.token_file there. It is shown only here.
    Add(Link),
    /// Ends a link: the certificate of its slave is revoked.
    Remove {
        /// Id, path or name.
        link: String,
    },
}

/// A link to be made.
#[derive(Debug, clap::Args)]
pub struct Link {
    /// The slave's path, one step below this MCU; absent: made of the name.
    #[arg(long, required_unless_present = "name")]
    path: Option<String>,
    /// Its name.
    #[arg(long)]
    name: Option<String>,
    /// Seconds until the token expires.
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    expires: u64,
}

/// The tree, or part of it.
pub fn tree(api: &Api, under: Option<&str>, depth: Option<usize>) -> Result<Vec<Value>, Failure> {
    let under = under.map(|path| format!("&under={}", encoded(path))).unwrap_or_default();
    let depth = depth.map(|depth| format!("&depth={depth}")).unwrap_or_default();
    api.pages("/cascade/tree", &format!("{under}{depth}"), "path")
}

/// Makes a link.
pub fn add(api: &Api, link: &Link) -> Result<Value, Failure> {
    api.post("/cascade/links", &json!({ "path": link.path, "name": link.name, "expires_s": link.expires }))
}

/// Ends one.
pub fn remove(api: &Api, wanted: &str) -> Result<(), Failure> {
    let all = api.list("/cascade/links")?;
    let by = |field: &str| all.iter().find(|link| link[field].as_str() == Some(wanted));
    let found = by("id").or_else(|| by("path")).or_else(|| by("name"));
    let id = found.and_then(|link| link["id"].as_str());
    let id = id.ok_or_else(|| Failure::Ctl(format!("there is no link {wanted}")))?;
    api.delete(&format!("/cascade/links/{id}"))?;
    Ok(())
}

/// For a query (RFC 3986 2.1).
pub fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
