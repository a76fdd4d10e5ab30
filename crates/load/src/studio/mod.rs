//! Media of all phones: one core per media thread, run by `cau_drive::media`.

mod beacons;
mod leg;
mod stats;
mod watching;
mod way;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cau_drive::media;
use cau_sip::sdp::Negotiated;

use crate::plan::{PhoneId, Plan};
pub(crate) use beacons::Beacons;
pub(crate) use leg::EyeSender;
use leg::Leg;
pub use stats::{Line, Stats};

/// The least time between two turns of a phone.
const BREATH: Duration = Duration::from_micros(500);

/// A turn that is later than this is told of.
const LATE: Duration = Duration::from_millis(10);

/// One socket of one phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    /// Whose.
    pub phone: PhoneId,
    /// Pictures, or sound.
    pub video: bool,
    /// RTCP, or RTP.
    pub rtcp: bool,
}

/// What signalling tells the studio.
#[derive(Debug)]
pub enum Command {
    /// A phone with its clips.
    Open(PhoneId, Box<Plan>),
    /// Agreed, anew or for the first time.
    Agreed(PhoneId, Box<Negotiated>),
    /// INFO asks for a key frame.
    KeyFrame(PhoneId),
    /// Over.
    Close(PhoneId),
}

/// What the studio tells.
#[derive(Debug)]
pub enum Event {
    /// Figures of a phone, every second and at its end.
    Stats(PhoneId, Box<Stats>),
    /// The picture is hurt and RTCP did not help: INFO.
    AskInfo(PhoneId),
    /// The phones of this thread did something so much later than they should have: the machine is too busy for figures to mean much.
    Late(Duration),
}

/// The media core of some phones.
pub struct Studio {
    legs: HashMap<PhoneId, Leg>,
    /// When each leg wants its turn; stale entries are skipped.
    due: BinaryHeap<Reverse<(Instant, PhoneId)>>,
    out: VecDeque<media::Transmit<Port>>,
    events: VecDeque<Event>,
    wall: (Instant, SystemTime),
    sights: Vec<EyeSender>,
    beacons: Arc<Beacons>,
    seed: u64,
    /// Phones to which something worth a turn has come since their last: a picture of eight packets is looked at once.
    touched: Vec<PhoneId>,
    now: Instant,
    /// How late the latest turn of all was.
    late: Duration,
}

impl Studio {
    /// `wall`: one moment on both clocks; `sights`: where decoding phones send what they receive, one for each eye.
    pub fn new(
        wall: (Instant, SystemTime),
        sights: Vec<EyeSender>,
        beacons: Arc<Beacons>,
        seed: u64,
    ) -> Self {
        Self {
            legs: HashMap::new(),
            due: BinaryHeap::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            wall,
            sights,
            beacons,
            seed,
            touched: Vec::new(),
            now: wall.0,
            late: Duration::ZERO,
        }
    }

    /// Phones that got something look at it.
    fn settle(&mut self) {
        let now = self.now;
        let mut touched = std::mem::take(&mut self.touched);
        for phone in touched.drain(..) {
            if let Some(leg) = self.legs.get_mut(&phone) {
                leg.touched = false;
            }
            self.turn(now, phone);
        }
        self.touched = touched;
    }

    /// Lets a leg do what is due, and notes when it wants its next turn.
    fn turn(&mut self, now: Instant, phone: PhoneId) {
        let Some(leg) = self.legs.get_mut(&phone) else { return };
        leg.handle_timeout(now, &mut self.out, &mut self.events);
        // Never twice at one moment, so that no timer can keep the thread to itself.
        let next = leg.poll_timeout().max(now + BREATH);
        if leg.scheduled != Some(next) {
            leg.scheduled = Some(next);
            self.due.push(Reverse((next, phone)));
        }
    }
}

impl media::Core for Studio {
    type Port = Port;
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, at: Instant, port: Port, _from: SocketAddr, data: Bytes) {
        self.now = now;
        if let Some(leg) = self.legs.get_mut(&port.phone)
            // Measured is what came, not how late this driver looked.
            && leg.handle_packet(at, port, data)
            && !std::mem::replace(&mut leg.touched, true)
        {
            self.touched.push(port.phone);
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Open(phone, plan) => {
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let eye = self.sights.get(phone.0 as usize % self.sights.len().max(1));
                let sight = eye.cloned().filter(|_| plan.decodes);
                let beacons = self.beacons.clone();
                self.legs.insert(phone, Leg::new(now, phone, plan, self.wall, sight, beacons, self.seed));
                self.turn(now, phone);
            }
            Command::Agreed(phone, agreed) => {
                if let Some(leg) = self.legs.get_mut(&phone) {
                    leg.agree(now, &agreed);
                }
                self.turn(now, phone);
            }
            Command::KeyFrame(phone) => {
                if let Some(leg) = self.legs.get_mut(&phone) {
                    leg.asked(now, cau_rtp::keyframe::Heard::Info);
                }
                self.turn(now, phone);
            }
            Command::Close(phone) => {
                if let Some(mut leg) = self.legs.remove(&phone) {
                    leg.goodbye(now, &mut self.out);
                    leg.leave_sight();
                    self.events.push_back(Event::Stats(phone, Box::new(leg.stats(now))));
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(Reverse((at, phone))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now)
        {
            self.due.pop();
            self.late = self.late.max(now.saturating_duration_since(at));
            if let Some(leg) = self.legs.get_mut(&phone).filter(|leg| leg.scheduled == Some(at)) {
                leg.scheduled = None;
                self.turn(now, phone);
            }
        }
        if self.late > LATE {
            self.events.push_back(Event::Late(std::mem::take(&mut self.late)));
        }
    }

    fn handle_wake(&mut self, _now: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    fn poll_transmit(&mut self) -> Option<media::Transmit<Port>> {
        self.settle();
        self.out.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
