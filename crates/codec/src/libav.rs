//! libavcodec, wrapped once: start-up, its log, frames, packets, codec contexts. Everything unsafe about FFmpeg is here, in
//! [`crate::video`]'s decoder and x264 encoder, and in [`crate::clip`].

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Once;

use ffmpeg_next::ffi;

use crate::video::Planes;

thread_local! {
    /// Errors libav logged on this thread. Our contexts run with one thread, the caller's, so the difference before and after a call is
    /// what that call complained about: the only sign it gives of some kinds of damage (a gap in frame_num, a reference that is not there).
    static COMPLAINTS: Cell<Complaints> = const { Cell::new(Complaints { errors: 0, gaps: 0 }) };
}

/// What libav complained of on this thread so far; both wrap.
#[derive(Clone, Copy)]
pub(crate) struct Complaints {
    /// Messages of the level "error".
    pub(crate) errors: u32,
    /// Reference pictures found missing by `frame_num` (H.264 section 7.4.3), which libavcodec calls a matter of debugging.
    pub(crate) gaps: u32,
}

/// How that message begins (libavcodec/h264_slice.c; a test sees that it still does).
const GAP: &CStr = c"Frame num gap";

/// Hooks the log up. Called by whatever opens a codec; cheap after the first time.
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: plain setters of libavutil's globals; the callback below is fit for any thread.
        unsafe {
            ffi::av_log_set_level(ffi::AV_LOG_INFO);
            ffi::av_log_set_callback(Some(log));
        }
    });
}

/// See [`Complaints`].
pub(crate) fn complaints() -> Complaints {
    COMPLAINTS.with(Cell::get)
}

/// libav writes to stderr unless told otherwise. What it says about streams from outside is at most `debug` here: a sender must not be able to
/// fill our log.
unsafe extern "C" fn log(
    source: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: *mut ffi::__va_list_tag,
) {
    // The high bits are a colour.
    let level = level & 0xff;
    if level <= ffi::AV_LOG_ERROR {
        complain(|c| c.errors = c.errors.wrapping_add(1));
    // SAFETY: `format` is a string of C; the comparison stops at its end or at that of `GAP`.
    } else if !format.is_null() && unsafe { is_gap(format) } {
        complain(|c| c.gaps = c.gaps.wrapping_add(1));
    }
    if level > ffi::AV_LOG_INFO || !tracing::enabled!(target: "libav", tracing::Level::DEBUG) {
        return;
    }
    let mut line = [0 as c_char; 256];
    let mut prefix: c_int = 1;
    // SAFETY: `line` is as long as said and the function ends it with a zero; the rest is passed on as it came.
    let text = unsafe {
        ffi::av_log_format_line2(
            source,
            level,
            format,
            arguments,
            line.as_mut_ptr(),
            line.len() as c_int,
            &mut prefix,
        );
        CStr::from_ptr(line.as_ptr())
    };
    tracing::debug!(target: "libav", level, "{}", text.to_string_lossy().trim_end());
}

fn complain(f: impl FnOnce(&mut Complaints)) {
    COMPLAINTS.with(|c| {
        let mut complaints = c.get();
        f(&mut complaints);
        c.set(complaints);
    });
}

/// Does a message begin with [`GAP`]?
///
/// # Safety
/// `format` must be a string ended by a zero.
unsafe fn is_gap(format: *const c_char) -> bool {
    let gap = GAP.to_bytes();
    // SAFETY: a byte is read only when those before it were equal, so never behind the end.
    gap.iter().enumerate().all(|(i, &wanted)| unsafe { *format.add(i) } as u8 == wanted)
}

/// libav's word for an error code.
pub(crate) fn error_text(code: c_int) -> String {
    ffmpeg_next::Error::from(code).to_string()
}

/// An owned `AVFrame`.
pub(crate) struct Frame(NonNull<ffi::AVFrame>);

// SAFETY: a frame is reference-counted buffers and plain data; libav counts atomically, and nothing below writes to a frame that is shared.
unsafe impl Send for Frame {}
// SAFETY: as above: `&Frame` only reads.
unsafe impl Sync for Frame {}

impl Frame {
    pub(crate) fn new() -> Option<Self> {
        // SAFETY: no arguments; None when out of memory.
        NonNull::new(unsafe { ffi::av_frame_alloc() }).map(Self)
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::AVFrame {
        self.0.as_ptr()
    }

    /// The planes of an 8-bit 4:2:0 frame. Only for frames that went through [`Frame::is_i420`].
    pub(crate) fn planes(&self) -> Planes<'_> {
        let frame = self.0.as_ptr();
        // SAFETY: the frame lives as long as `self`; `is_i420` has seen that the planes are there, strides positive, sizes even. A plane has
        // `stride` bytes for each row but the last, of which only the columns are sure to be there.
        unsafe {
            let (width, height) = ((*frame).width as u32, (*frame).height as u32);
            let mut planes = Planes { width, height, data: [&[]; 3], stride: [0; 3] };
            for i in 0..3 {
                let (columns, rows) = (planes.columns(i), planes.rows(i));
                let (data, stride) =
                    ((*frame).data.as_ptr().add(i).read(), (*frame).linesize.as_ptr().add(i).read());
                let stride = stride as usize;
                let slice = std::slice::from_raw_parts(data, stride * rows.saturating_sub(1) + columns);
                if let (Some(d), Some(s)) = (planes.data.get_mut(i), planes.stride.get_mut(i)) {
                    (*d, *s) = (slice, stride);
                }
            }
            planes
        }
    }

    /// Is it 8-bit 4:2:0 in memory, of even size, with planes where they should be?
    pub(crate) fn is_i420(&self) -> bool {
        let frame = self.0.as_ptr();
        // SAFETY: reads of plain fields of a frame we own.
        unsafe {
            let format = (*frame).format;
            let known = format == ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as c_int
                || format == ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P as c_int;
            let (width, height) = ((*frame).width, (*frame).height);
            let even = width >= 2 && height >= 2 && width % 2 == 0 && height % 2 == 0;
            let [y, u, v, ..] = (*frame).data;
            let [sy, su, sv, ..] = (*frame).linesize;
            known
                && even
                && !(y.is_null() || u.is_null() || v.is_null())
                && sy >= width
                && su >= width / 2
                && sv >= width / 2
        }
    }

    /// Width to height of one pixel; what is not said or makes no sense is square.
    pub(crate) fn pixel_aspect(&self) -> (u32, u32) {
        // SAFETY: reads of plain fields of a frame we own.
        let ratio = unsafe { (*self.as_ptr()).sample_aspect_ratio };
        match (u32::try_from(ratio.num), u32::try_from(ratio.den)) {
            (Ok(w @ 1..=65_535), Ok(h @ 1..=65_535)) if w <= h * 4 && h <= w * 4 => (w, h),
            _ => (1, 1),
        }
    }

    /// Full-range samples (0–255) instead of 16–235?
    pub(crate) fn is_full_range(&self) -> bool {
        // SAFETY: reads of plain fields of a frame we own.
        unsafe {
            (*self.as_ptr()).format == ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P as c_int
                || (*self.as_ptr()).color_range == ffi::AVColorRange::AVCOL_RANGE_JPEG
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut frame = self.0.as_ptr();
        // SAFETY: ours, freed once; pictures made of it hold the `Frame` itself.
        unsafe { ffi::av_frame_free(&mut frame) }
    }
}

/// An owned `AVPacket`.
pub(crate) struct Packet(NonNull<ffi::AVPacket>);

// SAFETY: plain data and counted buffers, used through `&mut` only.
unsafe impl Send for Packet {}

impl Packet {
    pub(crate) fn new() -> Option<Self> {
        // SAFETY: no arguments; None when out of memory.
        NonNull::new(unsafe { ffi::av_packet_alloc() }).map(Self)
    }

    pub(crate) fn as_ptr(&mut self) -> *mut ffi::AVPacket {
        self.0.as_ptr()
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: ours, freed once.
        unsafe { ffi::av_packet_free(&mut packet) }
    }
}

/// An owned `AVCodecContext`, of one thread.
pub(crate) struct Context(NonNull<ffi::AVCodecContext>);

// SAFETY: a context may be used from any one thread at a time; all methods that use it take `&mut self` of their owner.
unsafe impl Send for Context {}

impl Context {
    /// Allocated for `codec`, not opened.
    pub(crate) fn new(codec: *const ffi::AVCodec) -> Option<Self> {
        // SAFETY: `codec` comes from avcodec_find_*; None when out of memory.
        let context = NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) })?;
        // SAFETY: freshly allocated.
        unsafe { (*context.as_ptr()).thread_count = 1 };
        Some(Self(context))
    }

    pub(crate) fn as_ptr(&mut self) -> *mut ffi::AVCodecContext {
        self.0.as_ptr()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut context = self.0.as_ptr();
        // SAFETY: ours, freed once; frames it gave out keep their buffers by count.
        unsafe { ffi::avcodec_free_context(&mut context) }
    }
}

/// Is it "try again later" rather than an error?
pub(crate) fn is_again(code: c_int) -> bool {
    code == ffi::AVERROR(ffi::EAGAIN)
}
