//! Sequence parameter sets (ITU-T H.264 7.3.2.1.1, Annex E): what a stream asks of a decoder.

use super::nal::{Bits, kind};

/// What a sequence parameter set says. Sizes in luma samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sps {
    /// Its number, 0–31.
    pub id: u8,
    /// profile_idc: 66 baseline, 77 main, 88 extended, 100 high.
    pub profile: u8,
    /// The byte of constraint flags, set0 in the top bit.
    pub constraints: u8,
    /// level_idc: ten times the level, 9 or 11 with constraint set3 for level 1b.
    pub level: u8,
    /// Width after cropping.
    pub width: u32,
    /// Height after cropping.
    pub height: u32,
    /// Macroblocks in a row.
    pub mb_width: u32,
    /// Macroblock rows of a frame.
    pub mb_height: u32,
    /// chroma_format_idc: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma: u8,
    /// Bits per luma sample.
    pub bit_depth: u8,
    /// Reference frames, 0–16.
    pub num_ref_frames: u8,
    /// Field or macroblock-adaptive coding may occur.
    pub interlaced: bool,
    /// pic_order_cnt_type; 2 means output order is decoding order.
    pub poc_type: u8,
    /// max_num_reorder_frames of the VUI, where it is given.
    pub reorder: Option<u8>,
    /// max_dec_frame_buffering of the VUI, where it is given.
    pub dec_frame_buffering: Option<u8>,
    /// Frames per second times 1,000 from the VUI timing, where it is given and sane.
    pub fps_milli: Option<u32>,
}

/// Why bytes are no sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another type of NAL unit.
    #[error("not a sequence parameter set")]
    Kind,
    /// It ends before its fields do.
    #[error("sequence parameter set is cut off")]
    Short,
    /// A field is out of its range.
    #[error("sequence parameter set: {0} out of range")]
    Range(&'static str),
}

impl Sps {
    /// Reads a whole NAL unit, header byte first.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let (&head, body) = nal.split_first().ok_or(Error::Short)?;
        if head & 0x1f != kind::SPS {
            return Err(Error::Kind);
        }
        Self::fields(&mut Bits::new(body))
    }

    fn fields(b: &mut Bits<'_>) -> Result<Self, Error> {
        let s = Error::Short;
        let profile = b.bits(8).ok_or(s)? as u8;
        let constraints = b.bits(8).ok_or(s)? as u8;
        let level = b.bits(8).ok_or(s)? as u8;
        let id = small(b.ue(), 31, "id")?;
        let (mut chroma, mut bit_depth) = (1, 8);
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma = small(b.ue(), 3, "chroma format")?;
            if chroma == 3 {
                b.bit().ok_or(s)?;
            }
            bit_depth = 8 + small(b.ue(), 6, "bit depth")?;
            small(b.ue(), 6, "bit depth")?;
            b.bit().ok_or(s)?;
            if b.bit().ok_or(s)? {
                scaling_matrix(b, if chroma == 3 { 12 } else { 8 })?;
            }
        }
        small(b.ue(), 12, "frame number bits")?;
        let poc_type = small(b.ue(), 2, "order count type")?;
        match poc_type {
            0 => {
                small(b.ue(), 12, "order count bits")?;
            }
            1 => {
                b.bit().ok_or(s)?;
                b.se().ok_or(s)?;
                b.se().ok_or(s)?;
                for _ in 0..small(b.ue(), 255, "order count cycle")? {
                    b.se().ok_or(s)?;
                }
            }
            _ => {}
        }
        let num_ref_frames = small(b.ue(), 16, "reference frames")?;
        b.bit().ok_or(s)?;
        let side =
            |v: Option<u32>| v.ok_or(s)?.checked_add(1).filter(|n| *n <= 1_024).ok_or(Error::Range("size"));
        let mb_width = side(b.ue())?;
        let map_units = side(b.ue())?;
        let frame_mbs_only = b.bit().ok_or(s)?;
        let mb_height = map_units * if frame_mbs_only { 1 } else { 2 };
        if !frame_mbs_only {
            b.bit().ok_or(s)?;
        }
        b.bit().ok_or(s)?;
        let (mut width, mut height) = (mb_width * 16, mb_height * 16);
        if b.bit().ok_or(s)? {
            let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
            let unit_y = if chroma == 1 { 2 } else { 1 } * if frame_mbs_only { 1 } else { 2 };
            let mut edge = || b.ue().ok_or(s).map(u64::from);
            let x = (edge()? + edge()?) * unit_x;
            let y = (edge()? + edge()?) * unit_y;
            let cut = |size: u32, off: u64| {
                u32::try_from(off).ok().and_then(|o| size.checked_sub(o)).filter(|n| *n > 0)
            };
            width = cut(width, x).ok_or(Error::Range("cropping"))?;
            height = cut(height, y).ok_or(Error::Range("cropping"))?;
        }
        let mut sps = Self {
            id,
            profile,
            constraints,
            level,
            width,
            height,
            mb_width,
            mb_height,
            chroma,
            bit_depth,
            num_ref_frames,
            interlaced: !frame_mbs_only,
            poc_type,
            reorder: None,
            dec_frame_buffering: None,
            fps_milli: None,
        };
        // A VUI that ends early (seen from devices) costs what it says, not the set.
        if b.bit() == Some(true) {
            let _ = vui(b, &mut sps);
        }
        Ok(sps)
    }

    /// Macroblocks of a frame: what max-fs counts.
    pub fn macroblocks(&self) -> u32 {
        self.mb_width * self.mb_height
    }

    /// Macroblocks a second at `fps` frames a second: what max-mbps counts.
    pub fn macroblocks_per_second(&self, fps: u32) -> u32 {
        self.macroblocks().saturating_mul(fps)
    }

    /// The most frames a decoder may have to hold back before output. 0 for baseline and for order count type 2, what the VUI says where
    /// it says something, else unknown (None): then B-frames are possible.
    pub fn reorder_depth(&self) -> Option<u8> {
        self.reorder.or_else(|| (self.poc_type == 2 || self.profile == 66).then_some(0))
    }

    /// The three bytes of `profile-level-id`.
    pub fn profile_level_id(&self) -> [u8; 3] {
        [self.profile, self.constraints, self.level]
    }
}

fn small(v: Option<u32>, max: u8, what: &'static str) -> Result<u8, Error> {
    u8::try_from(v.ok_or(Error::Short)?).ok().filter(|v| *v <= max).ok_or(Error::Range(what))
}

fn scaling_matrix(b: &mut Bits<'_>, lists: usize) -> Result<(), Error> {
    for i in 0..lists {
        if !b.bit().ok_or(Error::Short)? {
            continue;
        }
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..if i < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + b.se().ok_or(Error::Short)?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Ok(())
}

/// ITU-T H.264 E.1.1.
fn vui(b: &mut Bits<'_>, sps: &mut Sps) -> Option<()> {
    if b.bit()? && b.bits(8)? == 255 {
        b.bits(32)?; // aspect ratio, written out
    }
    if b.bit()? {
        b.bit()?; // overscan
    }
    if b.bit()? {
        b.bits(4)?; // video format, full range
        if b.bit()? {
            b.bits(24)?; // colours
        }
    }
    if b.bit()? {
        b.ue()?; // chroma position
        b.ue()?;
    }
    if b.bit()? {
        let units = u64::from(b.bits(32)?);
        let scale = u64::from(b.bits(32)?);
        b.bit()?;
        sps.fps_milli = (scale * 500)
            .checked_div(units)
            .and_then(|f| u32::try_from(f).ok())
            .filter(|f| (1..=300_000).contains(f));
    }
    let nal_hrd = b.bit()?;
    if nal_hrd {
        hrd(b)?;
    }
    let vcl_hrd = b.bit()?;
    if vcl_hrd {
        hrd(b)?;
    }
    if nal_hrd || vcl_hrd {
        b.bit()?;
    }
    b.bit()?;
    if b.bit()? {
        b.bit()?;
        for _ in 0..4 {
            b.ue()?;
        }
        let reorder = u8::try_from(b.ue()?).ok().filter(|n| *n <= 16)?;
        let buffering = u8::try_from(b.ue()?).ok().filter(|n| *n <= 16)?;
        sps.reorder = Some(reorder);
        sps.dec_frame_buffering = Some(buffering);
    }
    Some(())
}

fn hrd(b: &mut Bits<'_>) -> Option<()> {
    let count = b.ue()?.min(32);
    b.bits(8)?;
    for _ in 0..=count {
        b.ue()?;
        b.ue()?;
        b.bit()?;
    }
    b.bits(20)?;
    Some(())
}
