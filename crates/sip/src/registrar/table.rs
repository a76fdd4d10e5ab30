//! The bindings of all accounts.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use super::{
    Change, Changed, Config,
    binding::{Binding, Key},
};
use crate::transport::ConnId;

/// The table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// One change a REGISTER asks for.
#[derive(Clone, Debug)]
pub(crate) enum Update {
    /// Set or refresh.
    Put(Box<Binding>),
    /// Take away.
    Remove(Key),
}

/// Bindings by account.
pub(crate) struct Registrar {
    config: Config,
    accounts: HashMap<Arc<str>, Vec<Binding>>,
    /// Accounts by the time their next binding ends.
    due: BTreeSet<(Instant, Arc<str>)>,
    /// Accounts that came by a connection, until it is closed.
    conns: HashMap<ConnId, BTreeSet<Arc<str>>>,
    count: usize,
}

impl Registrar {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, accounts: HashMap::new(), due: BTreeSet::new(), conns: HashMap::new(), count: 0 }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The devices of an account, the preferred and the latest first.
    pub(crate) fn of(&self, account: &str) -> Vec<&Binding> {
        let mut all: Vec<_> = self.accounts.get(account).into_iter().flatten().collect();
        all.sort_by_key(|binding| std::cmp::Reverse((binding.device.q, binding.expires)));
        all
    }

    /// Whether a REGISTER with this number is older than what it changed already (10.3 step 7).
    pub(crate) fn is_late(&self, account: &str, key: &Key, call_id: &[u8], cseq: u32) -> bool {
        let found = self.accounts.get(account).into_iter().flatten().find(|b| b.key == *key);
        found.is_some_and(|b| b.call_id == call_id && cseq <= b.cseq)
    }

    /// Carries out all of it, or nothing.
    pub(crate) fn update(&mut self, account: &Arc<str>, updates: Vec<Update>) -> Result<Vec<Changed>, Full> {
        let have = self.accounts.get(account).map_or(&[][..], |all| all);
        let new = |u: &Update| matches!(u, Update::Put(b) if !have.iter().any(|h| h.key == b.key));
        let growth = updates.iter().filter(|u| new(u)).count();
        if growth > 0 && self.count + growth > self.config.max_bindings {
            return Err(Full);
        }
        self.unset(account);
        let mut all = self.accounts.remove(account).unwrap_or_default();
        self.count -= all.len();
        let mut out = Vec::new();
        let mut tell = |binding: &Binding, change| {
            out.push(Changed { account: account.clone(), device: binding.device.clone(), change });
        };
        for update in updates {
            match update {
                Update::Remove(key) => {
                    if let Some(at) = all.iter().position(|b| b.key == key) {
                        tell(&all.swap_remove(at), Change::Left);
                    }
                }
                Update::Put(binding) => {
                    let old = all.iter().position(|b| b.key == binding.key).map(|at| all.swap_remove(at));
                    if old.is_none_or(|o| o.device != binding.device) {
                        tell(&binding, Change::Registered);
                    }
                    if all.len() >= self.config.max_per_account
                        && let Some(at) =
                            all.iter().enumerate().min_by_key(|(_, b)| b.expires).map(|(at, _)| at)
                    {
                        tell(&all.swap_remove(at), Change::Lost);
                    }
                    all.push(*binding);
                }
            }
        }
        self.count += all.len();
        self.set(account.clone(), all);
        Ok(out)
    }

    /// When the next binding ends.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes away what has ended.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Changed> {
        let mut out = Vec::new();
        while let Some((_, account)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            self.keep(&account, |b| b.expires > now, &mut out);
        }
        out
    }

    /// A connection is gone, and with it the devices that can be reached only by it. The others may be called anew.
    pub(crate) fn closed(&mut self, conn: ConnId) -> Vec<Changed> {
        let mut out = Vec::new();
        for account in self.conns.remove(&conn).unwrap_or_default() {
            let all = self.accounts.get_mut(&account).into_iter().flatten();
            for binding in all.filter(|b| b.flow.conn == Some(conn) && !b.needs_connection()) {
                binding.flow.conn = None;
            }
            self.keep(&account, |b| b.flow.conn != Some(conn), &mut out);
        }
        out
    }

    fn keep(&mut self, account: &Arc<str>, keep: impl Fn(&Binding) -> bool, out: &mut Vec<Changed>) {
        self.unset(account);
        let Some(mut all) = self.accounts.remove(account) else { return };
        self.count -= all.len();
        all.retain(|binding| {
            let stays = keep(binding);
            if !stays {
                let (account, device) = (account.clone(), binding.device.clone());
                out.push(Changed { account, device, change: Change::Lost });
            }
            stays
        });
        self.count += all.len();
        self.set(account.clone(), all);
    }

    fn set(&mut self, account: Arc<str>, all: Vec<Binding>) {
        for conn in all.iter().filter_map(|b| b.flow.conn) {
            self.conns.entry(conn).or_default().insert(account.clone());
        }
        if let Some(at) = all.iter().map(|b| b.expires).min() {
            self.due.insert((at, account.clone()));
            self.accounts.insert(account, all);
        }
    }

    fn unset(&mut self, account: &Arc<str>) {
        let first = self.accounts.get(account).and_then(|all| all.iter().map(|b| b.expires).min());
        if let Some(at) = first {
            self.due.remove(&(at, account.clone()));
        }
    }
}
