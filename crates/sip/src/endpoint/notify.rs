//! NOTIFYs of ours (RFC 6665 4.2.2).

use std::time::Instant;

use bytes::Bytes;

use super::{Endpoint, subscribe::PACKAGES};
use crate::{
    conference_info::{CONTENT_TYPE, Detail, State, write},
    dialog::Dialog,
    message::{Method, Name, reason_phrase},
    subscribe::{Package, Place, SubscriptionId},
    transaction::User,
    transport::Protocol,
};

/// Largest document over UDP, bytes: larger ones tell less. IP fragments of so much still arrive, as a rule.
const MOST_UDP: usize = 16 * 1024;
/// Largest document over streams, bytes.
const MOST_STREAM: usize = 512 * 1024;

impl Endpoint {
    /// The dialog of a subscription.
    pub(super) fn notifying_dialog(&mut self, id: SubscriptionId) -> Option<&mut Dialog> {
        match &self.subscriptions.all.get(&id)?.place {
            Place::Own(tag) => self.subscriptions.dialogs.get_mut(tag).map(|shared| &mut shared.dialog),
            Place::InCall(call) => self.calls.get_mut(call).map(|c| &mut c.dialog),
        }
    }

    /// Tells a subscriber what is new to him, or why it ends; at once, or when the NOTIFY under way is answered.
    pub(super) fn notify(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.all.get_mut(&id) else { return };
        if subscription.undecided.is_some() {
            return;
        }
        if subscription.pending.is_some() {
            subscription.behind = true;
            return;
        }
        subscription.behind = false;
        let ending = subscription.ending;
        let left = subscription.expires.saturating_duration_since(now).as_secs();
        let event = match &subscription.package {
            Package::Conference { .. } => PACKAGES.to_owned(),
            Package::Refer { id, .. } => format!("refer;id={id}"),
        };
        let Some(flow) = self.notifying_dialog(id).map(|d| d.destination()) else {
            return self.end_subscription(id);
        };
        let most = if flow.protocol == Protocol::Udp { MOST_UDP } else { MOST_STREAM };
        let Some(subscription) = self.subscriptions.all.get_mut(&id) else { return };
        let body = match &mut subscription.package {
            Package::Refer { line: (status, reason), .. } => {
                let reason = if reason.is_empty() { reason_phrase(*status) } else { reason };
                Some(("message/sipfrag;version=2.0", format!("SIP/2.0 {status} {reason}\r\n").into()))
            }
            Package::Conference { sent, now, version, detail, .. } => {
                let document = now.as_ref().and_then(|state| {
                    let (document, fits) = document(state, sent.as_deref(), *version, *detail, most)?;
                    *detail = fits;
                    Some(document)
                });
                if document.is_some() {
                    *version += 1;
                    sent.clone_from(now);
                }
                document.map(|d| (CONTENT_TYPE, d))
            }
        };
        if body.is_none() && ending.is_none() {
            return;
        }
        let Some(dialog) = self.notifying_dialog(id) else { return };
        let mut request = dialog.request(Method::Notify);
        request.headers.push(Name::Contact, dialog.contact.clone());
        request.headers.push(Name::Event, event);
        let state = match ending {
            Some(reason) => format!("terminated;reason={reason}"),
            None => format!("active;expires={left}"),
        };
        request.headers.push(Name::SubscriptionState, state);
        request.headers.push(Name::UserAgent, self.config.user_agent.clone());
        if let Some((kind, body)) = body {
            request.headers.push(Name::ContentType, kind);
            request.body = body;
        }
        self.counters.notifies += 1;
        let tx = self.start_client(now, request, flow, User::Notify(id));
        match self.subscriptions.all.get_mut(&id) {
            Some(subscription) if tx.is_some() && ending.is_none() => subscription.pending = tx,
            _ => self.end_subscription(id),
        }
    }

    /// A NOTIFY was answered; anything but 2xx ends the subscription.
    pub(super) fn notify_heard(&mut self, now: Instant, id: SubscriptionId, status: u16) {
        if !(200..300).contains(&status) {
            return self.end_subscription(id);
        }
        let Some(subscription) = self.subscriptions.all.get_mut(&id) else { return };
        subscription.pending = None;
        if subscription.behind {
            self.notify(now, id);
        }
    }
}

/// The document with as much detail as fits, and how much that is. `None` when there is nothing new.
fn document(
    state: &State,
    sent: Option<&State>,
    version: u32,
    detail: Detail,
    most: usize,
) -> Option<(Bytes, Detail)> {
    let all = [Detail::All, Detail::Users, Detail::Counts];
    for less in all.into_iter().filter(|d| *d <= detail) {
        // With less than before, the rest would stay as it was: begin anew.
        let sent = sent.filter(|_| less == detail);
        let document = write(state, sent, version, less).ok()??;
        if document.len() <= most || less == Detail::Counts {
            return Some((document.into(), less));
        }
    }
    None
}
