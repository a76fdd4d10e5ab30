//! How many HTTP connections may be open: in all, and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;

/// Places for connections; each one open takes a [`Place`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: usize,
    each: usize,
    proxies: Vec<IpNet>,
    open: Mutex<Open>,
}

/// Bounded by [`Inner::all`]: an address without a connection is not kept.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Too many connections in all.
    All,
    /// Too many from this address.
    Address,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    address: Option<IpAddr>,
}

impl Places {
    /// `all` connections, `each` from one address; the proxies speak for many and may take all. IPv6 addresses count by
    /// their /64, which is what one customer has.
    pub fn new(all: usize, each: usize, proxies: Vec<IpNet>) -> Self {
        Self(Arc::new(Inner { all, each, proxies, open: Mutex::default() }))
    }

    /// A place for a connection from there.
    ///
    /// # Errors
    /// [`Full`]: close it.
    pub fn take(&self, from: IpAddr) -> Result<Place, Full> {
        let from = from.to_canonical();
        let address = (!self.0.proxies.iter().any(|net| net.contains(&from))).then(|| network(from));
        let mut open = self.open();
        if open.all >= self.0.all {
            return Err(Full::All);
        }
        if let Some(address) = address {
            let count = open.by_address.get(&address).copied().unwrap_or(0);
            if count >= self.0.each {
                return Err(Full::Address);
            }
            open.by_address.insert(address, count + 1);
        }
        open.all += 1;
        Ok(Place { places: self.clone(), address })
    }

    /// Connections open now.
    pub fn taken(&self) -> usize {
        self.open().all
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open();
        open.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = open.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

fn network(from: IpAddr) -> IpAddr {
    match from {
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::new(5, 2, Vec::new());
        let greedy: Vec<Place> = (0..2).map(|_| places.take(ip("192.0.2.1")).unwrap()).collect();
        assert_eq!(places.take(ip("192.0.2.1")).unwrap_err(), Full::Address);
        assert_eq!(
            places.take(ip("::ffff:192.0.2.1")).unwrap_err(),
            Full::Address,
            "the same, written otherwise"
        );
        let _other = places.take(ip("2001:db8:1:1::1")).unwrap();
        let _another = places.take(ip("2001:db8:1:1::2")).unwrap();
        assert_eq!(places.take(ip("2001:db8:1:1::3")).unwrap_err(), Full::Address, "same /64");
        let _last = places.take(ip("2001:db8:1:2::3")).unwrap();
        assert_eq!((places.take(ip("192.0.2.9")).unwrap_err(), places.taken()), (Full::All, 5));
        drop(greedy);
        assert_eq!(places.taken(), 3);
        assert!(places.take(ip("192.0.2.1")).is_ok());
        assert!(
            !places.open().by_address.contains_key(&ip("192.0.2.1")),
            "nothing is kept of those who are gone"
        );
    }

    #[test]
    fn a_trusted_proxy_speaks_for_many() {
        let places = Places::new(5, 2, vec!["127.0.0.1/32".parse().unwrap()]);
        let _open: Vec<Place> = (0..5).map(|_| places.take(ip("127.0.0.1")).unwrap()).collect();
        assert_eq!(places.take(ip("127.0.0.1")).unwrap_err(), Full::All);
    }
}
