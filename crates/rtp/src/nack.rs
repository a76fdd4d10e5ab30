//! Retransmission without a stream of its own (RFC 4585 6.2.1): asking for what is missing, and keeping what may be asked for.
//!
//! A packet is sent again as it was, byte for byte.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::packet::Packet;

/// A packet is asked for this often at most.
const TRIES: u32 = 4;
/// Missing packets followed at most; more is no loss but a break.
const MAX_MISSING: usize = 128;
/// Round trip assumed before one was measured.
const RTT: Duration = Duration::from_millis(60);
/// A packet that is only overtaken comes within this time.
const OVERTAKEN: Duration = Duration::from_millis(5);

#[derive(Debug)]
struct Missing {
    seq: u16,
    tries: u32,
    next: Instant,
}

/// Time between two datagrams of feedback (`rtcp::schedule`).
const FEEDBACK: Duration = Duration::from_millis(50);
/// Packets asked for before it is judged whether asking helps.
const JUDGED: u64 = 40;

/// How long nothing is asked when it has not helped.
const REST: Duration = Duration::from_secs(30);

/// Decides which missing packets to ask for now.
#[derive(Debug, Default)]
pub struct Asker {
    missing: Vec<Missing>,
    asked: u64,
    /// Different packets asked for since the last judgement, and how many had been given up then.
    round: (u64, u64),
    useless: bool,
    /// When the next round begins although asking was useless.
    anew: Option<Instant>,
}

impl Asker {
    /// `missing`: every packet that is waited for now; `lost`: packets given up so far. Gives those to ask for: a moment after the gap was
    /// seen, then once a round trip.
    pub fn poll(&mut self, now: Instant, missing: &[u16], lost: u64, rtt: Option<Duration>) -> Vec<u16> {
        self.judge(now, lost);
        if self.useless {
            return Vec::new();
        }
        self.missing.retain(|m| missing.contains(&m.seq));
        for seq in missing.iter().take(MAX_MISSING) {
            if !self.missing.iter().any(|m| m.seq == *seq) {
                self.missing.push(Missing { seq: *seq, tries: 0, next: now + OVERTAKEN });
            }
        }
        let again = rtt.unwrap_or(RTT).max(Duration::from_millis(10)) * 3 / 2;
        let due = self.missing.iter_mut().filter(|m| m.tries < TRIES && now >= m.next);
        let ask: Vec<u16> = due
            .map(|m| {
                self.round.0 += u64::from(m.tries == 0);
                m.tries += 1;
                m.next = now + again;
                m.seq
            })
            .collect();
        self.asked += ask.len() as u64;
        ask
    }

    /// Devices that promise retransmission and do not keep it are not waited for; that it was the line is found out by trying again.
    fn judge(&mut self, now: Instant, lost: u64) {
        if self.anew.take_if(|at| *at <= now).is_some() {
            (self.useless, self.round) = (false, (0, lost));
            self.missing.clear();
        }
        let (asked, before) = self.round;
        if asked >= JUDGED {
            self.useless = (lost - before.min(lost)) * 4 > asked * 3;
            self.round = (0, lost);
            self.anew = self.useless.then(|| now + REST);
        }
    }

    /// Asking has not helped: it is not worth waiting either.
    pub fn is_useless(&self) -> bool {
        self.useless
    }

    /// Requests for packets so far.
    pub fn asked(&self) -> u64 {
        self.asked
    }
}

/// How long a gap is worth waiting for when its packets are asked for: two tries at this round trip, each of which may have to wait for
/// its datagram.
pub fn patience(rtt: Option<Duration>) -> Duration {
    (rtt.unwrap_or(RTT) * 3 + Duration::from_millis(30)).clamp(FEEDBACK * 3, Duration::from_millis(400))
}

/// Bounds of what is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// How long.
    pub time: Duration,
    /// Packets.
    pub packets: usize,
    /// Share of the bytes sent that may be sent again, per cent.
    pub percent: usize,
}

impl Default for Keep {
    /// One second of 4 Mbit/s; a quarter may be sent twice.
    fn default() -> Self {
        Self { time: Duration::from_secs(1), packets: 512, percent: 25 }
    }
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    packet: Packet,
    missed: bool,
}

/// What was sent of late. Payloads are shared with whoever else sends them.
#[derive(Debug)]
pub struct History {
    keep: Keep,
    sent: VecDeque<Sent>,
    /// Bytes that may be sent again.
    allowance: usize,
    refused: u64,
    missed: u64,
}

/// The allowance is never more: a line that was good for long must not be flooded when it becomes bad.
const MAX_ALLOWANCE: usize = 64 * 1024;
/// What a new line may repeat at once: its first key frame.
const FIRST_ALLOWANCE: usize = 32 * 1024;

impl History {
    /// Nothing sent yet.
    pub fn new(keep: Keep) -> Self {
        Self { keep, sent: VecDeque::new(), allowance: FIRST_ALLOWANCE, refused: 0, missed: 0 }
    }

    /// A packet was sent.
    pub fn push(&mut self, now: Instant, packet: Packet) {
        self.allowance = (self.allowance + packet.wire_len() * self.keep.percent / 100).min(MAX_ALLOWANCE);
        self.sent.push_back(Sent { at: now, packet, missed: false });
        while self.sent.len() > self.keep.packets
            || self.sent.front().is_some_and(|s| now.saturating_duration_since(s.at) > self.keep.time)
        {
            self.sent.pop_front();
        }
    }

    /// When the packet of this number was sent, when it is still there.
    pub fn sent_at(&self, seq: u16) -> Option<Instant> {
        self.sent.iter().rev().find(|s| s.packet.seq == seq).map(|s| s.at)
    }

    /// The packet of this number again, when it is still there and the allowance is not used up.
    pub fn again(&mut self, seq: u16) -> Option<Packet> {
        let sent = self.sent.iter_mut().rev().find(|s| s.packet.seq == seq)?;
        self.missed += u64::from(!std::mem::replace(&mut sent.missed, true));
        let Some(left) = self.allowance.checked_sub(sent.packet.wire_len()) else {
            self.refused += 1;
            return None;
        };
        self.allowance = left;
        Some(sent.packet.clone())
    }

    /// Packets that were asked for, each counted once however often that was: what the line has lost.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Packets not sent again because too many were.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn what_is_missing_is_asked_for_after_a_moment_then_once_a_round_trip_and_four_times_at_most() {
        let (t, mut asker) = (start(), Asker::default());
        let rtt = Some(ms(40));
        assert!(asker.poll(t, &[7, 8], 0, rtt).is_empty(), "it may only be overtaken");
        assert_eq!(asker.poll(t + ms(5), &[7, 8], 0, rtt), [7, 8]);
        assert!(asker.poll(t + ms(40), &[7, 8], 0, rtt).is_empty());
        assert_eq!(asker.poll(t + ms(65), &[8], 0, rtt), [8], "7 has come");
        let later: usize = (2..50).map(|i| asker.poll(t + ms(65 * i), &[8], 0, rtt).len()).sum();
        assert_eq!(later, 2);
        assert_eq!(asker.asked(), 5);
        assert!(asker.poll(t + ms(9000), &[], 0, rtt).is_empty());
    }

    #[test]
    fn a_device_that_promises_and_does_not_repeat_is_not_waited_for() {
        let (t, mut asker) = (start(), Asker::default());
        for i in 0..45u16 {
            let at = t + ms(u64::from(i) * 200);
            asker.poll(at, &[i], u64::from(i), None);
            asker.poll(at + ms(5), &[i], u64::from(i), None);
        }
        assert!(asker.is_useless());
        assert!(asker.poll(t + ms(20_000), &[99], 45, None).is_empty());
        assert!(asker.poll(t + ms(40_000), &[100], 45, None).is_empty(), "it may only be overtaken");
        assert_eq!(asker.poll(t + ms(40_010), &[100], 45, None), [100], "another try after half a minute");
    }

    /// Of 3,000 packets lost on a line that loses 10 % both ways and takes `rtt`, how many come back in time when feedback goes 20 times a second.
    fn repaired(rtt: Duration) -> usize {
        use rand::{RngExt, SeedableRng, rngs::SmallRng};
        let mut rng = SmallRng::seed_from_u64(7);
        let mut passes = || rng.random::<f64>() >= 0.1;
        (0..3_000u16)
            .filter(|n| {
                let (t, mut asker) = (start(), Asker::default());
                let (mut waiting, mut came) = (false, None);
                // The last datagram before the loss left up to 50 ms ago.
                let mut next = t + ms(u64::from(*n) % 50);
                for at in (0..patience(Some(rtt)).as_millis() as u64).map(|k| t + ms(k)) {
                    waiting |= !asker.poll(at, &[*n], 0, Some(rtt)).is_empty();
                    if waiting && at >= next {
                        (waiting, next) = (false, at + FEEDBACK);
                        came = came.or_else(|| (passes() && passes()).then_some(at + rtt));
                    }
                }
                came.is_some_and(|at| at < t + patience(Some(rtt)))
            })
            .count()
    }

    #[test]
    fn two_tries_fit_into_the_patience_whatever_the_round_trip() {
        for rtt in [1, 5, 20, 40, 80] {
            let share = repaired(ms(rtt)) as f64 / 3_000.0;
            assert!(share > 0.93, "{rtt} ms: {share}");
        }
    }

    fn packet(seq: u16, bytes: usize) -> Packet {
        let mut data = vec![0x80, 96];
        data.extend(seq.to_be_bytes());
        data.extend([0; 8]);
        data.extend(vec![1; bytes]);
        Packet::parse(Bytes::from(data)).unwrap()
    }

    #[test]
    fn packets_of_the_last_second_are_sent_again_as_they_were_within_the_allowance() {
        let (t, mut history) = (start(), History::new(Keep::default()));
        for i in 0..200u16 {
            history.push(t + ms(u64::from(i) * 10), packet(65_500u16.wrapping_add(i), 1000));
        }
        assert_eq!(history.again(65_500), None, "older than a second");
        assert_eq!(history.again(163), Some(packet(163, 1000)));
        let got = (0..1000).filter(|_| history.again(150).is_some()).count();
        assert!((50..=64).contains(&got), "{got} of 1,000");
        assert!(history.refused() > 900);
        assert_eq!(history.missed(), 2, "each counted once: 163 and 150");
        history.push(t + ms(3100), packet(500, 1000));
        assert_eq!(history.again(163), None);
    }
}
