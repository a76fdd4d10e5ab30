//! Simulated endpoints with real media: a SIP phone, thousands of it on a few threads, and what they saw, heard and measured.
//!
//! ```text
//!  Plan ─▶ Fleet ─┬─ signalling thread: Desk ── sip::Endpoint (one for all phones)
//!                 ├─ media threads:     Studio ─ one Leg a phone: clip → RTP out, RTP in → figures
//!                 └─ eye thread:        decodes for one phone in K: who is in which seat, who is heard
//!                        └──▶ Records ─▶ report
//! ```
//!
//! [`Fleet`] is the phone of the end-to-end tests too; [`run`] is `cau load`, [`demo::run`] the six sites of `cau demo`.

mod cli;
pub mod clip;
pub mod demo;
mod desk;
mod eye;
pub mod fleet;
pub mod hear;
pub mod pattern;
mod persona;
mod plan;
mod plot;
pub mod process;
mod record;
pub mod report;
mod run;
mod studio;
mod timing;

pub use cli::{Args, run};
pub use eye::{Look, Sight};
pub use fleet::{Fleet, Options};
pub use persona::{KeyFrames, Modes, Persona, Road};
pub use plan::{Codec, PhoneId, Plan, Reel};
pub use record::{Record, Records, State};
pub use studio::{Line, Stats};
pub use timing::Delays;
