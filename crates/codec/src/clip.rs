//! A media file (mp4, avi, mkv, raw .264 …) as decoded pictures: for test endpoints, and later for films played into a meeting.

use std::path::Path;
use std::time::Duration;

use ffmpeg_next::{codec, ffi, format, frame, media, software::scaling, util::format::Pixel};

use crate::libav::{self, Frame};
use crate::video::Picture;

/// Why a file gives no pictures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not there, not readable, of unknown kind, or broken.
    #[error("{0}")]
    File(#[from] ffmpeg_next::Error),
    /// No picture in it.
    #[error("no video in the file")]
    NoVideo,
    /// Pictures of odd size or a strange format that cannot be converted.
    #[error("pictures of {0}x{1} cannot be used")]
    Picture(u32, u32),
}

/// A picture of a clip.
#[derive(Clone, Debug)]
pub struct Shot {
    /// The pixels, limited range; an odd column or row at the edge is left out.
    pub picture: Picture,
    /// Time from the beginning of the clip.
    pub at: Duration,
}

/// An open file: an iterator over its pictures, in order. Reads the file as it goes: not for real-time threads.
pub struct Clip {
    input: format::context::Input,
    decoder: codec::decoder::Video,
    scaler: Option<scaling::Context>,
    stream: usize,
    fps: f64,
    count: u64,
    ended: bool,
}

impl Clip {
    /// Opens `path` and its best video stream.
    pub fn open(path: &Path) -> Result<Self, Error> {
        libav::init();
        let input = format::input(path)?;
        let stream = input.streams().best(media::Type::Video).ok_or(Error::NoVideo)?;
        let rate = f64::from(stream.avg_frame_rate());
        let fps = if rate.is_finite() && rate > 0.0 { rate } else { 25.0 };
        let decoder = codec::context::Context::from_parameters(stream.parameters())?.decoder().video()?;
        let stream = stream.index();
        Ok(Self { input, decoder, scaler: None, stream, fps, count: 0, ended: false })
    }

    /// Pictures per second, on average; 25 when the file does not say.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// Width and height in pixels as the file says, which may be odd.
    pub fn size(&self) -> (u32, u32) {
        (self.decoder.width(), self.decoder.height())
    }

    fn next_frame(&mut self) -> Result<Option<frame::Video>, Error> {
        let mut decoded = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut decoded) {
                Ok(()) => return Ok(Some(decoded)),
                Err(ffmpeg_next::Error::Eof) => return Ok(None),
                Err(_) if self.ended => return Ok(None),
                Err(_) => {}
            }
            let mut packet = codec::packet::Packet::empty();
            match packet.read(&mut self.input) {
                // A packet that cannot be decoded costs its picture only.
                Ok(()) if packet.stream() == self.stream => drop(self.decoder.send_packet(&packet)),
                Ok(()) => {}
                Err(ffmpeg_next::Error::Eof) => {
                    self.ended = true;
                    self.decoder.send_eof()?;
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn shot(&mut self, decoded: &frame::Video) -> Result<Shot, Error> {
        let (width, height) = (decoded.width() & !1, decoded.height() & !1);
        let refused = || Error::Picture(decoded.width(), decoded.height());
        let frame = Frame::new().ok_or_else(refused)?;
        let range = decoded.color_range() == ffmpeg_next::color::Range::JPEG;
        let ready = decoded.format() == Pixel::YUV420P
            && !range
            && (width, height) == (decoded.width(), decoded.height());
        if ready {
            // SAFETY: both frames are alive; takes a counted reference.
            let code = unsafe { ffi::av_frame_ref(frame.as_ptr(), decoded.as_ptr()) };
            if code < 0 {
                return Err(ffmpeg_next::Error::from(code).into());
            }
        } else {
            let mut converted = frame::Video::empty();
            self.scaler_for(decoded, width, height)?.run(decoded, &mut converted)?;
            // SAFETY: both frames are alive; what was in `converted` moves.
            unsafe { ffi::av_frame_move_ref(frame.as_ptr(), converted.as_mut_ptr()) };
        }
        if !frame.is_i420() {
            return Err(refused());
        }
        let at = Duration::from_secs_f64(self.count as f64 / self.fps);
        self.count += 1;
        Ok(Shot { picture: Picture::from_frame(frame), at })
    }

    fn scaler_for(
        &mut self,
        decoded: &frame::Video,
        width: u32,
        height: u32,
    ) -> Result<&mut scaling::Context, Error> {
        let flags = scaling::Flags::BILINEAR | scaling::Flags::ACCURATE_RND;
        if let Some(scaler) = &mut self.scaler {
            scaler.cached(
                decoded.format(),
                decoded.width(),
                decoded.height(),
                Pixel::YUV420P,
                width,
                height,
                flags,
            );
        } else {
            let from = (decoded.format(), decoded.width(), decoded.height());
            self.scaler =
                Some(scaling::Context::get(from.0, from.1, from.2, Pixel::YUV420P, width, height, flags)?);
        }
        self.scaler.as_mut().ok_or(Error::Picture(width, height))
    }
}

impl Iterator for Clip {
    type Item = Result<Shot, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_frame() {
            Ok(Some(decoded)) => Some(self.shot(&decoded)),
            Ok(None) => None,
            Err(e) => Some(Err(e)),
        }
    }
}
