//! H.264 to pictures.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use ffmpeg_next::ffi;

use super::gaps;
use super::nal;
use super::picture::{Canvas, Picture};
use crate::libav::{self, Context, Frame, Packet};

/// One source's decoder. A trait, so that a decoder in a process of its own can stand behind it as well.
pub trait Decode: Send {
    /// Decodes one access unit: NAL units without start codes, in order. `timestamp` is handed back with the picture (any clock). Gives a picture
    /// when one is ready: with B pictures an earlier one, or none yet.
    ///
    /// An error costs this access unit only: go on with the next, and ask the sender for a key frame when [`Error::wants_key`] says so.
    fn decode(&mut self, nals: &[Bytes], timestamp: i64) -> Result<Option<Decoded>, Error>;

    /// Pictures held back for reordering, at the end of a stream. The decoder begins anew after it.
    fn flush(&mut self) -> Vec<Decoded>;

    /// Forgets everything: the next access unit must be a key frame. For a change of SSRC.
    fn reset(&mut self);
}

/// A decoded picture.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The pixels, limited range.
    pub picture: Picture,
    /// What [`Decode::decode`] was given with the access unit it came in.
    pub timestamp: i64,
    /// A picture that needs none before it.
    pub key: bool,
    /// Is it what the sender encoded?
    pub damage: Damage,
}

/// How far a picture is from what the sender encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// As sent.
    None,
    /// Itself received whole, but built upon a damaged picture; ends with the next key frame.
    Inherited,
    /// Parts were missing or wrong and have been concealed.
    Concealed,
}

/// Why an access unit gave no picture.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Nothing can be shown before the first key frame (or after a reset).
    #[error("no key frame yet")]
    NoKey,
    /// The bits make no sense.
    #[error("not decodable: {0}")]
    Damaged(String),
    /// Picture larger than allowed, or of odd size.
    #[error("picture of {width}x{height} refused (at most {max_width}x{max_height} pixels in all)")]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Allowed width.
        max_width: u32,
        /// Allowed height.
        max_height: u32,
    },
    /// Only 4:2:0 with 8 bits is taken (Baseline, Main, High).
    #[error("only 4:2:0 with 8 bits per sample is taken")]
    Format,
    /// An access unit longer than any level allows for the permitted size.
    #[error("access unit of {0} bytes is too long")]
    TooLong(usize),
    /// libavcodec could not be set up: a fault of the installation or out of memory.
    #[error("no decoder: {0}")]
    Setup(String),
}

impl Error {
    /// Does a key frame help?
    pub fn wants_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::Damaged(_) | Self::TooLong(_))
    }
}

/// Bounds of what is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest width in pixels; a picture may be as tall as this is wide when it has no more pixels (a telephone held upright).
    pub max_width: u32,
    /// Largest height in pixels.
    pub max_height: u32,
    /// Largest access unit in bytes.
    pub max_bytes: usize,
}

impl Default for Limits {
    /// 1920×1088 and 2 MB: above what level 4.2 allows for one picture of a conference.
    fn default() -> Self {
        Self { max_width: 1920, max_height: 1088, max_bytes: 2 << 20 }
    }
}

impl Limits {
    fn allows(&self, width: u32, height: u32) -> bool {
        let longest = self.max_width.max(self.max_height);
        let pixels = u64::from(self.max_width) * u64::from(self.max_height);
        width <= longest && height <= longest && u64::from(width) * u64::from(height) <= pixels
    }
}

/// libavcodec's H.264 decoder: Baseline, Main and High, one thread (the caller's), no added delay unless the stream has B pictures. The picture
/// given out is the decoder's own frame, counted, not copied.
pub struct Decoder {
    context: Context,
    packet: Packet,
    /// Set by [`choose_format`], which C calls in the middle of decoding. Boxed: libavcodec holds its address.
    refused: Box<AtomicBool>,
    limits: Limits,
    buffer: Vec<u8>,
    /// The stream leaves reference pictures out on purpose.
    gaps_allowed: bool,
    chain: Chain,
    /// An IDR picture went in; with B pictures it comes out later.
    key_taken: bool,
}

/// What the pictures before mean for the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    NoKey,
    Whole,
    Broken,
}

impl Decoder {
    /// A decoder within `limits`.
    pub fn new(limits: Limits) -> Result<Self, Error> {
        libav::init();
        let refused = Box::new(AtomicBool::new(false));
        let context = open(&refused, &limits)?;
        let packet = Packet::new().ok_or_else(|| Error::Setup("out of memory".into()))?;
        Ok(Self {
            context,
            packet,
            refused,
            limits,
            buffer: Vec::new(),
            gaps_allowed: false,
            chain: Chain::NoKey,
            key_taken: false,
        })
    }

    fn send(&mut self, timestamp: i64) -> c_int {
        let length = self.buffer.len();
        self.buffer.resize(length + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize, 0);
        let (context, packet) = (self.context.as_ptr(), self.packet.as_ptr());
        // SAFETY: the packet borrows `buffer` (padded as demanded) for the call only: without a counted buffer libavcodec copies it.
        unsafe {
            (*packet).data = self.buffer.as_mut_ptr();
            (*packet).size = length as c_int;
            (*packet).pts = timestamp;
            let code = ffi::avcodec_send_packet(context, packet);
            (*packet).data = ptr::null_mut();
            (*packet).size = 0;
            code
        }
    }

    fn receive(&mut self) -> Result<Option<Frame>, c_int> {
        let Some(frame) = Frame::new() else { return Err(ffi::AVERROR(ffi::ENOMEM)) };
        // SAFETY: both are ours and alive.
        match unsafe { ffi::avcodec_receive_frame(self.context.as_ptr(), frame.as_ptr()) } {
            0 => Ok(Some(frame)),
            code if libav::is_again(code) || code == ffi::AVERROR_EOF => Ok(None),
            code => Err(code),
        }
    }

    fn finish(&mut self, frame: Frame, complained: bool) -> Result<Decoded, Error> {
        let raw = frame.as_ptr();
        // SAFETY: plain fields of a frame we own.
        let (width, height, key, timestamp, flags, errors) = unsafe {
            (
                (*raw).width,
                (*raw).height,
                (*raw).key_frame != 0,
                (*raw).pts,
                (*raw).flags,
                (*raw).decode_error_flags,
            )
        };
        if !frame.is_i420() || !self.limits.allows(width as u32, height as u32) {
            return Err(self.size_error(width as u32, height as u32));
        }
        let concealed = complained || errors != 0 || flags & ffi::AV_FRAME_FLAG_CORRUPT != 0;
        let damage = match (concealed, key, self.chain) {
            (true, _, _) => Damage::Concealed,
            (false, true, _) | (false, _, Chain::Whole) => Damage::None,
            (false, false, Chain::Broken | Chain::NoKey) => Damage::Inherited,
        };
        self.chain = if damage == Damage::None { Chain::Whole } else { Chain::Broken };
        let picture =
            if frame.is_full_range() { to_limited_range(frame) } else { Picture::from_frame(frame) };
        Ok(Decoded { picture, timestamp, key, damage })
    }

    fn complaints(&self) -> (u32, u32) {
        let complaints = libav::complaints();
        (complaints.errors, if self.gaps_allowed { 0 } else { complaints.gaps })
    }

    fn size_error(&self, width: u32, height: u32) -> Error {
        Error::Size { width, height, max_width: self.limits.max_width, max_height: self.limits.max_height }
    }

    fn failure(&mut self, code: c_int) -> Error {
        if self.chain == Chain::Whole {
            self.chain = Chain::Broken;
        }
        if self.refused.swap(false, Ordering::Relaxed) {
            return Error::Format;
        }
        // libavcodec leaves the size of the parameter set it refused here.
        // SAFETY: plain fields of our context.
        let (width, height) =
            unsafe { ((*self.context.as_ptr()).coded_width, (*self.context.as_ptr()).coded_height) };
        let (width, height) = (width.max(0) as u32, height.max(0) as u32);
        if u64::from(width) * u64::from(height)
            > u64::from(self.limits.max_width) * u64::from(self.limits.max_height)
        {
            return self.size_error(width, height);
        }
        Error::Damaged(libav::error_text(code))
    }
}

impl Decode for Decoder {
    fn decode(&mut self, nals: &[Bytes], timestamp: i64) -> Result<Option<Decoded>, Error> {
        let length = nals.iter().map(|n| n.len() + 4).sum::<usize>();
        if length > self.limits.max_bytes {
            self.chain = if self.chain == Chain::NoKey { Chain::NoKey } else { Chain::Broken };
            return Err(Error::TooLong(length));
        }
        self.buffer.clear();
        for unit in nals.iter().filter(|n| !n.is_empty()) {
            nal::append_annex_b(unit, &mut self.buffer);
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        for sps in nals.iter().filter(|n| nal::kind(n) == nal::SPS) {
            self.gaps_allowed = gaps::allowed(sps).unwrap_or(self.gaps_allowed);
        }
        let before = self.complaints();
        let code = self.send(timestamp);
        if code < 0 && !libav::is_again(code) {
            return Err(self.failure(code));
        }
        let mut latest = None;
        loop {
            match self.receive() {
                Ok(Some(frame)) => latest = Some(frame),
                Ok(None) => break,
                Err(code) => return Err(self.failure(code)),
            }
        }
        let complained = self.complaints() != before;
        self.key_taken |= nals.iter().any(|n| nal::kind(n) == nal::IDR);
        match latest {
            Some(frame) => self.finish(frame, complained).map(Some),
            None => {
                if complained && self.chain == Chain::Whole {
                    self.chain = Chain::Broken; // told with the next picture that comes out
                }
                let slices = nals.iter().any(|n| (1..=5).contains(&nal::kind(n)));
                if !self.key_taken && self.chain == Chain::NoKey && slices {
                    Err(Error::NoKey)
                } else {
                    Ok(None)
                }
            }
        }
    }

    fn flush(&mut self) -> Vec<Decoded> {
        let mut pictures = Vec::new();
        // SAFETY: a null packet begins draining; avcodec_flush_buffers ends it.
        unsafe { ffi::avcodec_send_packet(self.context.as_ptr(), ptr::null()) };
        while let Ok(Some(frame)) = self.receive() {
            pictures.extend(self.finish(frame, false));
        }
        self.reset();
        pictures
    }

    fn reset(&mut self) {
        self.chain = Chain::NoKey;
        self.key_taken = false;
        self.refused.store(false, Ordering::Relaxed);
        // SAFETY: an open context of ours.
        unsafe { ffi::avcodec_flush_buffers(self.context.as_ptr()) };
    }
}

/// Rows of libavcodec's frames are multiples of this.
const ALIGNED: u32 = 64;

fn aligned_pixels(limits: &Limits) -> u64 {
    let whole = |n: u32| u64::from(n.next_multiple_of(ALIGNED));
    whole(limits.max_width) * whole(limits.max_height)
}

fn open(refused: &AtomicBool, limits: &Limits) -> Result<Context, Error> {
    let setup = |what: &str| Error::Setup(what.into());
    // SAFETY: looks up a static table.
    let codec = unsafe { ffi::avcodec_find_decoder(ffi::AVCodecID::AV_CODEC_ID_H264) };
    if codec.is_null() {
        return Err(setup("libavcodec has no H.264 decoder"));
    }
    let mut context = Context::new(codec).ok_or_else(|| setup("out of memory"))?;
    let raw = context.as_ptr();
    // SAFETY: fields of a context not yet opened; `refused` is boxed by the owner of the context and outlives it.
    let code = unsafe {
        (*raw).flags |= ffi::AV_CODEC_FLAG_LOW_DELAY as c_int;
        // Compared with the size before cropping, and with rows as long as SIMD wants them; `finish` looks at what is left.
        (*raw).max_pixels = aligned_pixels(limits) as i64;
        // Conceal rather than stop: whether a damaged picture is shown is the caller's choice, see `Damage`.
        (*raw).error_concealment = ffi::FF_EC_GUESS_MVS | ffi::FF_EC_DEBLOCK;
        (*raw).err_recognition = ffi::AV_EF_BITSTREAM | ffi::AV_EF_BUFFER;
        (*raw).opaque = ptr::from_ref(refused).cast_mut().cast();
        (*raw).get_format = Some(choose_format);
        ffi::avcodec_open2(raw, codec, ptr::null_mut())
    };
    if code < 0 { Err(Error::Setup(libav::error_text(code))) } else { Ok(context) }
}

/// Called by libavcodec when a parameter set asks for a format: 8-bit 4:2:0 or nothing.
unsafe extern "C" fn choose_format(
    context: *mut ffi::AVCodecContext,
    offered: *const ffi::AVPixelFormat,
) -> ffi::AVPixelFormat {
    use ffi::AVPixelFormat::{AV_PIX_FMT_NONE, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P};
    let mut at = offered;
    // SAFETY: a list ended by NONE. `opaque` was set to the decoder's flag.
    unsafe {
        loop {
            match *at {
                AV_PIX_FMT_NONE => break,
                good @ (AV_PIX_FMT_YUV420P | AV_PIX_FMT_YUVJ420P) => return good,
                _ => at = at.add(1),
            }
        }
        if let Some(refused) = (*context).opaque.cast::<AtomicBool>().as_ref() {
            refused.store(true, Ordering::Relaxed);
        }
    }
    AV_PIX_FMT_NONE
}

/// Some cameras send samples of 0–255; a mosaic can have only one range, so those are copied into 16–235 (16–240 for colour).
fn to_limited_range(frame: Frame) -> Picture {
    let planes = frame.planes();
    let Some(mut canvas) = Canvas::new(planes.width, planes.height) else {
        return Picture::from_frame(frame);
    };
    let to = canvas.planes_mut();
    for (i, (data, stride)) in to.data.into_iter().zip(to.stride).enumerate() {
        let span = if i == 0 { 219 } else { 224 };
        for (y, row) in data.chunks_mut(stride).take(planes.rows(i)).enumerate() {
            for (out, &sample) in row.iter_mut().zip(planes.row(i, y)) {
                *out = (16 + (u32::from(sample) * span + 127) / 255) as u8;
            }
        }
    }
    canvas.freeze()
}
