//! How large a message may be.

/// Limits of one message, both directions of trouble: memory and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of start line and headers.
    pub head: usize,
    /// Header fields, counted per line.
    pub headers: usize,
    /// Bytes of the body; above it 413.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 32 * 1024, headers: 256, body: 64 * 1024 }
    }
}
