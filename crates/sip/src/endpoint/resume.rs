//! Dialogs that outlive the program, and the choice of our address for a call.

use std::net::{IpAddr, SocketAddr};

use super::Endpoint;
use crate::{
    call::{Call, Phase},
    event::{CallId, Refused},
    message::Uri,
    saved::Saved,
    transport::Protocol,
};

/// Requests may have been sent after the dialog was last kept; numbers must grow, and may leave gaps (RFC 3261 12.2.1.1).
const CSEQ_GAP: u32 = 1_000;

impl Endpoint {
    /// The dialog of a call that stands, to be kept. `None` before the other side has accepted, and after the end.
    pub fn saved(&self, call: CallId) -> Option<Saved> {
        let call = self.calls.get(&call).filter(|c| !c.ended)?;
        let stands = match call.phase {
            Phase::Up => true,
            Phase::Incoming { .. } | Phase::Calling { .. } | Phase::AnswerDue(_) => false,
        };
        Saved::of(&call.dialog).filter(|_| stands)
    }

    /// Takes a dialog up again after a restart: requests of the other side find it, and ours go on in it. Whether the other
    /// side still knows it shows with the first request, `reoffer` for instance.
    ///
    /// Errors when it cannot be read, is there already, or there is no room or address.
    pub fn resume(&mut self, saved: &Saved) -> Result<CallId, Refused> {
        if self.calls.len() >= self.config.max_calls {
            return Err(Refused::TooMany);
        }
        let local = self
            .local_toward(saved.protocol, Some(saved.local_addr.ip()), saved.remote_addr)
            .ok_or(Refused::NoLocalAddress)?;
        let session = self.new_session(saved.call_id.as_bytes());
        let cseq = saved.local_cseq.wrapping_add(CSEQ_GAP) & 0x7fff_ffff;
        let mut dialog = saved.dialog(cseq, local, session).ok_or(Refused::NoAddress)?;
        if self.by_tag.contains_key(&dialog.local_tag) {
            return Err(Refused::WrongState);
        }
        dialog.contact = self.contact(&saved.user, &dialog.flow);
        let id = self.new_call_id();
        self.by_tag.insert(dialog.local_tag.clone(), id);
        let mut call = Call::new(id, dialog, Phase::Up);
        call.confirmed = true;
        self.calls.insert(id, call);
        self.counters.calls += 1;
        Ok(id)
    }

    /// `sip:user@` and our own address as the other side of a call from `local` knows it.
    pub fn own_uri(&self, user: &str, protocol: Protocol, local: SocketAddr) -> Uri {
        let (host, port) = self.config.shown(protocol, local);
        Uri::sip_host(user, host, Some(port))
    }

    /// Our socket's address for talking to `remote`: on `ip` when a socket serves that address, else as the configuration says.
    pub fn local_toward(
        &self,
        protocol: Protocol,
        ip: Option<IpAddr>,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let listening = match protocol {
            Protocol::Udp => &self.config.udp,
            Protocol::Tcp => &self.config.tcp,
        };
        let on = |ip: IpAddr| {
            let serves =
                |a: &&SocketAddr| a.ip() == ip || (a.ip().is_unspecified() && a.is_ipv4() == ip.is_ipv4());
            listening.iter().find(serves).map(|a| SocketAddr::new(ip, a.port()))
        };
        ip.filter(|ip| !ip.is_unspecified()).and_then(on).or_else(|| self.config.local_for(protocol, remote))
    }
}
