//! The only crate with FFI: video and audio codecs, scaling, text.
