//! Natural pictures and voices that are built in: the six sites of the demo. Sources and licences: `assets/demo/NOTICE.md`.

use bytes::Bytes;

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
