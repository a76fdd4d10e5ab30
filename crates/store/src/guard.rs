//! Lock-out on guessing.
//!
//! Counted per user *and* address, so that a guesser elsewhere cannot shut an operator out; per user over all addresses, so
//! that guessing from many of them is stopped; and per address over all users, so that trying one password on many names is
//! stopped. The latter two have much higher bounds ([`MANY`]): behind a proxy that is not trusted, everybody has one
//! address, and nobody is to shut out everybody. After [`Policy::tries`] wrong passwords the next sign-in is refused for
//! [`Policy::lock`], doubled by every further wrong one up to [`Policy::longest`]; the count is forgotten after
//! [`Policy::forget`] without a wrong one; that of user and address by a right one. IPv6
//! addresses count by their /64, which is what one customer has. At most [`Policy::entries`] counts are kept; when full,
//! the one that would be forgotten first falls out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, SystemTime},
};

/// How many times [`Policy::tries`] a user over all addresses, or an address over all users, has before the first lock.
/// One address alone cannot lock a user everywhere: while it is locked itself, its tries do not count.
const MANY: u32 = 40;

/// The numbers of the lock-out.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Wrong passwords before the first lock.
    pub tries: u32,
    /// Length of the first lock.
    pub lock: Duration,
    /// Longest lock.
    pub longest: Duration,
    /// Quiet time after which the count starts again.
    pub forget: Duration,
    /// Most counts kept.
    pub entries: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tries: 5,
            lock: Duration::from_secs(30),
            longest: Duration::from_secs(15 * 60),
            forget: Duration::from_secs(3600),
            entries: 10_000,
        }
    }
}

/// Who is counted: the user's name in lower case (none: all of the address), and the address (none: the user everywhere).
type Key = (Option<String>, Option<IpAddr>);

#[derive(Debug, Clone, Copy)]
struct Count {
    wrong: u32,
    last: SystemTime,
    locked_until: Option<SystemTime>,
}

#[derive(Debug)]
pub(crate) struct Guard {
    policy: Policy,
    counts: HashMap<Key, Count>,
}

impl Guard {
    pub fn new(policy: Policy) -> Self {
        Self { policy, counts: HashMap::new() }
    }

    /// Until when this user is locked out from this address.
    pub fn locked(&self, now: SystemTime, user: &str, from: IpAddr) -> Option<SystemTime> {
        keys(user, from)
            .iter()
            .filter_map(|k| self.counts.get(k)?.locked_until)
            .filter(|until| *until > now)
            .max()
    }

    /// A wrong password.
    pub fn wrong(&mut self, now: SystemTime, user: &str, from: IpAddr) {
        for key in keys(user, from) {
            let one = matches!(key, (Some(_), Some(_)));
            let tries = if one { self.policy.tries } else { self.policy.tries.saturating_mul(MANY) };
            self.make_room(now, &key);
            let count = self.counts.entry(key).or_insert(Count { wrong: 0, last: now, locked_until: None });
            if now.duration_since(count.last).is_ok_and(|d| d > self.policy.forget) {
                count.wrong = 0;
            }
            count.wrong = count.wrong.saturating_add(1);
            count.last = now;
            if let Some(over) = count.wrong.checked_sub(tries) {
                let lock = self.policy.lock.saturating_mul(1 << over.min(16)).min(self.policy.longest);
                count.locked_until = now.checked_add(lock);
            }
        }
    }

    /// A right password: the count of this user from this address is forgotten. That of the address stays (it may know one
    /// password and guess others), that of the user too (others may be guessing).
    pub fn right(&mut self, user: &str, from: IpAddr) {
        self.counts.remove(&(Some(user.to_lowercase()), Some(network(from))));
    }

    fn make_room(&mut self, now: SystemTime, wanted: &Key) {
        if self.counts.len() < self.policy.entries || self.counts.contains_key(wanted) {
            return;
        }
        let forget = self.policy.forget;
        self.counts.retain(|_, c| !now.duration_since(c.last).is_ok_and(|d| d > forget));
        while self.counts.len() >= self.policy.entries.max(1) {
            let Some(oldest) = self.counts.iter().min_by_key(|(_, c)| c.last).map(|(k, _)| k.clone()) else {
                return;
            };
            self.counts.remove(&oldest);
        }
    }
}

fn keys(user: &str, from: IpAddr) -> [Key; 3] {
    let (user, from) = (user.to_lowercase(), network(from));
    [(Some(user.clone()), Some(from)), (Some(user), None), (None, Some(from))]
}

fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: SystemTime = SystemTime::UNIX_EPOCH;
    fn at(s: u64) -> SystemTime {
        T0 + Duration::from_secs(s)
    }
    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    #[test]
    fn five_wrong_ones_lock_for_30_s_and_each_further_one_doubles_up_to_15_min() {
        let mut g = Guard::new(Policy::default());
        let here = ip("192.0.2.1");
        for _ in 0..4 {
            g.wrong(T0, "admin", here);
        }
        assert_eq!(g.locked(T0, "admin", here), None);
        g.wrong(T0, "Admin", here);
        assert_eq!(g.locked(T0, "admin", here), Some(at(30)));
        assert_eq!(g.locked(at(30), "admin", here), None);
        g.wrong(at(30), "admin", here);
        assert_eq!(g.locked(at(30), "admin", here), Some(at(90)));
        for i in 0..10 {
            g.wrong(at(2000 + i), "admin", here);
        }
        assert_eq!(g.locked(at(2009), "admin", here), Some(at(2009 + 900)));
    }

    #[test]
    fn a_guesser_elsewhere_does_not_lock_the_operator_out() {
        let mut g = Guard::new(Policy::default());
        for _ in 0..100 {
            g.wrong(T0, "admin", ip("198.51.100.7"));
        }
        assert_eq!(g.locked(T0, "admin", ip("192.0.2.1")), None);
    }

    #[test]
    fn a_user_guessed_at_from_many_addresses_is_locked_everywhere() {
        let mut g = Guard::new(Policy::default());
        for i in 0..200_u8 {
            g.wrong(T0, "admin", IpAddr::from([198, 51, 100, i]));
        }
        assert!(g.locked(T0, "admin", ip("192.0.2.1")).is_some());
        assert!(g.locked(T0, "other", ip("192.0.2.1")).is_none());
    }

    #[test]
    fn five_wrong_ones_for_one_user_lock_nobody_else_at_the_same_address() {
        let mut g = Guard::new(Policy::default());
        let proxy = ip("127.0.0.1");
        for _ in 0..5 {
            g.wrong(T0, "admin", proxy);
        }
        assert!(g.locked(T0, "admin", proxy).is_some());
        assert!(g.locked(T0, "operator", proxy).is_none());
    }

    #[test]
    fn one_address_trying_many_names_is_locked() {
        let mut g = Guard::new(Policy::default());
        for i in 0..199 {
            g.wrong(T0, &format!("user{i}"), ip("2001:db8:1:1::5"));
        }
        assert!(
            g.locked(T0, "somebody-new", ip("2001:db8:1:1::77")).is_none(),
            "many behind one proxy mistype"
        );
        g.wrong(T0, "user199", ip("2001:db8:1:1::5"));
        assert!(g.locked(T0, "somebody-new", ip("2001:db8:1:1::77")).is_some(), "same /64");
        assert!(g.locked(T0, "somebody-new", ip("2001:db8:1:2::77")).is_none(), "another /64");
    }

    #[test]
    fn a_right_one_or_a_quiet_hour_starts_again() {
        let mut g = Guard::new(Policy::default());
        let here = ip("192.0.2.1");
        for _ in 0..4 {
            g.wrong(T0, "admin", here);
        }
        g.right("ADMIN", here);
        g.wrong(T0, "admin", here);
        assert_eq!(g.locked(T0, "admin", here), None);
        for _ in 0..3 {
            g.wrong(at(10), "admin", here);
        }
        g.wrong(at(10 + 3601), "admin", here);
        assert_eq!(g.locked(at(10 + 3601), "admin", here), None);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_falls_out() {
        let mut g = Guard::new(Policy { entries: 10, ..Policy::default() });
        for i in 0..1000_u32 {
            g.wrong(at(i.into()), "x", IpAddr::from(i.to_be_bytes()));
            assert!(g.counts.len() <= 10);
        }
    }
}
