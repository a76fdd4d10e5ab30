//! Where encoded pictures come from: an encoder of ours, or a site whose own pictures are passed on.

use std::{sync::Arc, time::Instant};

use super::output::{Encoded, Output};
use crate::{job::Task, ring::Ring, source::Relay};

/// Somebody who makes [`Encoded`] pictures for any number of receivers.
#[derive(Clone)]
pub enum Supply {
    /// An encoder.
    Encoder(Arc<Task<Output>>),
    /// A site's own pictures.
    Relay(Arc<Relay>),
}

impl Supply {
    /// What was made.
    pub fn ring(&self) -> &Ring<Encoded> {
        match self {
            Self::Encoder(output) => &output.ring,
            Self::Relay(relay) => &relay.ring,
        }
    }

    /// Is it the same one?
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Encoder(a), Self::Encoder(b)) => Arc::ptr_eq(a, b),
            (Self::Relay(a), Self::Relay(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Asks for a key frame; may be called as often as one likes.
    pub fn request_key(&self) {
        match self {
            Self::Encoder(output) => output.request_key(),
            Self::Relay(relay) => relay.request_key(),
        }
    }

    /// The same, sooner after the last one where that is ours to say: nobody else pays for it.
    pub fn request_key_soon(&self) {
        match self {
            Self::Encoder(output) => output.request_key_soon(),
            Self::Relay(relay) => relay.request_key(),
        }
    }

    /// Pictures made so far.
    pub fn made(&self) -> u64 {
        match self {
            Self::Encoder(output) => output.made(),
            Self::Relay(relay) => relay.made(),
        }
    }

    /// Time of the last key frame.
    pub fn last_key(&self) -> Option<Instant> {
        match self {
            Self::Encoder(output) => output.last_key(),
            Self::Relay(relay) => relay.last_key(),
        }
    }

    /// The encoder, when it is one.
    pub fn encoder(&self) -> Option<&Arc<Task<Output>>> {
        match self {
            Self::Encoder(output) => Some(output),
            Self::Relay(_) => None,
        }
    }
}
