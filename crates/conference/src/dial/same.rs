//! Whether who calls in is a site we know: one that is being called, or was lost a moment ago.

use std::net::{IpAddr, SocketAddr};

use cau_sip::{Host, Uri};

/// Who calls in.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    /// Its From.
    pub from: &'a Uri,
    /// Its Contact.
    pub contact: Option<&'a Uri>,
    /// Where its signalling comes from.
    pub source: SocketAddr,
}

/// What is known of a site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Where it is called, or, of one that had dialled in, its From.
    pub address: &'a Uri,
    /// Contact of its last call.
    pub contact: Option<&'a Uri>,
    /// Where it was found: the address its host stands for.
    pub found: Option<SocketAddr>,
}

impl Caller<'_> {
    /// Whether it is that site: by its own contact, by user and host, or by user and the address it speaks from. An address without
    /// user (a room system dialled by its number of the network) must fit with its port, because many may share one address.
    pub(crate) fn is(&self, known: &Known<'_>) -> bool {
        let user = known.address.user();
        let same_contact =
            |other: &Uri| self.contact.is_some_and(|c| c.user() == other.user() && place(c) == place(other));
        if known.contact.is_some_and(same_contact) || same_contact(known.address) {
            return true;
        }
        let found = known.address.socket_addr().or(known.found);
        if user.is_empty() {
            return found
                .is_some_and(|at| at == self.source || self.contact.and_then(Uri::socket_addr) == Some(at));
        }
        let named = |uri: &Uri| uri.user() == user;
        if named(self.from) && same_host(self.from.host(), known.address.host()) {
            return true;
        }
        let ip = found.map(|at| at.ip().to_canonical());
        let speaks_from = ip == Some(self.source.ip().to_canonical());
        speaks_from && (named(self.from) || self.contact.is_some_and(named))
    }
}

/// Host and port of an address, as far as they tell one device from another.
fn place(uri: &Uri) -> Option<(Host, u16)> {
    let sip = uri.as_sip()?;
    let host = match &sip.host {
        Host::Name(name) => Host::Name(name.to_ascii_lowercase()),
        Host::Ip(ip) => Host::Ip(ip.to_canonical()),
    };
    Some((host, sip.port.unwrap_or(5060)))
}

fn same_host(one: Option<&Host>, other: Option<&Host>) -> bool {
    let canonical = |ip: IpAddr| ip.to_canonical();
    match (one, other) {
        (Some(Host::Name(a)), Some(Host::Name(b))) => a.eq_ignore_ascii_case(b),
        (Some(Host::Ip(a)), Some(Host::Ip(b))) => canonical(*a) == canonical(*b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text.as_bytes()).unwrap()
    }

    /// Site dialled at `address`, caller by From, Contact and source.
    fn is(address: &str, from: &str, contact: &str, source: &str) -> bool {
        let (address, from, contact) = (uri(address), uri(from), uri(contact));
        let caller = Caller { from: &from, contact: Some(&contact), source: source.parse().unwrap() };
        caller.is(&Known { address: &address, contact: None, found: None })
    }

    #[test]
    fn by_address_by_contact_and_by_where_it_speaks_from() {
        let yes = |a, f, c, s| assert!(is(a, f, c, s), "{a} is {f} {c} {s}");
        let no = |a, f, c, s| assert!(!is(a, f, c, s), "{a} is not {f} {c} {s}");
        yes("sip:ep1@10.0.0.7", "sip:ep1@10.0.0.7", "sip:x@10.0.0.7:1", "10.0.0.7:5060");
        yes("sip:hoaphu@daklak.vn", "sip:hoaphu@DAKLAK.VN", "sip:a@10.0.0.7", "10.0.0.7:5060");
        yes("sip:ep1@10.0.0.7:5080", "sip:other@device", "sip:ep1@10.0.0.7:5080", "10.0.0.9:5060");
        yes("sip:ep1@10.0.0.7", "sip:ep1@my.name", "sip:random@10.0.0.7:33", "10.0.0.7:4444");
        yes("sip:10.0.0.7", "sip:anything@10.0.0.7", "sip:anything@10.0.0.7", "10.0.0.7:5060");
        no("sip:ep1@10.0.0.7", "sip:ep2@10.0.0.7", "sip:ep2@10.0.0.7", "10.0.0.7:5060");
        no("sip:ep1@10.0.0.7", "sip:ep1@10.0.0.8", "sip:ep1@10.0.0.8", "10.0.0.8:5060");
        no("sip:10.0.0.7", "sip:one@10.0.0.7", "sip:one@10.0.0.7:6000", "10.0.0.7:6000");
    }

    #[test]
    fn a_name_counts_as_the_address_it_was_found_at() {
        let (address, from) = (uri("sip:ep1@hoaphu.vn"), uri("sip:ep1@192.168.1.5"));
        let caller = Caller { from: &from, contact: None, source: "10.0.0.7:5060".parse().unwrap() };
        let known = Known { address: &address, contact: None, found: Some("10.0.0.7:5060".parse().unwrap()) };
        assert!(caller.is(&known));
        assert!(!caller.is(&Known { found: None, ..known }));
    }
}
