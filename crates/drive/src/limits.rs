//! What the operating system allows this process.

use std::io;

/// Raises the soft limit of open files to the hard limit: every participant holds up to four sockets.
///
/// Returns the limit in force. Errors when the system refuses to tell or to change it.
pub fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(rlimit::INFINITY)
}
