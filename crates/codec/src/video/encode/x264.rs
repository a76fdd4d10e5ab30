//! libx264 through libavcodec: superfast, zerolatency, with a VBV that bounds the key frames.

use std::ffi::{CString, c_int, c_void};
use std::ptr;

use bytes::Bytes;
use ffmpeg_next::ffi;

use super::{Encode, Encoded, Error, Profile, RATES, Settings};
use crate::libav::{self, Context, Frame, Packet};
use crate::video::nal;
use crate::video::picture::{Image, Planes};

/// Ticks of our timestamps per second.
const CLOCK: i32 = 90_000;
/// Length of the VBV at the target rate. x264 gives a key frame about half of it, so that one is carried away within 150 ms.
const BUFFER_MS: u32 = 220;
/// Rate by which the VBV fills, of the target. What a second can hold at most is this and the buffer; measured (docs/decisions/0001-encoder.md)
/// it stays below 110 %.
const PEAK_PERCENT: u32 = 97;

/// x264: superfast, zerolatency, one thread.
pub struct X264 {
    context: Context,
    frame: Frame,
    packet: Packet,
    settings: Settings,
    last_timestamp: Option<i64>,
}

impl X264 {
    /// An encoder with `settings`. Refused when libavcodec was built without libx264.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        libav::init();
        let memory = || Error::Setup("out of memory".into());
        let context = open(&settings)?;
        let frame = Frame::new().ok_or_else(memory)?;
        let packet = Packet::new().ok_or_else(memory)?;
        Ok(Self { context, frame, packet, settings, last_timestamp: None })
    }

    /// Lends the planes to libavcodec for one call.
    fn send(&mut self, planes: &Planes<'_>, timestamp: i64, force_key: bool) -> Result<(), Error> {
        let lent = Lent::new(planes).ok_or_else(|| Error::Failed("out of memory".into()))?;
        let (context, frame) = (self.context.as_ptr(), self.frame.as_ptr());
        // SAFETY: the frame points at the planes, which are borrowed until the end of this function, and holds a counted buffer over them so that
        // libavcodec takes a reference instead of copying. `Lent` sees that no reference is left.
        let code = unsafe {
            for (i, (data, stride)) in planes.data.iter().zip(planes.stride).enumerate() {
                (*frame).data.as_mut_ptr().add(i).write(data.as_ptr().cast_mut());
                (*frame).linesize.as_mut_ptr().add(i).write(stride as c_int);
            }
            (*frame).buf.as_mut_ptr().write(ffi::av_buffer_ref(lent.0));
            (*frame).width = planes.width as c_int;
            (*frame).height = planes.height as c_int;
            (*frame).format = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as c_int;
            (*frame).pts = timestamp;
            (*frame).pict_type = if force_key {
                ffi::AVPictureType::AV_PICTURE_TYPE_I
            } else {
                ffi::AVPictureType::AV_PICTURE_TYPE_NONE
            };
            let code = ffi::avcodec_send_frame(context, frame);
            ffi::av_frame_unref(frame);
            code
        };
        let kept = lent.is_kept();
        if code < 0 || kept {
            if kept {
                // Never seen: zerolatency has no look-ahead. Closing the encoder is what surely ends the loan.
                self.context = open(&self.settings)?;
            }
            return Err(Error::Failed(libav::error_text(code)));
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Encoded, Error> {
        let packet = self.packet.as_ptr();
        // SAFETY: both ours; a packet received owns its bytes until it is unreferenced.
        unsafe {
            match ffi::avcodec_receive_packet(self.context.as_ptr(), packet) {
                0 => {}
                code if libav::is_again(code) => return Ok(Encoded { nals: Vec::new(), key: false }),
                code => return Err(Error::Failed(libav::error_text(code))),
            }
            let stream = std::slice::from_raw_parts((*packet).data, (*packet).size.max(0) as usize);
            let nals = units(stream);
            ffi::av_packet_unref(packet);
            let key = nals.iter().any(|n| nal::kind(n) == nal::IDR);
            Ok(Encoded { nals, key })
        }
    }
}

impl Encode for X264 {
    fn encode(&mut self, picture: &dyn Image, timestamp: i64, force_key: bool) -> Result<Encoded, Error> {
        let planes = picture.planes();
        self.settings.check_picture(planes.width, planes.height)?;
        // libavcodec refuses time that stands or goes back.
        let timestamp = self.last_timestamp.map_or(timestamp, |last| timestamp.max(last + 1));
        self.last_timestamp = Some(timestamp);
        self.send(&planes, timestamp, force_key)?;
        self.receive()
    }

    fn set_bitrate(&mut self, kbps: u32) -> Result<(), Error> {
        self.settings.kbps = kbps.clamp(*RATES.start(), *RATES.end());
        // libx264's wrapper compares these with what x264 has before each picture and reconfigures it.
        set_rate(&mut self.context, &self.settings);
        Ok(())
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// One copy of the packet, shared by its NAL units; without the version SEI and delimiters.
fn units(stream: &[u8]) -> Vec<Bytes> {
    let all = Bytes::copy_from_slice(stream);
    let ranges = nal::split_annex_b(stream).into_iter();
    let wanted = ranges.filter(|r| {
        !matches!(nal::kind(stream.get(r.clone()).unwrap_or_default()), nal::SEI | nal::DELIMITER)
    });
    wanted.map(|r| all.slice(r)).collect()
}

/// A counted buffer over planes that are not ours to give away.
struct Lent(*mut ffi::AVBufferRef);

impl Lent {
    fn new(planes: &Planes<'_>) -> Option<Self> {
        unsafe extern "C" fn keep(_opaque: *mut c_void, _data: *mut u8) {}
        let [y, _, _] = planes.data;
        // SAFETY: read-only, and freeing it frees nothing but the counter.
        let buffer = unsafe {
            ffi::av_buffer_create(
                y.as_ptr().cast_mut(),
                y.len(),
                Some(keep),
                ptr::null_mut(),
                ffi::AV_BUFFER_FLAG_READONLY,
            )
        };
        (!buffer.is_null()).then_some(Self(buffer))
    }

    /// Does anybody else still hold a reference?
    fn is_kept(&self) -> bool {
        // SAFETY: a live reference of ours.
        unsafe { ffi::av_buffer_get_ref_count(self.0) != 1 }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: our reference, dropped once.
        unsafe { ffi::av_buffer_unref(&mut self.0) }
    }
}

fn set_rate(context: &mut Context, settings: &Settings) {
    let bits = i64::from(settings.kbps) * 1000;
    let raw = context.as_ptr();
    // SAFETY: plain fields of our context, between two calls.
    unsafe {
        (*raw).bit_rate = bits * i64::from(PEAK_PERCENT) / 100;
        (*raw).rc_max_rate = (*raw).bit_rate;
        (*raw).rc_buffer_size = (bits * i64::from(BUFFER_MS) / 1000) as c_int;
    }
}

fn open(settings: &Settings) -> Result<Context, Error> {
    // SAFETY: looks up a static table.
    let codec = unsafe { ffi::avcodec_find_encoder_by_name(c"libx264".as_ptr()) };
    if codec.is_null() {
        return Err(Error::Setup("libavcodec has no libx264".into()));
    }
    let mut context = Context::new(codec).ok_or_else(|| Error::Setup("out of memory".into()))?;
    set_rate(&mut context, settings);
    let raw = context.as_ptr();
    let mut options = Options(ptr::null_mut());
    options.set(c"preset", "superfast")?;
    options.set(c"tune", "zerolatency")?;
    options.set(c"forced-idr", "1")?;
    options.set(
        c"profile",
        match settings.profile {
            Profile::ConstrainedBaseline => "baseline",
            Profile::Main => "main",
            Profile::High => "high",
        },
    )?;
    let mut parameters =
        String::from("scenecut=0:threads=1:sliced-threads=0:sync-lookahead=0:rc-lookahead=0:bframes=0");
    parameters.push_str(&settings.key_interval.map_or(":keyint=infinite".into(), |n| format!(":keyint={n}")));
    if let Some(bytes) = settings.max_nal_bytes {
        parameters.push_str(&format!(":slice-max-size={bytes}"));
    }
    options.set(c"x264-params", &parameters)?;
    // SAFETY: fields of a context not yet opened.
    let code = unsafe {
        (*raw).width = settings.width as c_int;
        (*raw).height = settings.height as c_int;
        (*raw).time_base = ffi::AVRational { num: 1, den: CLOCK };
        (*raw).framerate = ffi::AVRational { num: settings.fps as c_int, den: 1 };
        (*raw).pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
        (*raw).max_b_frames = 0;
        if let Some(level) = settings.level {
            (*raw).level = c_int::from(level);
        }
        ffi::avcodec_open2(raw, codec, &mut options.0)
    };
    if code < 0 { Err(Error::Setup(libav::error_text(code))) } else { Ok(context) }
}

/// An owned `AVDictionary`.
struct Options(*mut ffi::AVDictionary);

impl Options {
    fn set(&mut self, key: &std::ffi::CStr, value: &str) -> Result<(), Error> {
        let value = CString::new(value).map_err(|e| Error::Setup(e.to_string()))?;
        // SAFETY: both strings are copied.
        match unsafe { ffi::av_dict_set(&mut self.0, key.as_ptr(), value.as_ptr(), 0) } {
            0.. => Ok(()),
            code => Err(Error::Setup(libav::error_text(code))),
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { ffi::av_dict_free(&mut self.0) }
    }
}
