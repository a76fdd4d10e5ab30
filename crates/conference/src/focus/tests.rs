//! The focus with a real SIP endpoint on the other side, a recording of the mixer's commands, and a virtual clock.

mod bench;
mod calls;
mod operators;
mod reports;
mod watching;

use super::*;
