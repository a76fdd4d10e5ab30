//! Dialogs (RFC 3261 12): who talks with whom, over which route, in which order.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::{
    message::{Headers, Method, Name, NameAddr, Request, Response, Uri},
    session_id::SessionId,
    transport::Protocol,
    wire::Flow,
};

/// Most elements of a route set.
const MOST_ROUTES: usize = 32;

/// What both sides agree on about one call. Before the first response to our INVITE the remote tag is empty.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub call_id: Bytes,
    /// Our From (as UAC) or To (as UAS), with our tag.
    pub local: Bytes,
    pub local_tag: Bytes,
    /// Theirs, with their tag if they gave one.
    pub remote: Bytes,
    pub remote_tag: Bytes,
    pub local_cseq: u32,
    pub remote_cseq: Option<u32>,
    /// Remote target: Contact of the other side.
    pub target: Uri,
    /// Route set, nearest first, elements as they came.
    pub routes: Vec<Bytes>,
    /// Where we last heard of the other side.
    pub flow: Flow,
    /// The other side names an address at which we cannot reach it: always answer to where it comes from.
    pub behind_nat: bool,
    /// Our Contact header.
    pub contact: Bytes,
    /// Whether the INVITE that opened it was ours (for the back-off of 14.1).
    pub ours: bool,
    /// What both sides call the session (RFC 7989).
    pub session: SessionId,
}

impl Dialog {
    /// A request within the dialog, its CSeq counted up (12.2.1.1). ACK has the number of its INVITE: see [`Dialog::ack`].
    pub(crate) fn request(&mut self, method: Method) -> Request {
        self.local_cseq = self.local_cseq.wrapping_add(1) & 0x7fff_ffff;
        let cseq = self.local_cseq;
        self.build(method, cseq)
    }

    /// The ACK for a 2xx to our INVITE with this number.
    pub(crate) fn ack(&self, cseq: u32) -> Request {
        self.build(Method::Ack, cseq)
    }

    fn build(&self, method: Method, cseq: u32) -> Request {
        let mut headers = Headers::new();
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, self.local.clone());
        headers.push(Name::To, self.remote.clone());
        headers.push(Name::CallId, self.call_id.clone());
        headers.push(Name::CSeq, format!("{cseq} {method}"));
        headers.push(Name::SessionId, self.session.to_string());
        let mut uri = self.target.clone();
        match self.strict_hop() {
            // A strict router wants itself in the Request-URI and the target at the end of the route.
            Some(hop) => {
                let mut target = vec![b'<'];
                uri.write(&mut target);
                target.push(b'>');
                uri = hop;
                for route in self.routes.iter().skip(1) {
                    headers.push(Name::Route, route.clone());
                }
                headers.push(Name::Route, target);
            }
            None => {
                for route in &self.routes {
                    headers.push(Name::Route, route.clone());
                }
            }
        }
        if let Uri::Sip(sip) = &mut uri {
            // Not allowed in a Request-URI (19.1.1).
            sip.headers = None;
        }
        // The requests that refresh the target (12.2.1.1, RFC 3311 5.1).
        if matches!(method, Method::Invite | Method::Update) {
            headers.push(Name::Contact, self.contact.clone());
        }
        Request { method, uri, headers, body: Bytes::new() }
    }

    /// The first route, when it has no `lr`.
    fn strict_hop(&self) -> Option<Uri> {
        let first = NameAddr::parse(self.routes.first()?).ok()?;
        first.uri.param("lr").is_none().then_some(first.uri)
    }

    /// Where requests go: the first route or the target, when it is an address we can use, else where the other side comes from.
    pub(crate) fn destination(&self) -> Flow {
        let first = self.routes.first().and_then(|r| NameAddr::parse(r).ok());
        if first.is_none() && self.behind_nat {
            return self.flow;
        }
        let hop = first.as_ref().map_or(&self.target, |route| &route.uri);
        let Some(address) = hop.socket_addr().filter(|a| !a.ip().is_unspecified() && !a.ip().is_multicast())
        else {
            return self.flow;
        };
        let protocol = match hop.param("transport") {
            Some(t) if t.eq_ignore_ascii_case(b"tcp") => Protocol::Tcp,
            Some(t) if t.eq_ignore_ascii_case(b"udp") => Protocol::Udp,
            _ => self.flow.protocol,
        };
        if address.is_ipv4() != self.flow.local.is_ipv4() {
            // No way from this socket to there.
            return self.flow;
        }
        let conn =
            self.flow.conn.filter(|_| protocol == Protocol::Tcp && self.flow.protocol == Protocol::Tcp);
        Flow { protocol, conn, local: self.flow.local, remote: address }
    }

    /// Completes our side from the response that makes the dialog (12.1.2).
    pub(crate) fn established(&mut self, response: &Response, flow: Flow) {
        if let Some(to) = response.headers.value(&Name::To) {
            self.remote = to.clone();
            self.remote_tag = tag_of(to);
        }
        let mut routes: Vec<_> = record_route(&response.headers);
        routes.reverse();
        self.routes = routes;
        self.session.heard_response(&response.headers);
        self.refresh(&response.headers, flow);
        self.behind_nat = self.target.socket_addr().is_some_and(|a| hidden(a, flow.remote));
    }

    /// Takes over a new remote target (12.2.1.2, 12.2.2), and the address it came from.
    pub(crate) fn refresh(&mut self, headers: &Headers, flow: Flow) {
        if let Some(contact) = headers.elements(&Name::Contact).next().and_then(|c| NameAddr::parse(c).ok()) {
            self.target = contact.uri;
        }
        self.flow = flow;
    }
}

/// Record-Route elements in their order.
pub(crate) fn record_route(headers: &Headers) -> Vec<Bytes> {
    headers.elements(&Name::RecordRoute).take(MOST_ROUTES).map(Bytes::copy_from_slice).collect()
}

/// The tag of a From or To value, empty when there is none.
pub(crate) fn tag_of(value: &[u8]) -> Bytes {
    let tag = NameAddr::parse(value).ok().and_then(|a| a.tag().map(Bytes::copy_from_slice));
    tag.unwrap_or_default()
}

/// Whether `named` is an address that means nothing outside of the network of its owner, who speaks to us from another.
pub(crate) fn hidden(named: SocketAddr, seen: SocketAddr) -> bool {
    let private = |ip: IpAddr| match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let shared =
                v4.octets().first() == Some(&100) && v4.octets().get(1).is_some_and(|b| b & 0xc0 == 64);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
    };
    named.ip().to_canonical() != seen.ip().to_canonical()
        && private(named.ip())
        && (!private(seen.ip()) || named.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(routes: &[&str]) -> Dialog {
        let at = |s: &str| s.parse().unwrap();
        Dialog {
            call_id: "c".into(),
            local: "<sip:a@h>;tag=1".into(),
            local_tag: "1".into(),
            remote: "<sip:b@h>;tag=2".into(),
            remote_tag: "2".into(),
            local_cseq: 7,
            remote_cseq: None,
            target: "sip:b@192.0.2.9:5070".parse().unwrap(),
            routes: routes.iter().map(|r| Bytes::copy_from_slice(r.as_bytes())).collect(),
            flow: Flow {
                protocol: Protocol::Udp,
                conn: None,
                local: at("192.0.2.1:5060"),
                remote: at("192.0.2.2:5060"),
            },
            behind_nat: false,
            contact: "<sip:a@192.0.2.1>".into(),
            ours: true,
            session: SessionId::new(1),
        }
    }

    fn routes(request: &Request) -> Vec<String> {
        request.headers.all(&Name::Route).map(|r| String::from_utf8_lossy(r).into_owned()).collect()
    }

    #[test]
    fn loose_routes_keep_the_target() {
        let mut it = dialog(&["<sip:192.0.2.3;lr>", "<sip:192.0.2.4;lr>"]);
        let bye = it.request(Method::Bye);
        assert_eq!(bye.uri.to_string(), "sip:b@192.0.2.9:5070");
        assert_eq!(routes(&bye), ["<sip:192.0.2.3;lr>", "<sip:192.0.2.4;lr>"]);
        assert_eq!(bye.headers.text(&Name::CSeq).unwrap(), "8 BYE");
        assert_eq!(it.destination().remote, "192.0.2.3:5060".parse().unwrap());
    }

    #[test]
    fn a_strict_router_gets_the_target_as_last_route() {
        let mut it = dialog(&["<sip:192.0.2.3>", "<sip:192.0.2.4;lr>"]);
        let bye = it.request(Method::Bye);
        assert_eq!(bye.uri.to_string(), "sip:192.0.2.3");
        assert_eq!(routes(&bye), ["<sip:192.0.2.4;lr>", "<sip:b@192.0.2.9:5070>"]);
        assert_eq!(it.destination().remote, "192.0.2.3:5060".parse().unwrap());
    }

    #[test]
    fn unusable_contacts_are_answered_where_they_come_from() {
        for target in ["sip:b@host.invalid", "sip:b@0.0.0.0", "tel:123", "sip:b@[2001:db8::1]"] {
            let it = Dialog { target: target.parse().unwrap(), ..dialog(&[]) };
            assert_eq!(it.destination().remote, "192.0.2.2:5060".parse().unwrap(), "{target}");
        }
        let named = "10.0.0.5:5060".parse().unwrap();
        assert!(hidden(named, "203.0.113.7:1024".parse().unwrap()));
        assert!(!hidden(named, "10.0.0.9:5060".parse().unwrap()));
    }
}
