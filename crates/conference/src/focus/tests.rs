//! The focus with a real SIP endpoint on the other side, a recording of the mixer's commands, and a virtual clock.

mod bench;
mod bringing;
mod calls;
mod dialling;
mod linking;
mod loading;
mod operators;
mod proving;
mod reports;
mod restart;
mod watching;

use super::*;
