//! SUBSCRIBE of others (RFC 6665 4.2.1, RFC 4575 3).

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Due, Endpoint, invite};
use crate::{
    call::Checked,
    conference_info::{CONTENT_TYPE, Detail, State},
    event::{CallId, Event, Refused},
    message::{Name, NameAddr, Request, scan},
    subscribe::{Package, Place, Shared, Subscribe, Subscription, SubscriptionId, Undecided, event},
};

/// The event package others may subscribe to.
pub(super) const PACKAGES: &str = "conference";
/// How long the owner may take to decide.
const DECIDE: Duration = Duration::from_secs(20);

impl Endpoint {
    /// A SUBSCRIBE that opens a subscription, outside of a dialog or within a call.
    pub(super) fn subscribe(&mut self, now: Instant, call: Option<CallId>, checked: Checked) {
        if let Err((status, extra)) = self.may_subscribe(&checked) {
            self.counters.overload += u64::from(status == 503);
            let extra: Vec<_> = extra.iter().map(|(n, v)| (n.clone(), v.as_str())).collect();
            return self.respond_final(now, checked, status, &extra);
        }
        let account = match call {
            Some(_) => None,
            None => match self.admitted(now, &checked) {
                Ok(account) => account,
                Err(()) => return,
            },
        };
        let expires = self.expires(&checked.request).unwrap_or(self.config.subscriptions.max_expires);
        let package = Package::Conference {
            room: Arc::from(""),
            sent: None,
            now: None,
            version: 0,
            detail: Detail::All,
        };
        let (remote, uri, from) =
            (checked.source.remote, checked.request.uri.clone(), checked.core.from.clone());
        let id = self.open_subscription(now, call, checked, package, expires, false);
        self.events.push_back(Event::Subscribe(Box::new(Subscribe { id, call, uri, from, remote, account })));
    }

    /// A SUBSCRIBE within a call: about what is subscribed to there already, or a new one.
    pub(super) fn subscribe_in_call(&mut self, now: Instant, call: CallId, checked: Checked) {
        match self.meant(&Place::InCall(call), &checked) {
            Some(id) => self.resubscribe(now, id, checked),
            None => self.subscribe(now, Some(call), checked),
        }
    }

    /// A SUBSCRIBE within a dialog of subscriptions alone: refreshes or ends what it names.
    pub(super) fn subscribe_alone(&mut self, now: Instant, checked: Checked) {
        let Some(tag) = checked.core.to.tag().map(Bytes::copy_from_slice) else { return };
        let Some(shared) = self.subscriptions.dialogs.get_mut(&tag) else { return };
        if shared.dialog.remote_cseq.is_some_and(|seen| checked.core.cseq <= seen) {
            return self.respond_final(now, checked, 500, &[]);
        }
        shared.dialog.remote_cseq = Some(checked.core.cseq);
        shared.dialog.refresh(&checked.request.headers, checked.source);
        match self.meant(&Place::Own(tag), &checked) {
            Some(id) => self.resubscribe(now, id, checked),
            None => self.respond_final(now, checked, 489, &[(Name::AllowEvents, PACKAGES)]),
        }
    }

    /// The subscription of a dialog that a SUBSCRIBE names by its Event (RFC 6665 4.5.1, RFC 3515 2.4.6).
    fn meant(&self, place: &Place, checked: &Checked) -> Option<SubscriptionId> {
        let (package, id) = event(checked);
        let named = |s: &Subscription| match &s.package {
            Package::Conference { .. } => package == PACKAGES,
            Package::Refer { id: number, .. } => {
                package == "refer" && id.as_ref().is_none_or(|id| *id == number.to_string())
            }
        };
        let here = self.subscriptions.all.iter().filter(|(_, s)| s.place == *place && named(s));
        here.map(|(id, _)| *id).min()
    }

    fn may_subscribe(&self, checked: &Checked) -> Result<(), (u16, Vec<(Name, String)>)> {
        let headers = &checked.request.headers;
        let (package, _) = event(checked);
        if package != PACKAGES || !self.config.focus {
            return Err((489, vec![(Name::AllowEvents, PACKAGES.to_owned())]));
        }
        let mut accepted = headers.elements(&Name::Accept).map(|a| super::body::media_type(a).0).peekable();
        let fits = |kind: String| {
            [CONTENT_TYPE, "application/*", "*/*"].contains(&kind.to_ascii_lowercase().as_str())
        };
        if accepted.peek().is_some() && !accepted.any(fits) {
            return Err((406, vec![(Name::Accept, CONTENT_TYPE.to_owned())]));
        }
        if headers.elements(&Name::Contact).next().is_none_or(|c| NameAddr::parse(c).is_err()) {
            return Err((400, Vec::new()));
        }
        let least = self.config.subscriptions.min_expires;
        if self.expires(&checked.request).is_some_and(|e| !e.is_zero() && e < least) {
            return Err((423, vec![(Name::MinExpires, least.as_secs().to_string())]));
        }
        if self.subscriptions.all.len() >= self.config.subscriptions.max || !self.owner_listens() {
            return Err((503, vec![(Name::RetryAfter, "60".to_owned())]));
        }
        Ok(())
    }

    /// Expires of a SUBSCRIBE, cut to what is granted.
    fn expires(&self, request: &Request) -> Option<Duration> {
        let value = request.headers.value(&Name::Expires)?;
        let seconds = scan::number::<u32>(value)?;
        Some(Duration::from_secs(seconds.into()).min(self.config.subscriptions.max_expires))
    }

    /// Notes a SUBSCRIBE or REFER; its transaction waits for the owner.
    pub(super) fn open_subscription(
        &mut self,
        now: Instant,
        call: Option<CallId>,
        checked: Checked,
        package: Package,
        expires: Duration,
        quiet: bool,
    ) -> SubscriptionId {
        let id = self.subscriptions.new_id();
        let tx = self.begin(&checked);
        let place = match call {
            Some(call) => Place::InCall(call),
            None => {
                let contact = checked.request.headers.elements(&Name::Contact).next();
                let contact = contact.and_then(|c| NameAddr::parse(c).ok());
                let dialog = self.dialog_of(&checked, contact.as_ref());
                let tag = dialog.local_tag.clone();
                self.subscriptions.dialogs.insert(tag.clone(), Shared { dialog, by: [id].into() });
                Place::Own(tag)
            }
        };
        if let Some(server) = self.tx.servers.get_mut(&tx) {
            server.request = Some(Box::new(Request { body: bytes::Bytes::new(), ..checked.request }));
        }
        let subscription = Subscription {
            place,
            package,
            undecided: Some(Undecided { tx, expires, quiet }),
            expires: now + expires,
            alarm: Some(self.timers.set(now + DECIDE, Due::Subscription(id))),
            pending: None,
            behind: false,
            ending: None,
        };
        self.subscriptions.all.insert(id, subscription);
        id
    }

    /// Lets somebody watch a conference, which the owner calls `room`: 200 and a NOTIFY with everything.
    ///
    /// Errors when it is decided already.
    pub fn accept_subscription(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        room: &str,
        state: Arc<State>,
    ) -> Result<(), Refused> {
        let room: Arc<str> = room.into();
        let subscription = self.subscriptions.all.get_mut(&id).ok_or(Refused::NoSuchCall)?;
        let Package::Conference { room: of, now: known, .. } = &mut subscription.package else {
            return Err(Refused::WrongState);
        };
        let Some(undecided) = subscription.undecided.take() else { return Err(Refused::WrongState) };
        (*of, *known) = (room.clone(), Some(state));
        if undecided.expires.is_zero() {
            // Asked once (RFC 6665 4.4.3).
            subscription.ending = Some("timeout");
        } else {
            self.subscriptions.rooms.entry(room).or_default().by.insert(id);
        }
        self.extend_subscription(now, id, undecided.expires);
        let expires = undecided.expires.as_secs().to_string();
        self.respond_subscription(now, id, undecided.tx, 200, &[(Name::Expires, &expires)]);
        self.notify(now, id);
        Ok(())
    }

    /// Refuses a SUBSCRIBE (300–699).
    ///
    /// Errors when it is decided already.
    pub fn refuse_subscription(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        status: u16,
    ) -> Result<(), Refused> {
        self.refuse_undecided(now, id, status, &[])
    }

    pub(super) fn refuse_undecided(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Result<(), Refused> {
        let subscription = self.subscriptions.all.get_mut(&id).ok_or(Refused::NoSuchCall)?;
        let undecided = subscription.undecided.take().ok_or(Refused::WrongState)?;
        self.respond_subscription(now, id, undecided.tx, status.clamp(300, 699), &invite::extra(headers));
        self.end_subscription(id);
        Ok(())
    }

    pub(super) fn respond_subscription(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        tx: crate::transaction::TxId,
        status: u16,
        extra: &[super::respond::Extra<'_>],
    ) {
        let Some(dialog) = self.notifying_dialog(id) else { return };
        let (tag, contact) = (dialog.local_tag.clone(), invite::text(&dialog.contact));
        let mut extra = extra.to_vec();
        if status < 300 {
            extra.push((Name::Contact, &contact));
        }
        self.respond_pending(now, tx, status, &tag, &extra, None);
    }

    /// A SUBSCRIBE about a subscription: refreshed, or ended by Expires 0 (RFC 6665 4.2.1.2).
    fn resubscribe(&mut self, now: Instant, id: SubscriptionId, checked: Checked) {
        let asked = self.expires(&checked.request).unwrap_or(self.config.subscriptions.max_expires);
        let least = self.config.subscriptions.min_expires;
        let Some(subscription) = self.subscriptions.all.get_mut(&id) else { return };
        let refer = matches!(subscription.package, Package::Refer { .. });
        if subscription.undecided.is_some() {
            return self.respond_final(now, checked, 500, &[(Name::RetryAfter, "5")]);
        }
        // How long a REFER is reported on is ours to say.
        let expires = if refer && !asked.is_zero() {
            subscription.expires.saturating_duration_since(now)
        } else {
            asked
        };
        if !expires.is_zero() && expires < least && !refer {
            let least = least.as_secs().to_string();
            return self.respond_final(now, checked, 423, &[(Name::MinExpires, &least)]);
        }
        if let Package::Conference { sent, detail, .. } = &mut subscription.package {
            // A refresh is answered with everything (RFC 4575 3.6), in as much detail as fits by now.
            (*sent, *detail) = (None, Detail::All);
        }
        if expires.is_zero() {
            subscription.ending = Some("timeout");
        }
        self.extend_subscription(now, id, expires);
        let contact = self.notifying_dialog(id).map(|d| invite::text(&d.contact)).unwrap_or_default();
        let seconds = expires.as_secs().to_string();
        self.respond_final(now, checked, 200, &[(Name::Expires, &seconds), (Name::Contact, &contact)]);
        self.notify(now, id);
    }

    pub(super) fn extend_subscription(&mut self, now: Instant, id: SubscriptionId, expires: Duration) {
        let Some(subscription) = self.subscriptions.all.get_mut(&id) else { return };
        self.timers.cancel(subscription.alarm.take());
        subscription.expires = now + expires;
        if !expires.is_zero() {
            subscription.alarm = Some(self.timers.set(now + expires, Due::Subscription(id)));
        }
    }

    /// The time of a subscription is over, or that of the owner to decide on it.
    pub(super) fn subscription_due(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.all.get_mut(&id) else { return };
        subscription.alarm = None;
        if subscription.undecided.is_some() {
            let _ = self.refuse_undecided(now, id, 480, &[]);
            return;
        }
        subscription.ending.get_or_insert("timeout");
        self.notify(now, id);
    }

    /// Whether anybody watches this conference.
    pub fn is_watched(&self, room: &str) -> bool {
        self.subscriptions.rooms.contains_key(room)
    }

    /// Subscriptions now, REFERs under way included.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.all.len()
    }

    /// Something changed in this conference: if anybody watches it, [`Event::StateWanted`] asks for its state when it is time.
    pub fn room_changed(&mut self, now: Instant, room: &str) {
        let interval = self.config.subscriptions.interval;
        let Some((room, watched)) = self.subscriptions.rooms.get_key_value(room).map(|(r, w)| (r.clone(), w))
        else {
            return;
        };
        if watched.alarm.is_some() {
            return;
        }
        let at = watched.told.map_or(now, |told| (told + interval).max(now));
        let alarm = self.timers.set(at, Due::Watched(room.clone()));
        if let Some(watched) = self.subscriptions.rooms.get_mut(&room) {
            watched.alarm = Some(alarm);
        }
    }

    pub(super) fn watched_due(&mut self, now: Instant, room: Arc<str>) {
        let Some(watched) = self.subscriptions.rooms.get_mut(&room) else { return };
        watched.alarm = None;
        watched.told = Some(now);
        self.tell(Event::StateWanted { room });
    }

    /// The state of a conference as it is now: told to all who watch it, each what is new to him.
    pub fn publish(&mut self, now: Instant, room: &str, state: State) {
        let state = Arc::new(state);
        let by = self.subscriptions.rooms.get(room).map(|w| w.by.clone()).unwrap_or_default();
        for id in by {
            let Some(subscription) = self.subscriptions.all.get_mut(&id) else { continue };
            if let Package::Conference { now, .. } = &mut subscription.package {
                *now = Some(state.clone());
            }
            self.notify(now, id);
        }
    }

    /// The conference is over: so are all subscriptions to it.
    pub fn unpublish(&mut self, now: Instant, room: &str) {
        let by = self.subscriptions.rooms.get(room).map(|w| w.by.clone()).unwrap_or_default();
        for id in by {
            if let Some(subscription) = self.subscriptions.all.get_mut(&id) {
                subscription.ending = Some("noresource");
            }
            self.notify(now, id);
        }
    }

    /// Forgets a subscription.
    pub(super) fn end_subscription(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.all.remove(&id) else { return };
        self.timers.cancel(subscription.alarm);
        if let Place::Own(tag) = &subscription.place
            && let Some(shared) = self.subscriptions.dialogs.get_mut(tag)
        {
            shared.by.remove(&id);
            if shared.by.is_empty() {
                self.subscriptions.dialogs.remove(tag);
            }
        }
        if let Package::Conference { room, .. } = &subscription.package
            && let Some(watched) = self.subscriptions.rooms.get_mut(room)
        {
            watched.by.remove(&id);
            if watched.by.is_empty() {
                self.timers.cancel(watched.alarm.take());
                self.subscriptions.rooms.remove(room);
            }
        }
    }

    /// A call is over; what was subscribed to within it goes on in its dialog (RFC 5057 4.1).
    pub(super) fn keep_subscriptions(&mut self, call: &crate::call::Call) {
        if self.subscriptions.all.is_empty() {
            return;
        }
        let (place, tag) = (Place::InCall(call.id), call.dialog.local_tag.clone());
        let mut by = BTreeSet::new();
        for (id, subscription) in self.subscriptions.all.iter_mut().filter(|(_, s)| s.place == place) {
            subscription.place = Place::Own(tag.clone());
            by.insert(*id);
        }
        if !by.is_empty() {
            self.subscriptions.dialogs.insert(tag, Shared { dialog: call.dialog.clone(), by });
        }
    }
}
