//! Natural pictures and voices that are built in: the six sites of the demo. Sources and licences: `assets/demo/NOTICE.md`.

use bytes::Bytes;
use cau_codec::audio::RATE;

use super::{Error, sound::read_wav};

/// How long one site talks before the next one does; what it says is shorter, so there is a pause between two.
pub const TURN_SECONDS: usize = 8;

/// One site.
#[derive(Debug)]
pub struct Site {
    /// For SIP addresses.
    pub user: &'static str,
    /// For people.
    pub name: &'static str,
    picture: &'static [u8],
    /// A WAV file, 16 kHz, mono.
    pub voice: &'static [u8],
}

impl Site {
    /// An H.264 byte stream (Annex B) of 1280×720, 30 pictures a second, 8 s.
    pub fn pictures(&self) -> Bytes {
        Bytes::from_static(self.picture)
    }
}

macro_rules! site {
    ($file:literal, $name:literal) => {
        Site {
            user: $file,
            name: $name,
            picture: include_bytes!(concat!("../../../../assets/demo/", $file, ".h264")),
            voice: include_bytes!(concat!("../../../../assets/demo/", $file, ".wav")),
        }
    };
}

/// All of them.
pub static SITES: [Site; 6] = [
    site!("ha-noi", "Điểm cầu Hà Nội"),
    site!("dak-lak", "Tỉnh Đắk Lắk"),
    site!("buon-ma-thuot", "Thành phố Buôn Ma Thuột"),
    site!("hoa-phu", "Xã Hòa Phú"),
    site!("o-cho-dua", "Phường Ô Chợ Dừa"),
    site!("ly-son", "Huyện đảo Lý Sơn"),
];

/// One round of a table of `of` sites, 48 kHz: silence but for the turn of site number `turn`, who says what site `turn` of [`SITES`] says.
///
/// # Errors
/// Never with what is built in.
pub fn round(turn: usize, of: usize) -> Result<Vec<i16>, Error> {
    let length = TURN_SECONDS * RATE as usize;
    let mut round = vec![0; of.max(1) * length];
    let said = read_wav(SITES[turn % SITES.len()].voice)?;
    for (place, sample) in round.iter_mut().skip(turn % of.max(1) * length).zip(said.into_iter().take(length))
    {
        *place = sample;
    }
    Ok(round)
}
