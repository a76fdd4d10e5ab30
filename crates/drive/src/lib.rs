//! Clock, sockets, timers and threads: the only crate that touches the world. It runs the sans-IO cores.
//!
//! - [`addresses`]: the machine's own addresses.
//! - [`clock`]: monotonic time for the cores and the wall clock it corresponds to.
//! - [`media`]: threads that own RTP sockets and run one media core each (batched with GRO and GSO).
//! - [`pool`]: threads for work on pixels, which may take milliseconds.
//! - [`ports`]: RTP/RTCP port pairs, bound per call.
//! - [`signal`]: the SIP sockets (UDP, TCP) and the loop around the signalling core.
//! - [`drops`]: what the sockets lose.
//! - [`limits`]: what the operating system allows this process.
//! - [`load`]: how busy its threads are.

pub mod addresses;
pub mod clock;
pub mod drops;
pub mod limits;
pub mod load;
pub mod locate;
pub mod media;
pub mod pool;
pub mod ports;
pub mod signal;

pub use clock::Clock;
