//! REGISTER of the devices of our accounts (RFC 3261 10.3, RFC 3327), and where to call them.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use bytes::Bytes;

use super::{Due, Endpoint, invite, respond::Extra};
use crate::{
    call::Checked,
    dialog::hidden,
    event::{Event, Target},
    message::{Host, Name, Uri},
    registrar::{Asked, Binding, Changed, Device, Update, Wish, read},
};

/// Most elements of a Path.
const MOST_PATH: usize = 8;
/// Longest Contact element that is kept, bytes.
const MOST_CONTACT: usize = 1024;

/// Why a REGISTER changes nothing.
enum No {
    /// 423.
    TooBrief,
    /// With this status.
    Status(u16),
}

impl Endpoint {
    /// A REGISTER.
    pub(super) fn registering(&mut self, now: Instant, checked: Checked) {
        if !self.is_registered_here(&checked.request.uri) {
            return self.respond_final(now, checked, 404, &[]);
        }
        let Some(account) = self.demand(now, &checked) else { return };
        // Everybody for himself (10.3 step 4).
        if checked.core.to.uri.user() != *account {
            return self.respond_final(now, checked, 403, &[]);
        }
        let Ok(asked) = read(&checked.request.headers) else {
            self.counters.malformed += 1;
            return self.respond_final(now, checked, 400, &[]);
        };
        let done = self.updates(now, &checked, &account, asked).and_then(|updates| {
            let table = self.registrar.as_mut().ok_or(No::Status(405))?;
            table.update(&account, updates).map_err(|_| No::Status(503))
        });
        match done {
            Ok(changed) => {
                self.bindings_changed(changed);
                self.tell_bindings(now, checked, &account);
            }
            Err(No::TooBrief) => {
                let least = self.registrar.as_ref().map_or(0, |r| r.config().min_expires.as_secs());
                self.respond_final(now, checked, 423, &[(Name::MinExpires, &least.to_string())]);
            }
            Err(No::Status(503)) => {
                self.counters.overload += 1;
                self.respond_final(now, checked, 503, &[(Name::RetryAfter, "60")]);
            }
            Err(No::Status(status)) => self.respond_final(now, checked, status, &[]),
        }
    }

    /// Checks everything before anything is changed (10.3 step 7).
    fn updates(
        &self,
        now: Instant,
        checked: &Checked,
        account: &Arc<str>,
        asked: Asked,
    ) -> Result<Vec<Update>, No> {
        let Some(table) = &self.registrar else { return Err(No::Status(405)) };
        let core = &checked.core;
        let late = |key: &_| table.is_late(account, key, &core.call_id, core.cseq);
        let wishes = match asked {
            Asked::Query => return Ok(Vec::new()),
            Asked::Nothing => {
                let keys = table.of(account).into_iter().map(|b| b.key.clone());
                let remove = |key| if late(&key) { Err(No::Status(500)) } else { Ok(Update::Remove(key)) };
                return keys.map(remove).collect();
            }
            Asked::These(wishes) => wishes,
        };
        let config = table.config();
        wishes
            .into_iter()
            .map(|wish| {
                if late(&wish.key) {
                    return Err(No::Status(500));
                }
                let wanted = wish.expires.unwrap_or(config.max_expires);
                if wanted.is_zero() {
                    return Ok(Update::Remove(wish.key));
                }
                if wanted < config.min_expires {
                    return Err(No::TooBrief);
                }
                if wish.written.len() > MOST_CONTACT || wish.uri.as_sip().is_none() {
                    return Err(No::Status(400));
                }
                let expires = now + wanted.min(config.max_expires);
                Ok(Update::Put(Box::new(binding(checked, wish, expires))))
            })
            .collect()
    }

    /// 200 with what there is now (10.3 step 8).
    fn tell_bindings(&mut self, now: Instant, checked: Checked, account: &Arc<str>) {
        let all = self.registrar.as_ref().map(|r| r.of(account)).unwrap_or_default();
        let contacts: Vec<_> = all
            .iter()
            .map(|b| {
                let left = b.expires.saturating_duration_since(now).as_secs();
                format!("{};expires={left}", invite::text(&b.written))
            })
            .collect();
        let paths: Vec<_> = checked.request.headers.all(&Name::Path).map(|p| invite::text(p)).collect();
        let mut extra: Vec<Extra<'_>> = contacts.iter().map(|c| (Name::Contact, c.as_str())).collect();
        extra.extend(paths.iter().map(|p| (Name::Path, p.as_str())));
        extra.push((Name::Supported, "path"));
        self.respond_final(now, checked, 200, &extra);
    }

    /// Reports changes, and sets the timer anew.
    fn bindings_changed(&mut self, changed: Vec<Changed>) {
        for change in changed {
            self.tell(Event::Registrar(change));
        }
        self.timers.cancel(self.bindings_due.take());
        let next = self.registrar.as_ref().and_then(|r| r.next());
        self.bindings_due = next.map(|at| self.timers.set(at, Due::Bindings));
    }

    /// Bindings have ended.
    pub(super) fn bindings_due(&mut self, now: Instant) {
        let ended = self.registrar.as_mut().map(|r| r.expire(now)).unwrap_or_default();
        self.bindings_changed(ended);
    }

    /// A connection is gone.
    pub(super) fn connection_lost(&mut self, now: Instant, conn: crate::transport::ConnId) {
        let lost = self.registrar.as_mut().map(|r| r.closed(conn)).unwrap_or_default();
        if !lost.is_empty() {
            self.bindings_changed(lost);
        }
        self.registrations_cut(now);
    }

    /// Bindings at our registrar.
    pub fn bindings(&self) -> usize {
        self.registrar.as_ref().map_or(0, |r| r.count())
    }

    /// The devices of an account of ours, the preferred and the latest first.
    pub fn devices(&self, account: &str) -> Vec<Device> {
        let all = self.registrar.as_ref().map(|r| r.of(account)).unwrap_or_default();
        all.into_iter().map(|b| b.device.clone()).collect()
    }

    /// Where to call `uri`: when it is an account of ours in our domain, its devices, the preferred and the latest first, each with the
    /// address it spoke from; empty when none is registered. `None`: it is not ours to say.
    pub fn locate(&self, uri: &Uri) -> Option<Vec<(Target, SocketAddr)>> {
        let table = self.registrar.as_ref().filter(|_| self.is_ours(uri))?;
        let (user, digest) = (uri.user(), self.config.digest.as_ref());
        digest.is_none_or(|d| d.accounts.find(user.as_bytes()).is_some()).then(|| {
            table.of(&user).into_iter().map(|binding| (target(binding), binding.device.remote)).collect()
        })
    }

    /// Whether a REGISTER is for us.
    fn is_registered_here(&self, uri: &Uri) -> bool {
        let any = self.registrar.as_ref().is_some_and(|r| r.config().domains.is_empty());
        let sip = uri.as_sip().is_some();
        sip && (any || self.is_ours(uri))
    }

    /// Whether an address is in our domain: one of those configured, our realm, or an address of ours.
    fn is_ours(&self, uri: &Uri) -> bool {
        let Some(uri) = uri.as_sip() else { return false };
        let named = |host: &Host| host.to_string().eq_ignore_ascii_case(&uri.host.to_string());
        let config = &self.config;
        let port = uri.port.unwrap_or(5060);
        let bound = |local: &std::net::SocketAddr| {
            local.port() == port
                && uri.host.ip().is_some_and(|ip| {
                    ip.to_canonical() == local.ip().to_canonical()
                        || (local.ip().is_unspecified() && ip.is_loopback())
                })
        };
        self.registrar.as_ref().is_some_and(|r| r.config().domains.iter().any(named))
            || config.digest.as_ref().is_some_and(|d| d.realm.eq_ignore_ascii_case(&uri.host.to_string()))
            || config.advertise.iter().any(|a| named(&a.host))
            || config.udp.iter().chain(&config.tcp).any(bound)
    }
}

fn binding(checked: &Checked, wish: Wish, expires: Instant) -> Binding {
    let source = checked.source;
    let path = checked.request.headers.elements(&Name::Path).take(MOST_PATH).map(Bytes::copy_from_slice);
    let named = wish.uri.socket_addr();
    Binding {
        device: Device {
            contact: wish.uri,
            remote: source.remote,
            protocol: source.protocol,
            user_agent: checked.request.headers.text(&Name::UserAgent).map(|u| u.chars().take(128).collect()),
            q: wish.q,
        },
        written: wish.written,
        key: wish.key,
        call_id: checked.core.call_id.clone(),
        cseq: checked.core.cseq,
        expires,
        path: path.collect(),
        flow: source,
        hidden: invite::behind_nat(&checked.core, &source) || named.is_some_and(|n| hidden(n, source.remote)),
    }
}

/// How to call a device.
fn target(binding: &Binding) -> Target {
    let first = binding.path.first().and_then(|p| crate::message::NameAddr::parse(p).ok());
    // Through the proxies of its Path; when their address says nothing, back over the one it came from.
    let remote = match &first {
        Some(first) => first.uri.socket_addr().unwrap_or(binding.flow.remote),
        None => binding.remote(),
    };
    Target {
        protocol: Some(binding.flow.protocol),
        remote: Some(remote),
        local: Some(binding.flow.local),
        routes: binding.path.clone(),
        ..Target::new(binding.device.contact.clone())
    }
}
