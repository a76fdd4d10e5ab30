//! Documents of the conference event package (RFC 4575): who is in a conference, and what changed since the last one.
//!
//! [`State`] is what the owner knows; [`write`] makes of it the document for one subscriber: all of it, or the difference to what
//! this subscriber has.

mod state;
mod xml;

pub use state::{Description, Disconnection, Endpoint, Joining, Media, MediaStatus, State, Status, User};
pub(crate) use xml::{Detail, write};

/// The type of the documents.
pub(crate) const CONTENT_TYPE: &str = "application/conference-info+xml";

#[cfg(test)]
mod tests;
