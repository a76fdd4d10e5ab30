//! Callers of the benchmarks: natural pictures with the judged bar in them, tones of their own.

use std::sync::Arc;

use cau_codec::clip::Clip;
use cau_load::{
    Codec, Persona, Plan, Reel,
    clip::{Library, Pattern, Shape, Video},
};
use cau_rtp::h264::Mode;
use cau_sip::{Uri, sdp::h264::Receive};
use cau_tests::Server;

/// Natural reels, one per demo clip, and the sounds.
pub struct Cast {
    reels: Vec<Reel>,
    /// What is sent instead when the bridge limits the rate.
    lower: Reel,
    library: Library,
}

/// Who a caller is.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Number of the caller.
    pub n: usize,
    /// Talks, or sends silence.
    pub talks: bool,
    /// Speaks in turn with so many others, instead of sounding all the time.
    pub speech: Option<usize>,
    /// Codec of the sound.
    pub codec: Codec,
    /// Sends and receives pictures.
    pub pictures: bool,
    /// Decodes and judges what comes.
    pub decodes: bool,
}

impl Cast {
    /// Encodes the reels (some seconds of work).
    pub fn new() -> Self {
        Self::of(crate::clips().len())
    }

    /// With so many identities, at most eight; those that are more than there are clips show one with another's bar.
    pub fn of(identities: usize) -> Self {
        let clips = crate::clips();
        let reels = clips
            .iter()
            .cycle()
            .take(identities)
            .enumerate()
            .map(|(id, file)| {
                let pictures: Vec<_> = Clip::open(file)
                    .expect("a clip")
                    .map_while(Result::ok)
                    .take(150)
                    .map(|s| s.picture)
                    .collect();
                // Who is seen by all sends 2 Mbit/s, the others half of that.
                let kbps = if id == 0 { 2_000 } else { 1_000 };
                let shape = Shape { frames: 150, kbps, ..Shape::hd(Mode::NonInterleaved) };
                let video = Video::judged(id as u8, shape, &Pattern::Natural(&pictures)).expect("encoded");
                Reel { fragmented: Some(Arc::new(video)), ..Reel::default() }
            })
            .collect();
        let library = Library::default();
        let low = Shape { width: 320, height: 180, kbps: 100, ..Shape::hd(Mode::NonInterleaved) };
        let lower = Reel { fragmented: Some(library.video(7, low).expect("encoded")), ..Reel::default() };
        Self { reels, lower, library }
    }

    /// A caller of a meeting. The first ones have an identity of their own, so that delays can be measured; the first one sends 2 Mbit/s.
    pub fn part(&self, server: &Server, room: &str, part: &Part) -> Plan {
        let own = part.n.min(self.reels.len() - 1);
        let mut plan = self.plan(server, room, own, part.codec, part.decodes);
        plan.user = format!("bench{}", part.n);
        plan.name = Some(format!("Điểm cầu {}", part.n));
        plan.max_kbps = 3_000;
        plan.reel =
            plan.reel.filter(|_| part.pictures).map(|reel| Reel { lower: vec![self.lower.clone()], ..reel });
        let sound = match (part.talks, part.speech) {
            (false, _) => self.library.silence(part.codec),
            (true, Some(of)) => self.library.speech(part.n, of, part.codec),
            (true, None) => self.library.sound(plan.id, part.codec),
        };
        plan.sound = vec![(part.codec, sound.expect("a sound"))];
        plan
    }

    /// Caller number `n` of a room.
    pub fn plan(&self, server: &Server, room: &str, n: usize, codec: Codec, decodes: bool) -> Plan {
        let id = (n % self.reels.len()) as u8;
        Plan {
            target: Uri::parse(server.uri(room).as_bytes()).expect("an address"),
            remote: None,
            user: format!("bench{n}"),
            name: Some(format!("Điểm cầu {n}")),
            id,
            sound: vec![(codec, self.library.sound(id, codec).expect("a sound"))],
            reel: self.reels.get(usize::from(id)).cloned(),
            receive: Receive::HD720,
            max_kbps: 2_000,
            persona: Persona { modes: cau_load::Modes::One, ..Persona::default() },
            decodes,
            redials: false,
        }
    }
}
