//! The registrar: where the devices of our accounts are to be found (RFC 3261 10, RFC 3327, RFC 5626 4.2).
//!
//! [`Registrar`] is the table alone; the endpoint reads REGISTER requests, checks who sent them and answers.
//!
//! A binding is known by the device's `+sip.instance` and `reg-id` where it has them, so that a device that comes back from
//! another port replaces itself; else by its address. Requests to a device go where its REGISTER came from when the address it
//! names cannot be reached from here (NAT), over the same connection when it has one, and through the proxies of its Path.

mod binding;
mod contact;
mod table;

use std::time::Duration;

use crate::message::Host;

pub(crate) use binding::Binding;
pub use binding::Device;
pub(crate) use contact::{Asked, Wish, read};
pub(crate) use table::{Registrar, Update};

/// Settings of the registrar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our domains. None: a device may name us as it likes, and `sip:user@domain` is found under our realm and our addresses.
    pub domains: Vec<Host>,
    /// Time of a binding when the device names none, and the longest that is granted.
    pub max_expires: Duration,
    /// Shorter ones are answered 423.
    pub min_expires: Duration,
    /// Most devices of one account; the one that would end first makes room.
    pub max_per_account: usize,
    /// Most bindings altogether; further ones are answered 503.
    pub max_bindings: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            max_expires: Duration::from_secs(3600),
            min_expires: Duration::from_secs(60),
            max_per_account: 10,
            max_bindings: 20_000,
        }
    }
}

/// A device came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which account.
    pub account: std::sync::Arc<str>,
    /// The device.
    pub device: Device,
    /// What happened.
    pub change: Change,
}

/// What happened to a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new, or was to be found elsewhere before.
    Registered,
    /// The device signed off.
    Left,
    /// It did not come back in time, its connection broke, or another device took its place.
    Lost,
}

#[cfg(test)]
mod tests;
