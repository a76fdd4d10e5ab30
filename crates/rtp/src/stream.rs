//! One incoming and one outgoing RTP stream: order, sources, counts, reports.

mod receiver;
mod sender;

pub use receiver::{Counters, Receiver, Stats};
pub use sender::{Outgoing, Sender};
