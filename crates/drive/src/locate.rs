//! Where the requests for a SIP address go (RFC 3263): NAPTR, SRV, addresses; and our own address on the way there.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use cau_sip::{Hop, Host, Protocol, Unlocated, Uri};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{
        RData,
        rdata::{NAPTR, SRV},
    },
};
use rand::RngExt as _;

/// Addresses given of one name at most.
const MOST: usize = 16;
/// A question to a name server is answered within this time, or asked once more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks addresses up. Names need a name server; addresses as such never do.
pub struct Locator(Option<TokioResolver>);

impl Locator {
    /// Asks the servers given, or those of the system when there are none.
    pub fn new(servers: &[SocketAddr]) -> Self {
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let config = ResolverConfig::from_name_servers(servers.iter().copied().map(server).collect());
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let made = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            (options.timeout, options.attempts) = (PATIENCE, 2);
            options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.build()
        });
        match made {
            Ok(resolver) => Self(Some(resolver)),
            Err(e) => {
                tracing::warn!("names in SIP addresses cannot be looked up: {e}");
                Self(None)
            }
        }
    }

    /// The addresses to try, in their order (RFC 3263 4).
    ///
    /// # Errors
    /// [`Unlocated`]: no such name, no answer, no transport, no way there.
    pub async fn locate(&self, uri: &Uri) -> Result<Vec<Hop>, Unlocated> {
        let mut hops = Vec::new();
        for (protocol, remote) in self.addresses(uri).await?.into_iter().take(MOST) {
            if let Some(local) = toward(remote) {
                hops.push(Hop { protocol, remote, local: Some(local) });
            }
        }
        if hops.is_empty() { Err(Unlocated::NoRoute) } else { Ok(hops) }
    }

    async fn addresses(&self, uri: &Uri) -> Result<Vec<(Protocol, SocketAddr)>, Unlocated> {
        let sip = uri.as_sip().filter(|sip| !sip.secure).ok_or(Unlocated::Transport)?;
        let wanted = transport(uri)?;
        let maddr = uri.param("maddr").and_then(|host| Host::parse(host).ok());
        let name = match maddr.as_ref().unwrap_or(&sip.host) {
            Host::Ip(ip) => {
                let at = SocketAddr::new(*ip, sip.port.unwrap_or(5060));
                return Ok(vec![(wanted.unwrap_or(Protocol::Udp), at)]);
            }
            Host::Name(name) => name,
        };
        if let Some(port) = sip.port {
            return self.hosts(wanted.unwrap_or(Protocol::Udp), name, port).await;
        }
        let services = match wanted {
            Some(protocol) => vec![(protocol, format!("_sip._{}.{name}", word(protocol)))],
            None => self.services(name).await?,
        };
        let mut found = Vec::new();
        for (protocol, service) in services {
            for (target, port) in self.service(&service).await? {
                // A service whose host is gone is not worth the others.
                found.extend(self.hosts(protocol, &target, port).await.unwrap_or_default());
            }
            if found.len() >= MOST {
                break;
            }
        }
        if found.is_empty() {
            self.hosts(wanted.unwrap_or(Protocol::Udp), name, 5060).await
        } else {
            Ok(found)
        }
    }

    /// The services of a domain by NAPTR; where it has none, SRV is asked for UDP and TCP (RFC 3263 4.1).
    async fn services(&self, name: &str) -> Result<Vec<(Protocol, String)>, Unlocated> {
        let resolver = self.0.as_ref().ok_or(Unlocated::NoAnswer)?;
        let mut records: Vec<NAPTR> =
            match resolver.lookup(dotted(name), hickory_resolver::proto::rr::RecordType::NAPTR).await {
                Ok(found) => found
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::NAPTR(naptr) => Some(naptr.clone()),
                        _ => None,
                    })
                    .collect(),
                Err(e) => none(&e)?,
            };
        records.sort_by_key(|naptr| (naptr.order, naptr.preference));
        let mut services: Vec<(Protocol, String)> = records.iter().filter_map(service).collect();
        if services.is_empty() {
            let both = [Protocol::Udp, Protocol::Tcp];
            services = both.map(|protocol| (protocol, format!("_sip._{}.{name}", word(protocol)))).to_vec();
        }
        Ok(services)
    }

    async fn service(&self, name: &str) -> Result<Vec<(String, u16)>, Unlocated> {
        let resolver = self.0.as_ref().ok_or(Unlocated::NoAnswer)?;
        let records: Vec<SRV> = match resolver.srv_lookup(dotted(name)).await {
            Ok(found) => found
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::SRV(srv) => Some(srv.clone()),
                    _ => None,
                })
                .collect(),
            Err(e) => none(&e)?,
        };
        let records = records.into_iter().map(|srv| Server {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: srv.target.to_utf8(),
        });
        Ok(in_turn(records.collect(), |below| rand::rng().random_range(0..below)))
    }

    async fn hosts(
        &self,
        protocol: Protocol,
        name: &str,
        port: u16,
    ) -> Result<Vec<(Protocol, SocketAddr)>, Unlocated> {
        let resolver = self.0.as_ref().ok_or(Unlocated::NoAnswer)?;
        match resolver.lookup_ip(dotted(name)).await {
            Ok(found) => Ok(found.iter().map(|ip| (protocol, SocketAddr::new(ip, port))).collect()),
            Err(e) if e.is_no_records_found() => Err(Unlocated::NoSuchName),
            Err(e) => {
                tracing::debug!(name, "not looked up: {e}");
                Err(Unlocated::NoAnswer)
            }
        }
    }
}

fn server(at: SocketAddr) -> NameServerConfig {
    let port = |mut connection: ConnectionConfig| {
        connection.port = at.port();
        connection
    };
    NameServerConfig::new(at.ip(), true, vec![port(ConnectionConfig::udp()), port(ConnectionConfig::tcp())])
}

/// No record is an answer; everything else is none.
fn none<T>(e: &NetError) -> Result<Vec<T>, Unlocated> {
    if e.is_no_records_found() {
        return Ok(Vec::new());
    }
    tracing::debug!("not looked up: {e}");
    Err(Unlocated::NoAnswer)
}

/// As it stands: the search list of the system is for people at a terminal.
fn dotted(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
    }
}

fn transport(uri: &Uri) -> Result<Option<Protocol>, Unlocated> {
    match uri.param("transport") {
        None => Ok(None),
        Some(t) if t.eq_ignore_ascii_case(b"udp") => Ok(Some(Protocol::Udp)),
        Some(t) if t.eq_ignore_ascii_case(b"tcp") => Ok(Some(Protocol::Tcp)),
        Some(_) => Err(Unlocated::Transport),
    }
}

/// A NAPTR record that leads to SRV records of a transport we have.
fn service(naptr: &NAPTR) -> Option<(Protocol, String)> {
    let protocol = match naptr.services.to_ascii_uppercase().as_slice() {
        b"SIP+D2U" => Protocol::Udp,
        b"SIP+D2T" => Protocol::Tcp,
        _ => return None,
    };
    naptr.flags.eq_ignore_ascii_case(b"s").then(|| (protocol, naptr.replacement.to_utf8()))
}

struct Server {
    priority: u16,
    weight: u16,
    port: u16,
    target: String,
}

/// By priority, and among equals by lot, the heavy ones first more often (RFC 2782). `draw(n)` gives a number below n. A target of `.`
/// says that the service is not there.
fn in_turn(mut servers: Vec<Server>, mut draw: impl FnMut(u32) -> u32) -> Vec<(String, u16)> {
    servers.retain(|server| server.target != ".");
    servers.sort_by_key(|server| (server.priority, server.weight));
    let mut out = Vec::with_capacity(servers.len());
    while let Some(priority) = servers.first().map(|server| server.priority) {
        let equal = servers.iter().take_while(|server| server.priority == priority).count();
        let sum: u32 = servers.iter().take(equal).map(|server| u32::from(server.weight)).sum();
        let mut lot = draw(sum + 1);
        let heavy = |server: &Server| {
            let weight = u32::from(server.weight);
            let here = lot <= weight;
            lot = lot.saturating_sub(weight);
            here
        };
        let at = servers.iter().take(equal).position(heavy).unwrap_or(0);
        let server = servers.remove(at);
        out.push((server.target, server.port));
    }
    out
}

/// Our address on the way to `remote`, as the system routes; nothing is sent. `None`: there is no way.
pub fn toward(remote: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if remote.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(remote).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

#[cfg(test)]
mod tests;
