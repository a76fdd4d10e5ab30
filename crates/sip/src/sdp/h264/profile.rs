//! Profiles and `profile-level-id` (RFC 6184 8.1, Table 5).

use std::fmt;

use super::Level;

/// A sub-profile: a set of coding tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// What Baseline and Main have in common. Every decoder takes it; it is what we send.
    ConstrainedBaseline,
    /// With FMO and ASO, which nobody uses: in practice what a device means by it is constrained baseline.
    Baseline,
    /// CABAC, B pictures, interlace.
    Main,
    /// SP/SI pictures, data partitioning; not decodable here.
    Extended,
    /// 8×8 transform.
    High,
    /// High 10, 4:2:2, 4:4:4, scalable, unknown; not decodable here.
    Other,
}

impl Profile {
    /// What our decoder takes.
    pub const RECEIVABLE: [Self; 4] = [Self::ConstrainedBaseline, Self::Baseline, Self::Main, Self::High];

    /// Whether a decoder of this profile decodes a stream of `stream`.
    pub fn decodes(self, stream: Self) -> bool {
        use Profile::{Baseline, ConstrainedBaseline, Extended, High, Main};
        match stream {
            ConstrainedBaseline => true,
            Baseline => matches!(self, Baseline | Extended),
            Main => matches!(self, Main | High),
            _ => self == stream,
        }
    }
}

/// The three bytes of `profile-level-id`: profile_idc, constraint flags, level_idc.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileLevelId(pub [u8; 3]);

/// constraint_set3_flag: level 1b when level_idc is 11 in the profiles 66, 77 and 88.
const SET3: u8 = 0x10;

impl ProfileLevelId {
    /// What a missing parameter means: Baseline without constraints, level 1 (RFC 6184 8.1).
    pub const ABSENT: Self = Self([0x42, 0x00, 10]);
    /// Constrained Baseline with a level yet to be set.
    pub const CONSTRAINED_BASELINE: Self = Self([0x42, 0xe0, 10]);
    /// High with a level yet to be set.
    pub const HIGH: Self = Self([0x64, 0x00, 10]);

    /// Reads hexadecimal digits of either case. Five digits are `428` + `0` + `D` written without the leading zero of the level
    /// (TANDBERG MXP); four leave level 1; what follows the sixth is passed over. Anything else: `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let byte = |from: usize, to: usize| text.get(from..to).and_then(|d| u8::from_str_radix(d, 16).ok());
        let level = match text.len() {
            4 => 10,
            5 => byte(4, 5)?,
            _ => byte(4, 6)?,
        };
        Some(Self([byte(0, 2)?, byte(2, 4)?, level]))
    }

    /// The sub-profile of Table 5.
    pub fn profile(self) -> Profile {
        let Self([idc, iop, _]) = self;
        let (set0, set1) = (iop & 0x80 != 0, iop & 0x40 != 0);
        match idc {
            0x42 if set1 => Profile::ConstrainedBaseline,
            0x42 => Profile::Baseline,
            0x4d if set0 => Profile::ConstrainedBaseline,
            0x4d => Profile::Main,
            0x58 if set0 && set1 => Profile::ConstrainedBaseline,
            0x58 if set0 => Profile::Baseline,
            0x58 => Profile::Extended,
            0x64 => Profile::High,
            _ => Profile::Other,
        }
    }

    /// The level; level 1b is written in two ways (RFC 6184 8.2.2).
    pub fn level(self) -> Level {
        let Self([idc, iop, level]) = self;
        if level == 11 && iop & SET3 != 0 && Self::has_old_1b(idc) {
            Level::L1b
        } else {
            Level::from_idc(level)
        }
    }

    /// The same profile with another level.
    pub fn with_level(self, level: Level) -> Self {
        let Self([idc, iop, _]) = self;
        match level {
            Level::L1b if Self::has_old_1b(idc) => Self([idc, iop | SET3, 11]),
            Level::L1b => Self([idc, iop, 9]),
            _ if Self::has_old_1b(idc) => Self([idc, iop & !SET3, level.idc()]),
            _ => Self([idc, iop, level.idc()]),
        }
    }

    fn has_old_1b(idc: u8) -> bool {
        matches!(idc, 66 | 77 | 88)
    }
}

impl fmt::Display for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([idc, iop, level]) = self;
        write!(f, "{idc:02x}{iop:02x}{level:02x}")
    }
}

impl fmt::Debug for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
