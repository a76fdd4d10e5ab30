//! Eyes and ears of phones that really decode: who is in which seat, broken or frozen, and who is heard.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use cau_codec::{
    audio,
    video::{
        Decode as _, Decoder, Image as _, Picture,
        decode::{Damage, Limits},
    },
};
use cau_rtp::{Packet, h264::Unit};
use crossbeam_channel::Receiver;

use crate::{
    clip::Sound,
    hear,
    pattern::{self, Tile},
    plan::{Codec, PhoneId},
    record::Records,
    studio::Beacons,
    timing::{Clockwork, Delays},
};

/// Looks kept of one phone: the newest; a minute and a half at 30 pictures a second.
const LOOKS: usize = 2_700;
/// Seconds of hearing kept.
const SECONDS: usize = 3_600;

/// Silence that ends a second of hearing.
const PAUSE: Duration = Duration::from_millis(300);

/// What a phone received, on its way to the eye.
pub(crate) enum Seen {
    /// A picture's NAL units.
    Unit { phone: PhoneId, unit: Box<Unit> },
    /// A packet of sound.
    Sound { phone: PhoneId, at: Instant, codec: Codec, packet: Packet },
    /// The phone hung up.
    Gone(PhoneId),
}

/// One decoded picture.
#[derive(Clone, Debug)]
pub struct Look {
    /// When its last packet came.
    pub at: Instant,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Patterns in it.
    pub tiles: Vec<Tile>,
    /// Not what was encoded.
    pub damaged: bool,
}

/// What a decoding phone saw and heard.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The newest pictures, oldest first.
    pub looks: VecDeque<Look>,
    /// Pictures decoded.
    pub pictures: u64,
    /// Access units the decoder refused, those before the first key frame left out.
    pub errors: u64,
    /// What it said of the last one, and when that came.
    pub last_error: Option<(Instant, String)>,
    /// And of the first one.
    pub first_error: Option<(Instant, String)>,
    /// Pictures that were damaged, or built upon damaged ones.
    pub damaged: u64,
    /// Tiles seen, and those of them whose bar could not be read.
    pub tiles: (u64, u64),
    /// Who was heard in each second, one bit per identity, and when the second began.
    pub seconds: Vec<(Instant, u8)>,
    /// The newest picture.
    pub picture: Option<Picture>,
    /// How long pictures and sound took.
    pub delays: Delays,
}

impl Sight {
    /// Looks from `from` on.
    pub fn since(&self, from: Instant) -> impl Iterator<Item = &Look> {
        self.looks.iter().filter(move |l| l.at >= from)
    }

    /// When a picture first showed this identity with a readable bar after `from`.
    pub fn first_with(&self, id: u8, from: Instant) -> Option<Instant> {
        self.since(from).find(|l| l.tiles.iter().any(|t| t.bar.is_some_and(|(i, _)| i == id))).map(|l| l.at)
    }

    /// The longest time an identity's counter stood still after `from` while it was seen.
    pub fn longest_freeze(&self, id: u8, from: Instant) -> Duration {
        let mut last: Option<(u16, Instant)> = None;
        let mut longest = Duration::ZERO;
        for look in self.since(from) {
            let Some((_, n)) = look.tiles.iter().filter_map(|t| t.bar).find(|(i, _)| *i == id) else {
                last = None;
                continue;
            };
            match last {
                Some((same, began)) if same == n => {
                    longest = longest.max(look.at.saturating_duration_since(began))
                }
                _ => last = Some((n, look.at)),
            }
        }
        longest
    }
}

#[derive(Default)]
struct Senses {
    decoder: Option<Decoder>,
    ssrc: Option<u32>,
    ear: Option<(Codec, Box<dyn audio::Decode>)>,
    samples: Vec<i16>,
    second_began: Option<Instant>,
    last_sound: Option<Instant>,
    clockwork: Clockwork,
    /// Columns of the grid natural pictures were last found in.
    columns: Option<usize>,
}

/// Decodes and judges until every sender of `inbox` is gone; results go into `records`.
pub(crate) fn watch(inbox: &Receiver<Seen>, records: &Arc<Mutex<Records>>, beacons: &Beacons) {
    let mut senses: HashMap<PhoneId, Senses> = HashMap::new();
    let with = |phone: PhoneId, change: &mut dyn FnMut(&mut Sight)| {
        if let Some(record) = records.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&phone) {
            change(&mut record.sight);
        }
    };
    for seen in inbox {
        match seen {
            Seen::Gone(phone) => {
                senses.remove(&phone);
            }
            Seen::Sound { phone, at, codec, packet } => {
                let senses = senses.entry(phone).or_default();
                if let Some(heard) = senses.listen(at, codec, &packet, beacons) {
                    let mut delays = senses.clockwork.take();
                    with(phone, &mut |sight| {
                        if sight.seconds.len() < SECONDS {
                            sight.seconds.push(heard);
                        }
                        sight.delays.add(std::mem::take(&mut delays));
                    });
                }
            }
            Seen::Unit { phone, unit } => {
                let senses = senses.entry(phone).or_default();
                let outcome = senses.look(&unit);
                if let Ok(Some((look, _))) = &outcome {
                    let bars = look.tiles.iter().filter_map(|t| t.bar);
                    bars.for_each(|bar| senses.clockwork.saw(beacons, bar, look.at));
                }
                with(phone, &mut |sight| match &outcome {
                    Ok(Some((look, picture))) => {
                        sight.pictures += 1;
                        sight.damaged += u64::from(look.damaged);
                        sight.tiles.0 += look.tiles.len() as u64;
                        sight.tiles.1 += look.tiles.iter().filter(|t| t.bar.is_none()).count() as u64;
                        if sight.looks.len() == LOOKS {
                            sight.looks.pop_front();
                        }
                        sight.looks.push_back(look.clone());
                        sight.picture = Some(picture.clone());
                    }
                    Ok(None) => {}
                    Err(e) => {
                        sight.errors += 1;
                        sight.last_error = Some((unit.arrived, e.clone()));
                        sight.first_error.get_or_insert((unit.arrived, e.clone()));
                    }
                });
            }
        }
    }
}

impl Senses {
    /// A look at a picture; `Err` when the decoder refused a picture it should have taken.
    fn look(&mut self, unit: &Unit) -> Result<Option<(Look, Picture)>, String> {
        if self.decoder.is_none() {
            self.decoder = Some(Decoder::new(Limits::default()).map_err(|e| e.to_string())?);
        }
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        if self.ssrc.replace(unit.ssrc).is_some_and(|old| old != unit.ssrc) {
            decoder.reset();
        }
        let decoded = match decoder.decode(&unit.nals, i64::from(unit.timestamp)) {
            Ok(Some(decoded)) => decoded,
            Ok(None) | Err(cau_codec::video::decode::Error::NoKey) => return Ok(None),
            Err(e) => {
                let nals: Vec<String> = unit
                    .nals
                    .iter()
                    .map(|n| format!("{}:{}", n.first().map_or(0, |b| b & 31), n.len()))
                    .collect();
                return Err(format!(
                    "{e}; NAL units (type:bytes) {}, timestamp {}, damaged {}",
                    nals.join(" "),
                    unit.timestamp,
                    unit.damaged
                ));
            }
        };
        let picture = decoded.picture;
        let look = Look {
            at: unit.arrived,
            size: (picture.width(), picture.height()),
            tiles: judge(&picture, &mut self.columns),
            damaged: unit.damaged || decoded.damage != Damage::None,
        };
        Ok(Some((look, picture)))
    }

    /// One packet of sound; gives who was heard when a second is full.
    fn listen(
        &mut self,
        at: Instant,
        codec: Codec,
        packet: &Packet,
        beacons: &Beacons,
    ) -> Option<(Instant, u8)> {
        if self.ear.as_ref().is_none_or(|(c, _)| *c != codec) {
            self.ear = audio::decoder(codec.audio()).ok().map(|d| (codec, d));
        }
        let (_, decoder) = self.ear.as_mut()?;
        if self.last_sound.replace(at).is_some_and(|last| at.saturating_duration_since(last) > PAUSE) {
            // A hold: what is half a second of before and half of after says nothing.
            self.samples.clear();
            self.clockwork.rest();
            self.second_began = None;
        }
        let began = *self.second_began.get_or_insert(at);
        let before = self.samples.len();
        decoder.decode(&packet.payload, &mut self.samples).ok()?;
        self.clockwork.heard(beacons, self.samples.get(before..)?, at, lag(codec));
        if self.samples.len() < audio::RATE as usize {
            return None;
        }
        let samples: Vec<f32> = self.samples.iter().map(|s| f32::from(*s) / 32_768.0).collect();
        self.samples.clear();
        self.second_began = None;
        Some((began, hear::heard(&samples, audio::RATE)))
    }
}

/// How late coding and decoding put the beginning of a burst, as [`hear::burst`] finds it: measured once per codec.
fn lag(codec: Codec) -> Duration {
    static LAGS: [OnceLock<Duration>; 4] = [const { OnceLock::new() }; 4];
    *LAGS[codec as usize].get_or_init(|| measured_lag(codec).unwrap_or_default())
}

fn measured_lag(codec: Codec) -> Option<Duration> {
    let sound = Sound::judged(0, codec).ok()?;
    let mut decoder = audio::decoder(codec.audio()).ok()?;
    let mut samples = Vec::new();
    // One second and a half from the middle of one on: its burst begins after half a second.
    for place in 25..100 {
        decoder.decode(sound.frame(place), &mut samples).ok()?;
    }
    let samples: Vec<f32> = samples.iter().map(|s| f32::from(*s) / 32_768.0).collect();
    let begins = hear::burst(&samples, audio::RATE, 0, 0)?;
    let late = begins as f64 / f64::from(audio::RATE) - 0.5;
    Some(Duration::from_secs_f64(late.max(0.0)))
}

/// The patterns of a picture: by colour, or – over natural pictures – by bars where layouts put them. `columns`: where they were last.
fn judge(picture: &Picture, columns: &mut Option<usize>) -> Vec<Tile> {
    if let Some(found) = columns.map(|columns| natural(picture, columns)).filter(|tiles| !tiles.is_empty()) {
        return found;
    }
    *columns = None;
    let found = pattern::tiles(picture);
    if found.iter().any(|t| t.bar.is_some()) {
        return found;
    }
    for count in 1..=4usize {
        let natural = natural(picture, count);
        if !natural.is_empty() {
            *columns = Some(count);
            return natural;
        }
    }
    found
}

/// Bars in the middle of the tiles of a square grid.
fn natural(picture: &Picture, columns: usize) -> Vec<Tile> {
    let planes = picture.planes();
    let (w, h) = (planes.width as usize / columns, planes.height as usize / columns);
    let part = |v: usize, of: u32| v as f32 / of as f32;
    (0..columns * columns)
        .filter_map(|seat| {
            let (x, y) = (seat % columns * w, seat / columns * h);
            let bar = pattern::read_bar(&planes, [x, y, x + w, y + h])?;
            let place = [
                part(x, planes.width),
                part(y, planes.height),
                part(x + w, planes.width),
                part(y + h, planes.height),
            ];
            Some(Tile { colour: bar.0, bar: Some(bar), place })
        })
        .collect()
}
