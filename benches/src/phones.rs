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
    library: Library,
}

impl Cast {
    /// Encodes the reels (some seconds of work).
    pub fn new() -> Self {
        let reels = crate::clips()
            .iter()
            .enumerate()
            .map(|(id, file)| {
                let pictures: Vec<_> = Clip::open(file)
                    .expect("a clip")
                    .map_while(Result::ok)
                    .take(150)
                    .map(|s| s.picture)
                    .collect();
                let shape = Shape { frames: 150, ..Shape::hd(Mode::NonInterleaved) };
                let video = Video::judged(id as u8, shape, &Pattern::Natural(&pictures)).expect("encoded");
                Reel { fragmented: Some(Arc::new(video)), ..Reel::default() }
            })
            .collect();
        Self { reels, library: Library::default() }
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
