//! One media line of a leg at its edge: addresses, the RTP session, counters. SRTP will protect and unprotect here.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cau_model::ParticipantId;
use cau_rtp::{
    Packet, Session,
    nack::{History, Keep},
    packet::{self, Class},
    rtcp, rtx,
    session::{self, Notice},
    stream::Outgoing,
};
use smallvec::SmallVec;

use super::{latch::Latch, pace::Pace};
use crate::{
    Media, Port, Transmit,
    command::{Rtx, Stream},
    dropped::{Dropped, Told},
    out::Out,
};

/// Media for somebody who was named and not heard is sent for so long.
const UNHEARD: Duration = Duration::from_secs(5);

/// A copy follows so long after the packet it repeats, the second two more of these after the first: beyond what a fade takes along, and
/// within what receivers wait for packets that were overtaken.
const COPY: Duration = Duration::from_millis(15);

/// How long after the packet its n-th copy follows, from 1.
fn follows(n: u32) -> Duration {
    COPY * (n * (n + 1) / 2)
}

/// What a datagram held.
pub enum Input {
    /// RTP packets to be used, in order.
    Packets(SmallVec<[Packet; 1]>),
    /// A packet that was sent again in a stream of its own.
    Repair(Packet),
    /// RTCP.
    Notices(Vec<Notice>),
}

/// What [`Line::new`] needs beside the description.
#[derive(Clone, Debug)]
pub struct Origin {
    /// SDES CNAME.
    pub cname: String,
    /// One moment on both clocks.
    pub wall: (Instant, SystemTime),
    /// Of SSRC, sequence, time stamps.
    pub seed: u64,
}

/// One media line.
pub struct Line {
    media: Media,
    /// Streams both ways and RTCP.
    pub session: Session,
    rtp: Latch,
    rtcp: Latch,
    stream: Stream,
    heard: Instant,
    negotiated: Instant,
    /// Nothing is sent: see [`Line::watch_target`].
    muzzled: bool,
    rx: Window,
    tx: Window,
    loss: Loss,
    /// What may be asked for again, where that was negotiated.
    history: Option<History>,
    /// Repairs go out so, where that was negotiated; else as they were.
    rtx: Option<(u8, rtx::Sender)>,
    /// Payload types of repairs that come in, and of what they repair.
    rtx_recv: SmallVec<[(u8, u8); 2]>,
    seed: u64,
    told: Told,
    /// How fast packets may leave, where it matters.
    pace: Option<Pace>,
    /// How often each packet is sent.
    copies: u32,
}

impl Line {
    /// A line as negotiated; `clock_rate` of its time stamps, Hz; `kbps`: what RTCP takes its 5 % of.
    pub fn new(
        now: Instant,
        media: Media,
        stream: &Stream,
        clock_rate: u32,
        kbps: u32,
        origin: Origin,
    ) -> Self {
        let config = session::Config {
            clock_rate,
            cname: origin.cname,
            name: None,
            kbps,
            reduced_size: false,
            wall: origin.wall,
            seed: origin.seed,
        };
        Self {
            media,
            session: Session::new(now, config),
            rtp: Latch::new(stream.remote, stream.peer),
            rtcp: Latch::new(stream.remote_rtcp, stream.peer),
            stream: stream.clone(),
            heard: now,
            negotiated: now,
            muzzled: false,
            rx: Window::new(now),
            tx: Window::new(now),
            loss: Loss::default(),
            history: None,
            rtx: None,
            rtx_recv: SmallVec::new(),
            seed: origin.seed,
            told: Told::default(),
            pace: None,
            copies: 1,
        }
    }

    /// Spreads what is sent at once, for a stream of that many kbit/s.
    pub fn set_pace(&mut self, kbps: u32) {
        self.pace.get_or_insert_with(|| Pace::new(kbps)).set_kbps(kbps);
    }

    /// Sends each packet so often from now on: 1, once.
    pub fn set_copies(&mut self, copies: u32) {
        self.copies = copies.max(1);
    }

    /// Keeps what is sent, so that it can be sent again; or does not any more.
    pub fn keep_history(&mut self, keep: bool) {
        match (keep, &self.history) {
            (true, None) => self.history = Some(History::new(Keep::default())),
            (false, Some(_)) => self.history = None,
            _ => {}
        }
    }

    /// How repairs go both ways, as negotiated.
    pub fn set_rtx(&mut self, rtx: Option<&Rtx>) {
        let seed = self.seed ^ 0x7274_7800;
        let before = self.rtx.take().map(|(_, sender)| sender);
        self.rtx = rtx.map(|rtx| (rtx.pt_send, before.unwrap_or_else(|| rtx::Sender::new(seed))));
        self.rtx_recv = rtx.map(|rtx| rtx.pt_recv.iter().copied().collect()).unwrap_or_default();
        self.session.set_companion(self.rtx.as_ref().map(|(_, sender)| sender.ssrc()));
    }

    /// SSRCs of what is sent.
    pub fn sources(&self) -> impl Iterator<Item = u32> {
        let repairs = self.rtx.as_ref().map(|(_, sender)| sender.ssrc());
        std::iter::once(self.session.sender.ssrc()).chain(repairs)
    }

    /// Sends packets again that the far end misses.
    pub fn repeat(&mut self, now: Instant, participant: ParticipantId, lost: &[u16], out: &mut Out) {
        let Some(history) = self.history.as_mut().filter(|_| self.stream.send) else { return };
        let port = Port { participant, media: self.media, rtcp: false };
        // Asked for before its copies can have come.
        let rtt = self.session.sender.rtt().unwrap_or_default();
        let under_way = |at: Instant| {
            self.copies > 1 && now.saturating_duration_since(at) < follows(self.copies - 1) + rtt
        };
        for seq in lost {
            if history.sent_at(*seq).is_some_and(under_way) {
                continue;
            }
            let Some(packet) = history.again(*seq) else { continue };
            let packet = match &mut self.rtx {
                Some((pt, sender)) => sender.wrap(&packet, *pt),
                None => packet,
            };
            packet.write(&mut out.arena);
            let data = out.arena.split().freeze();
            self.tx.add(data.len());
            out.totals.packets_out += 1;
            out.totals.repeated += 1;
            out.send(port, self.rtp.target(), data);
        }
    }

    /// Different packets the far end has asked for again.
    pub fn missed(&self) -> u64 {
        self.history.as_ref().map(History::missed).unwrap_or_default()
    }

    /// Negotiated anew.
    pub fn update(&mut self, now: Instant, stream: &Stream) {
        self.rtp.renew(stream.remote, stream.peer);
        self.rtcp.renew(stream.remote_rtcp, stream.peer);
        self.stream = stream.clone();
        self.heard = now;
        self.negotiated = now;
        self.muzzled = false;
    }

    /// Media for an address other than the caller's own, from which nothing has come, is sent for a few seconds only: anybody could name
    /// somebody else's there. True when that has changed.
    pub fn watch_target(&mut self, now: Instant) -> bool {
        let elsewhere = self.rtp.target().ip().to_canonical() != self.stream.peer.to_canonical();
        let unheard = self.rtp.source().is_none() && self.rtcp.source().is_none();
        let late = now.saturating_duration_since(self.negotiated) >= UNHEARD;
        let muzzled = elsewhere && unheard && late;
        std::mem::replace(&mut self.muzzled, muzzled) != muzzled
    }

    /// We may send.
    pub fn can_send(&self) -> bool {
        self.stream.send && !self.muzzled
    }

    /// The far end may send.
    pub fn can_receive(&self) -> bool {
        self.stream.recv
    }

    /// Takes a datagram. `known` says which payload types were negotiated.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        rtcp: bool,
        data: Bytes,
        known: impl Fn(u8) -> bool,
        out: &mut Out,
    ) -> Option<Input> {
        let class = packet::classify(&data);
        match class {
            Class::Rtp if !rtcp => {}
            Class::Rtcp => return self.receive_rtcp(now, from, rtcp, &data, out),
            // STUN and the like: keep-alives of devices that hope for more.
            _ => {
                out.totals.dropped_malformed += 1;
                return None;
            }
        }
        let size = data.len();
        let Ok(packet) = Packet::parse(data) else {
            out.totals.dropped_malformed += 1;
            return None;
        };
        let repairs = self.rtx_recv.iter().find(|(pt, _)| *pt == packet.pt).map(|(_, of)| *of);
        if repairs.is_none() && !known(packet.pt) {
            out.totals.dropped_payload_type += 1;
            return None;
        }
        if !self.rtp.accept(now, from) {
            out.totals.dropped_source += 1;
            return None;
        }
        out.totals.packets_in += 1;
        self.heard = now;
        self.rx.add(size);
        if !self.stream.recv {
            out.totals.dropped_unexpected += 1;
            return None;
        }
        match repairs {
            // Not received as far as reports are concerned: they tell how the line is (RFC 4588 5.2).
            Some(pt) => rtx::unwrap(packet, pt, self.session.receiver.ssrc()?).map(Input::Repair),
            None => Some(Input::Packets(self.session.receive(now, packet))),
        }
    }

    fn receive_rtcp(
        &mut self,
        now: Instant,
        from: SocketAddr,
        on_rtcp: bool,
        data: &[u8],
        out: &mut Out,
    ) -> Option<Input> {
        let compound = rtcp::parse(data);
        if compound.items.is_empty() {
            out.totals.dropped_malformed += 1;
            return None;
        }
        // Reports are too rare to tell by their silence that a sender has gone: what counts is that they come from where the
        // media comes from.
        let known = self.rtp.source();
        let neighbour = known.is_some_and(|rtp| rtp.ip() == from.ip());
        let taken = if on_rtcp {
            let named = neighbour || from == self.stream.remote_rtcp;
            if named {
                self.rtcp.take(now, from);
            }
            named || known.is_none() && self.rtcp.accept(now, from)
        } else {
            // On the RTP port, negotiated or not.
            neighbour || known.is_none() && self.rtp.accept(now, from)
        };
        if !taken {
            out.totals.dropped_source += 1;
            return None;
        }
        self.heard = now;
        Some(Input::Notices(self.session.handle_rtcp(now, data)))
    }

    /// Sends RTP packets that belong together: as few transmissions as their sizes allow.
    pub fn send<'a>(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        packets: impl Iterator<Item = Outgoing<'a>>,
        out: &mut Out,
    ) {
        let port = Port { participant, media: self.media, rtcp: false };
        let to = self.rtp.target();
        let most = if self.pace.is_some() { PACED_SEGMENTS } else { SEGMENTS };
        let mut batch = Batch::new(most);
        for outgoing in packets {
            let packet = self.session.send(now, outgoing);
            let size = packet.wire_len();
            self.tx.add(size);
            out.totals.packets_out += 1;
            if let Some(history) = &mut self.history {
                history.push(now, packet.clone());
            }
            if !batch.takes(size) {
                self.give(now, port, to, batch.take(), out);
            }
            packet.write(&mut out.arena);
            batch.added(size);
        }
        self.give(now, port, to, batch.take(), out);
    }

    fn give(&mut self, now: Instant, port: Port, to: SocketAddr, batch: Batch, out: &mut Out) {
        if batch.count == 0 {
            return;
        }
        let bytes = batch.bytes * self.copies as usize;
        let at = self.pace.as_mut().map_or(now, |pace| pace.leave(now, bytes));
        let data = out.arena.split().freeze();
        let segment = (batch.count > 1).then_some(batch.segment);
        let transmit = Transmit { port, to, data, segment };
        for n in 1..self.copies {
            self.tx.add(batch.bytes);
            out.totals.packets_out += batch.count as u64;
            out.totals.copies += batch.count as u64;
            out.send_at(now, at + follows(n), transmit.clone());
        }
        out.send_at(now, at, transmit);
    }

    /// Sends the RTCP that is due.
    pub fn send_rtcp(&mut self, now: Instant, participant: ParticipantId, out: &mut Out) {
        while let Some(data) = self.session.poll_rtcp(now) {
            if !self.muzzled {
                self.give_rtcp(participant, data, out);
            }
        }
    }

    /// Sends the last RTCP.
    pub fn bye(&mut self, now: Instant, participant: ParticipantId, out: &mut Out) {
        let data = self.session.goodbye(now);
        self.give_rtcp(participant, data, out);
    }

    fn give_rtcp(&mut self, participant: ParticipantId, data: Vec<u8>, out: &mut Out) {
        let mux = self.stream.rtcp_mux;
        let to = if mux { self.rtp.target() } else { self.rtcp_target() };
        out.send(Port { participant, media: self.media, rtcp: !mux }, to, Bytes::from(data));
    }

    fn rtcp_target(&self) -> SocketAddr {
        let to = self.rtcp.target();
        match (self.rtcp.source(), self.rtp.source()) {
            // Media comes from elsewhere than it was said to, and no RTCP has come yet: the port above is the best guess.
            (None, Some(rtp)) if rtp.ip() != to.ip() => {
                SocketAddr::new(rtp.ip(), rtp.port().checked_add(1).unwrap_or(rtp.port()))
            }
            _ => to,
        }
    }

    /// When the last datagram came (or the line was negotiated).
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// kbit/s in and out since the last call, with RTP headers.
    pub fn take_rates(&mut self, now: Instant) -> (f32, f32) {
        (self.rx.take(now), self.tx.take(now))
    }

    /// What the session dropped since the last call.
    pub fn take_dropped(&mut self) -> Dropped {
        let (stream, reports) = (self.session.receiver.counters(), self.session.counters());
        self.told.news(Dropped {
            duplicate: stream.duplicate,
            late: stream.stale,
            unproved: stream.foreign,
            rtcp: reports.malformed,
            unknown_rtcp: reports.skipped,
            repetition: self.history.as_ref().map(History::refused).unwrap_or_default(),
            ..Dropped::default()
        })
    }

    /// Packets expected and lost since the last call.
    pub fn take_loss(&mut self) -> (u64, u64) {
        let stats = self.session.receiver.stats();
        self.loss.take(stats.ssrc, stats.expected, stats.lost)
    }
}

/// Datagrams of equal size at the end of the arena; the last may be shorter.
struct Batch {
    bytes: usize,
    segment: usize,
    count: usize,
    closed: bool,
    most: usize,
}

/// Segments of one transmission at most (the kernel's limit for GSO).
const SEGMENTS: usize = 64;
/// Segments of one transmission where what leaves together is bounded.
const PACED_SEGMENTS: usize = 8;

impl Batch {
    fn new(most: usize) -> Self {
        Self { bytes: 0, segment: 0, count: 0, closed: false, most }
    }

    fn takes(&self, size: usize) -> bool {
        self.count == 0
            || (!self.closed && size <= self.segment && self.count < self.most && self.bytes + size <= 60_000)
    }

    fn added(&mut self, size: usize) {
        if self.count == 0 {
            self.segment = size;
        } else if size < self.segment {
            self.closed = true;
        }
        self.count += 1;
        self.bytes += size;
    }

    /// What was gathered; goes on empty.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.most))
    }
}

/// Bytes since the last look.
struct Window {
    bytes: usize,
    since: Instant,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { bytes: 0, since: now }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    fn take(&mut self, now: Instant) -> f32 {
        let time = now.saturating_duration_since(self.since).max(Duration::from_millis(1));
        let kbps = self.bytes as f32 * 8.0 / 1000.0 / time.as_secs_f32();
        *self = Self::new(now);
        kbps
    }
}

/// Expected and lost packets at the last look.
#[derive(Default)]
struct Loss {
    ssrc: Option<u32>,
    expected: u64,
    lost: i64,
}

impl Loss {
    fn take(&mut self, ssrc: Option<u32>, expected: u64, lost: i64) -> (u64, u64) {
        if self.ssrc != ssrc {
            *self = Self { ssrc, expected: 0, lost: 0 };
        }
        let result = (expected.saturating_sub(self.expected), u64::try_from(lost - self.lost).unwrap_or(0));
        (self.expected, self.lost) = (expected, lost);
        result
    }
}
