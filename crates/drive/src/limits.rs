//! What the operating system allows this process.

use std::io;

/// Raises the soft limit of open files to the hard limit: every participant holds up to four sockets.
///
/// Returns the limit in force. Errors when the system refuses to tell or to change it.
pub fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(rlimit::INFINITY)
}

/// Niceness of the threads that carry packets and sound.
const URGENT: i32 = -10;

/// Lets the calling thread go before others: when time is short, pictures are left out and sound is not. Without the right to
/// (`CAP_SYS_NICE`, or `LimitNICE=` of the service) it stays as it is.
pub fn be_urgent() {
    if let Err(e) = rustix::process::nice(URGENT) {
        tracing::debug!("packets and sound run no more urgently than pictures: {e}");
    }
}
