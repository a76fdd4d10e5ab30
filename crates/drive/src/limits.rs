//! What the operating system allows this process.

use std::io;

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Raises the soft limit of open files to the hard limit: every participant holds up to four sockets.
///
/// Returns the limit in force. Errors when the system refuses to tell or to change it.
pub fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(rlimit::INFINITY)
}

/// Real-time priority (1–99) of the threads that carry packets and sound: above whatever has none, below what the system keeps for itself.
const REAL_TIME: u8 = 10;
/// Their niceness where there is no right to real time.
const URGENT: i32 = -10;

/// Lets the calling thread go before others: when time is short, pictures are left out and sound is not. In real time (`SCHED_RR`) where
/// the system allows it (`CAP_SYS_NICE`, or `LimitRTPRIO=` of the service), else by niceness (`LimitNICE=`), else it stays as it is.
pub fn be_urgent() -> Urgency {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let priority = ThreadPriorityValue::try_from(REAL_TIME).map(ThreadPriority::Crossplatform);
    let id = thread_native_id();
    let refused = match priority.map(|p| set_thread_priority_and_policy(id, p, policy)) {
        Ok(Ok(())) => return Urgency::RealTime,
        Ok(Err(e)) => format!("{e:?}"),
        Err(e) => e.to_owned(),
    };
    match rustix::process::nice(URGENT) {
        Ok(_) => Urgency::Nice,
        Err(e) => {
            tracing::debug!("packets and sound run no more urgently than pictures: {refused}, {e}");
            Urgency::None
        }
    }
}

/// What the system allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Before everything that is not real time itself.
    RealTime,
    /// A larger share.
    Nice,
    /// Nothing.
    None,
}
