//! Cisco's OpenH264 by its raw interface: the safe crate knows no change of bitrate and no slices by size.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use bytes::Bytes;
use openh264_sys2 as sys;

use super::{Encode, Encoded, Error, Profile, RATES, Settings};
use crate::video::nal;
use crate::video::picture::{Image, Planes};

/// OpenH264: low complexity, camera, real time, one thread.
pub struct OpenH264 {
    encoder: Handle,
    settings: Settings,
}

/// Owns the C++ object.
struct Handle(NonNull<sys::ISVCEncoder>);

// SAFETY: the object keeps no thread-bound state (single-threaded mode) and is used through `&mut` only.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once. Uninitialize on an object that never was initialised does nothing.
        unsafe {
            if let Some(uninitialize) = (**self.0.as_ptr()).Uninitialize {
                uninitialize(self.0.as_ptr());
            }
            sys::source::APILoader::WelsDestroySVCEncoder(self.0.as_ptr());
        }
    }
}

impl Handle {
    fn new() -> Result<Self, Error> {
        let mut raw: *mut sys::ISVCEncoder = ptr::null_mut();
        // SAFETY: writes the pointer it made, or leaves null.
        let code = unsafe { sys::source::APILoader::WelsCreateSVCEncoder(&mut raw) };
        NonNull::new(raw).map(Self).ok_or_else(|| Error::Setup(format!("OpenH264: {code}")))
    }

    fn table(&self) -> &sys::ISVCEncoderVtbl {
        // SAFETY: a live C++ object begins with its table of methods, which is static.
        unsafe { &**self.0.as_ptr() }
    }

    fn set_option<T>(&mut self, option: sys::ENCODER_OPTION, value: &mut T) -> Result<(), Error> {
        let set = self.table().SetOption.ok_or_else(|| Error::Setup("OpenH264 without SetOption".into()))?;
        // SAFETY: each caller passes the type that OpenH264's codec_app_def.h names for the option.
        match unsafe { set(self.0.as_ptr(), option, ptr::from_mut(value).cast::<c_void>()) } {
            0 => Ok(()),
            code => Err(Error::Failed(format!("OpenH264 option {option}: {code}"))),
        }
    }
}

impl OpenH264 {
    /// An encoder with `settings`. OpenH264 holds a bitrate only on average; key frames are not bounded.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let mut encoder = Handle::new()?;
        let parameters = parameters(&encoder, &settings)?;
        let initialize = encoder
            .table()
            .InitializeExt
            .ok_or_else(|| Error::Setup("OpenH264 without InitializeExt".into()))?;
        let mut level: c_int = sys::WELS_LOG_QUIET as c_int;
        encoder.set_option(sys::ENCODER_OPTION_TRACE_LEVEL, &mut level)?;
        // SAFETY: a live object and parameters made by its own defaults.
        let code = unsafe { initialize(encoder.0.as_ptr(), &parameters) };
        if code != 0 {
            return Err(Error::Setup(format!("OpenH264 refused its parameters: {code}")));
        }
        Ok(Self { encoder, settings })
    }
}

fn parameters(encoder: &Handle, settings: &Settings) -> Result<sys::SEncParamExt, Error> {
    let defaults =
        encoder.table().GetDefaultParams.ok_or_else(|| Error::Setup("OpenH264 without defaults".into()))?;
    let mut p = sys::SEncParamExt::default();
    // SAFETY: a live object fills the structure.
    unsafe { defaults(encoder.0.as_ptr(), &mut p) };
    let bits = settings.kbps as c_int * 1000;
    p.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    p.iPicWidth = settings.width as c_int;
    p.iPicHeight = settings.height as c_int;
    p.fMaxFrameRate = settings.fps as f32;
    p.iTargetBitrate = bits;
    p.iMaxBitrate = sys::UNSPECIFIED_BIT_RATE as c_int;
    p.iRCMode = sys::RC_BITRATE_MODE;
    p.bEnableFrameSkip = false;
    p.iComplexityMode = sys::LOW_COMPLEXITY;
    p.iTemporalLayerNum = 1;
    p.iSpatialLayerNum = 1;
    p.iNumRefFrame = 1;
    p.uiIntraPeriod = settings.key_interval.unwrap_or(0);
    p.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    p.bEnableSceneChangeDetect = false;
    p.bEnableLongTermReference = false;
    p.iMultipleThreadIdc = 1;
    p.iEntropyCodingModeFlag = c_int::from(settings.profile != Profile::ConstrainedBaseline);
    p.uiMaxNalSize = settings.max_nal_bytes.unwrap_or(0) as u32;
    let layer = &mut p.sSpatialLayers[0];
    layer.iVideoWidth = p.iPicWidth;
    layer.iVideoHeight = p.iPicHeight;
    layer.fFrameRate = p.fMaxFrameRate;
    layer.iSpatialBitrate = bits;
    layer.iMaxSpatialBitrate = sys::UNSPECIFIED_BIT_RATE as c_int;
    layer.uiProfileIdc = match settings.profile {
        Profile::ConstrainedBaseline => sys::PRO_BASELINE,
        Profile::Main => sys::PRO_MAIN,
        Profile::High => sys::PRO_HIGH,
    };
    layer.uiLevelIdc = settings.level.map_or(sys::LEVEL_UNKNOWN, sys::ELevelIdc::from);
    match settings.max_nal_bytes {
        None => layer.sSliceArgument.uiSliceMode = sys::SM_SINGLE_SLICE,
        Some(bytes) => {
            layer.sSliceArgument.uiSliceMode = sys::SM_SIZELIMITED_SLICE;
            layer.sSliceArgument.uiSliceSizeConstraint = bytes as u32;
        }
    }
    Ok(p)
}

impl Encode for OpenH264 {
    fn encode(&mut self, picture: &dyn Image, timestamp: i64, force_key: bool) -> Result<Encoded, Error> {
        let planes = picture.planes();
        self.settings.check_picture(planes.width, planes.height)?;
        let missing = || Error::Failed("OpenH264 without methods".into());
        if force_key {
            let force = self.encoder.table().ForceIntraFrame.ok_or_else(missing)?;
            // SAFETY: a live, initialised object.
            unsafe { force(self.encoder.0.as_ptr(), true) };
        }
        let source = source(&planes, timestamp / 90);
        let mut info = sys::SFrameBSInfo::default();
        let encode = self.encoder.table().EncodeFrame.ok_or_else(missing)?;
        // SAFETY: the planes are borrowed for the call, which only reads them; `info` is filled with pointers into the encoder, read below
        // before the next call.
        let code = unsafe { encode(self.encoder.0.as_ptr(), &source, &mut info) };
        if code != 0 {
            return Err(Error::Failed(format!("OpenH264: {code}")));
        }
        let key = info.eFrameType == sys::videoFrameTypeIDR;
        // SAFETY: `info` is what EncodeFrame has just written.
        Ok(Encoded { nals: unsafe { collect(&info) }, key })
    }

    fn set_bitrate(&mut self, kbps: u32) -> Result<(), Error> {
        let kbps = kbps.clamp(*RATES.start(), *RATES.end());
        let mut rate = sys::SBitrateInfo { iLayer: sys::SPATIAL_LAYER_ALL, iBitrate: kbps as c_int * 1000 };
        self.encoder.set_option(sys::ENCODER_OPTION_BITRATE, &mut rate)?;
        self.settings.kbps = kbps;
        Ok(())
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }
}

fn source(planes: &Planes<'_>, milliseconds: i64) -> sys::SSourcePicture {
    let [y, u, v] = planes.data;
    let [sy, su, sv] = planes.stride;
    sys::SSourcePicture {
        iColorFormat: sys::videoFormatI420,
        iStride: [sy as c_int, su as c_int, sv as c_int, 0],
        // OpenH264 takes `*mut` but does not write to its source.
        pData: [y.as_ptr().cast_mut(), u.as_ptr().cast_mut(), v.as_ptr().cast_mut(), ptr::null_mut()],
        iPicWidth: planes.width as c_int,
        iPicHeight: planes.height as c_int,
        uiTimeStamp: milliseconds,
        bPsnrY: false,
        bPsnrU: false,
        bPsnrV: false,
    }
}

/// NAL units without start codes out of OpenH264's layers.
///
/// # Safety
/// `info` must be as EncodeFrame left it, and the encoder not called since.
unsafe fn collect(info: &sys::SFrameBSInfo) -> Vec<Bytes> {
    let mut nals = Vec::new();
    for layer in info.sLayerInfo.iter().take(info.iLayerNum.max(0) as usize) {
        let mut at = layer.pBsBuf;
        for i in 0..layer.iNalCount.max(0) as usize {
            // SAFETY: the layer has iNalCount lengths, and their sum in bytes at pBsBuf.
            let unit = unsafe {
                let length = (*layer.pNalLengthInByte.add(i)).max(0) as usize;
                let unit = std::slice::from_raw_parts(at, length);
                at = at.add(length);
                unit
            };
            // Each comes with its start code.
            for range in nal::split_annex_b(unit) {
                nals.extend(unit.get(range).map(Bytes::copy_from_slice));
            }
        }
    }
    nals
}
