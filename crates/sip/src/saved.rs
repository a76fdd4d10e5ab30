//! A dialog as text and numbers, to be kept where a restart of the program does not reach it.

use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    dialog::{Dialog, tag_of},
    message::{NameAddr, Uri},
    session_id::SessionId,
    transport::Protocol,
    wire::Flow,
};

/// What both sides agree on about one call (RFC 3261 12): enough to go on with it after a restart. What is under way in it
/// (transactions, offers) is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Call-ID.
    pub call_id: String,
    /// Our From or To, with tag.
    pub local: String,
    /// Theirs, with tag if they gave one.
    pub remote: String,
    /// Number of our last request.
    pub local_cseq: u32,
    /// Number of theirs.
    pub remote_cseq: Option<u32>,
    /// Remote target.
    pub target: String,
    /// Route set, nearest first.
    pub routes: Vec<String>,
    /// How we last heard of the other side.
    pub protocol: Protocol,
    /// Our address then.
    pub local_addr: SocketAddr,
    /// Theirs.
    pub remote_addr: SocketAddr,
    /// Always answer to where it comes from.
    pub behind_nat: bool,
    /// User part of our Contact.
    pub user: String,
    /// Whether the INVITE that opened it was ours.
    pub ours: bool,
    /// Session-ID as we write it.
    #[serde(default)]
    pub session: String,
}

impl Saved {
    /// `None` when something in the dialog is no UTF-8 text: it could not be written again as it was.
    pub(crate) fn of(dialog: &Dialog) -> Option<Self> {
        let text = |bytes: &Bytes| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let contact = NameAddr::parse(&dialog.contact).ok();
        Some(Self {
            call_id: text(&dialog.call_id)?,
            local: text(&dialog.local)?,
            remote: text(&dialog.remote)?,
            local_cseq: dialog.local_cseq,
            remote_cseq: dialog.remote_cseq,
            target: String::from_utf8(dialog.target.to_bytes()).ok()?,
            routes: dialog.routes.iter().map(text).collect::<Option<_>>()?,
            protocol: dialog.flow.protocol,
            local_addr: dialog.flow.local,
            remote_addr: dialog.flow.remote,
            behind_nat: dialog.behind_nat,
            user: contact.map(|c| c.uri.user()).unwrap_or_default(),
            ours: dialog.ours,
            session: dialog.session.to_string(),
        })
    }

    /// The dialog again, with its requests numbered from `local_cseq`, and called `session` where it had no name; the Contact is for the owner to fill in. `None` when it is
    /// none: no tag of ours, no address.
    pub(crate) fn dialog(&self, local_cseq: u32, local: SocketAddr, session: SessionId) -> Option<Dialog> {
        let own = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let (local_value, remote_value) = (own(&self.local), own(&self.remote));
        let local_tag = tag_of(&local_value);
        if local_tag.is_empty() || self.call_id.is_empty() {
            return None;
        }
        Some(Dialog {
            call_id: own(&self.call_id),
            local_tag,
            local: local_value,
            remote_tag: tag_of(&remote_value),
            remote: remote_value,
            local_cseq,
            remote_cseq: self.remote_cseq,
            target: Uri::parse(self.target.as_bytes()).ok()?,
            routes: self.routes.iter().map(|route| own(route)).collect(),
            flow: Flow { protocol: self.protocol, conn: None, local, remote: self.remote_addr },
            behind_nat: self.behind_nat,
            contact: Bytes::new(),
            ours: self.ours,
            session: SessionId::parse(self.session.as_bytes()).unwrap_or(session),
        })
    }
}
