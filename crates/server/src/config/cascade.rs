//! `[cascade]`, and TLS for the control side.

use std::{path::PathBuf, time::Duration};

use cau_cascade::{Path, Policy};

use super::{ControlTls, Error, resolve::Reader, resolve::address};
use crate::{cascade::Config, tls::Files};

/// HTTPS, when it is wanted.
pub(super) fn control_tls(v: &Reader<'_>) -> Result<Option<ControlTls>, Error> {
    let bind = v.optional("control.tls_bind", |w| address(w, "0.0.0.0:8443 or [::]:8443"))?;
    let file = |key| v.optional(key, |w| Ok(PathBuf::from(w)));
    let files = match (file("control.tls_certificate")?, file("control.tls_key")?) {
        (Some(certificate), Some(key)) => Some(Files { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(v.wrong("control.tls_certificate", "needs control.tls_key beside it".into()));
        }
        (None, Some(_)) => {
            return Err(v.wrong("control.tls_key", "needs control.tls_certificate beside it".into()));
        }
    };
    if files.is_some() && bind.is_none() {
        let message = "has no effect without control.tls_bind, such as 0.0.0.0:8443";
        return Err(v.wrong("control.tls_certificate", message.into()));
    }
    Ok(bind.map(|bind| ControlTls { bind, files }))
}

/// What this MCU is in the tree; `None`: it is in none.
pub(super) fn cascade(v: &Reader<'_>, tls: bool) -> Result<Option<Config>, Error> {
    let role = v.one("cascade.role", "off", |w| match w {
        "off" | "master" | "standby" | "slave" => Ok(w.to_owned()),
        _ => Err(format!("`{w}` is none of off, master, standby, slave")),
    })?;
    // Everything is checked also when it is off.
    let path: Path = v.one("cascade.path", "", |w| {
        w.parse().map_err(|_| {
            format!("`{w}` is no path such as dak-lak/buon-ma-thuot: small letters without accents, digits and -, up to 12 names")
        })
    })?;
    let masters = v.some("cascade.masters", master)?;
    let policy = policy(v, &path)?;
    let room = v.one("cascade.room", "8000", |w| {
        let good = !w.is_empty() && w.len() <= 64 && w.chars().all(|c| !c.is_whitespace() && !c.is_control());
        good.then(|| w.to_owned()).ok_or_else(|| format!("`{w}` is no room such as 8000"))
    })?;
    let mut sip = v.some("cascade.sip", |w| {
        let good = cau_sip::Uri::parse(w.as_bytes()).is_ok_and(|uri| uri.scheme() == "sip");
        good.then(|| w.to_owned()).ok_or_else(|| format!("`{w}` is no SIP address such as sip:8000@10.0.0.1"))
    })?;
    if sip.len() > masters.len() {
        return Err(v.wrong("cascade.sip", "has more addresses than cascade.masters".into()));
    }
    for address in masters.iter().skip(sip.len()) {
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        sip.push(format!("sip:{room}@{host}"));
    }
    let name = v.optional("cascade.name", |w| Ok(cau_model::name::clean(w)))?.filter(|name| !name.is_empty());
    let config = Config {
        name: name.unwrap_or_else(|| if path.is_root() { "MCU".to_owned() } else { path.last().to_owned() }),
        room,
        sip,
        follow: super::resolve::yes_or_no(v, "cascade.follow", true)?,
        commands: role != "standby",
        peer: v.optional("cascade.peer", master)?,
        take_over: Duration::from_secs(v.number("cascade.take_over_s", 10, 0..=3_600)?),
        token_file: v.optional("cascade.token_file", |w| Ok(PathBuf::from(w)))?,
        slots: v.number("cascade.slots", 2, 1..=cau_cascade::wire::MAX_SLOTS)?,
        max_links: v.number("cascade.max_links", 256, 1..=1_000)?,
        max_sites: v.number("cascade.max_sites", 20_000, 1..=100_000)?,
        policy,
        masters,
        path,
    };
    match role.as_str() {
        "off" => return Ok(None),
        "slave" if config.masters.is_empty() => {
            let message = "a slave needs cascade.masters, such as [\"https://10.0.0.1:8443\"]";
            return Err(v.wrong("cascade.role", message.into()));
        }
        "slave" if config.path.is_root() => {
            let message =
                "a slave needs cascade.path, the one its link at the master was made for, such as dak-lak";
            return Err(v.wrong("cascade.role", message.into()));
        }
        "slave" if config.peer.is_some() => {
            let message = "a slave has no standby: it goes to the next of cascade.masters";
            return Err(v.wrong("cascade.peer", message.into()));
        }
        "slave" => {}
        _ if !config.masters.is_empty() => {
            let message = format!(
                "a {role} has nothing above it; an MCU with a master is a slave, also with slaves below"
            );
            return Err(v.wrong("cascade.masters", message));
        }
        _ if !tls => {
            let message =
                format!("a {role} needs control.tls_bind, such as 0.0.0.0:8443: slaves link over TLS");
            return Err(v.wrong("cascade.role", message));
        }
        _ => {}
    }
    Ok(Some(config))
}

/// `https://host:port` → `host:port`.
fn master(word: &str) -> Result<String, String> {
    let wrong = || format!("`{word}` is no master such as https://10.0.0.1:8443");
    let rest = word.strip_prefix("https://").ok_or_else(wrong)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let bare = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bare {
        Some((host, port)) => (host.parse::<std::net::Ipv6Addr>().map(|_| host).map_err(|_| wrong())?, port),
        None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
        None if port.is_empty() => 8443,
        None => return Err(wrong()),
    };
    let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if bare.is_none() && (host.is_empty() || !host.chars().all(named)) {
        return Err(wrong());
    }
    Ok(if bare.is_some() { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn policy(v: &Reader<'_>, own: &Path) -> Result<Policy, Error> {
    const ALL: [&str; 5] = ["pictures", "sound", "dial", "seize", "floor"];
    let allowed = v.several("cascade.allow", &ALL, |w| {
        ALL.into_iter().find(|all| *all == w).ok_or_else(|| format!("`{w}` is none of {}", ALL.join(", ")))
    })?;
    let may = |what: &str| allowed.contains(&what);
    let closed = v.some("cascade.closed", |w| {
        let path: Option<Path> = w.parse().ok().filter(|path: &Path| path.is_below(own));
        path.ok_or_else(|| format!("`{w}` is no path below this MCU's own (cascade.path)"))
    })?;
    Ok(Policy {
        pictures: may("pictures"),
        sound: may("sound"),
        dial: may("dial"),
        seize: may("seize"),
        floor: may("floor"),
        closed,
        ..Policy::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_an_https_address() {
        assert_eq!(master("https://10.0.0.1:8443"), Ok("10.0.0.1:8443".into()));
        assert_eq!(master("https://mcu.example.vn/"), Ok("mcu.example.vn:8443".into()));
        assert_eq!(master("https://[2001:db8::1]:9000"), Ok("[2001:db8::1]:9000".into()));
        assert_eq!(master("https://[2001:db8::1]"), Ok("[2001:db8::1]:8443".into()));
        for wrong in [
            "",
            "10.0.0.1:8443",
            "http://10.0.0.1",
            "https://",
            "https://a:0",
            "https://a:b",
            "https://a/b",
            "https://[x]:1",
            "https://[::1]x",
        ] {
            assert!(master(wrong).is_err(), "{wrong}");
        }
    }
}
