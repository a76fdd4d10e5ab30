//! Levels of H.264 (ITU-T H.264 Table A-1).

use super::Limits;

/// A level, in the order of what it demands. Levels are bounds, never to be compared for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the numbers of the standard")]
pub enum Level {
    L1,
    L1b,
    L1_1,
    L1_2,
    L1_3,
    L2,
    L2_1,
    L2_2,
    L3,
    L3_1,
    L3_2,
    L4,
    L4_1,
    L4_2,
    L5,
    L5_1,
    L5_2,
    L6,
    L6_1,
    L6_2,
}

/// Level, level_idc, MaxMBPS, MaxFS, MaxDpbMbs, MaxBR (1000 bit/s).
const TABLE: [(Level, u8, u32, u32, u32, u32); 20] = [
    (Level::L1, 10, 1_485, 99, 396, 64),
    (Level::L1b, 11, 1_485, 99, 396, 128),
    (Level::L1_1, 11, 3_000, 396, 900, 192),
    (Level::L1_2, 12, 6_000, 396, 2_376, 384),
    (Level::L1_3, 13, 11_880, 396, 2_376, 768),
    (Level::L2, 20, 11_880, 396, 2_376, 2_000),
    (Level::L2_1, 21, 19_800, 792, 4_752, 4_000),
    (Level::L2_2, 22, 20_250, 1_620, 8_100, 4_000),
    (Level::L3, 30, 40_500, 1_620, 8_100, 10_000),
    (Level::L3_1, 31, 108_000, 3_600, 18_000, 14_000),
    (Level::L3_2, 32, 216_000, 5_120, 20_480, 20_000),
    (Level::L4, 40, 245_760, 8_192, 32_768, 20_000),
    (Level::L4_1, 41, 245_760, 8_192, 32_768, 50_000),
    (Level::L4_2, 42, 522_240, 8_704, 34_816, 50_000),
    (Level::L5, 50, 589_824, 22_080, 110_400, 135_000),
    (Level::L5_1, 51, 983_040, 36_864, 184_320, 240_000),
    (Level::L5_2, 52, 2_073_600, 36_864, 184_320, 240_000),
    (Level::L6, 60, 4_177_920, 139_264, 696_320, 240_000),
    (Level::L6_1, 61, 8_355_840, 139_264, 696_320, 480_000),
    (Level::L6_2, 62, 16_711_680, 139_264, 696_320, 800_000),
];

impl Level {
    /// The level a `level_idc` byte means; an unknown value means the next level below. Level 1b of the profiles 66, 77 and 88 is
    /// 11 with constraint_set3_flag; see [`super::ProfileLevelId::level`].
    pub fn from_idc(idc: u8) -> Self {
        if idc == 9 {
            return Self::L1b;
        }
        let known = TABLE.iter().rev().find(|row| row.1 <= idc && row.0 != Self::L1b);
        known.map_or(Self::L1, |row| row.0)
    }

    /// The `level_idc` byte; 11 for level 1b.
    pub fn idc(self) -> u8 {
        self.row().1
    }

    /// What a decoder of this level can take.
    pub fn limits(self) -> Limits {
        let (_, _, max_mbps, max_fs, max_dpb_mbs, max_br_kbps) = self.row();
        Limits {
            max_mbps,
            max_fs,
            max_dpb_mbs,
            max_br_kbps,
            max_smbps: max_mbps,
            max_nal_bytes: None,
            max_fps: None,
        }
    }

    /// The highest level a receiver of that frame size (macroblocks) and rate (macroblocks per second) covers; level 1 when
    /// it covers none.
    pub fn within(max_fs: u32, max_mbps: u32) -> Self {
        let fits = TABLE.iter().rev().find(|row| row.2 <= max_mbps && row.3 <= max_fs && row.0 != Self::L1b);
        fits.map_or(Self::L1, |row| row.0)
    }

    fn row(self) -> (Self, u8, u32, u32, u32, u32) {
        TABLE.into_iter().find(|row| row.0 == self).unwrap_or((Self::L1, 10, 1_485, 99, 396, 64))
    }
}
