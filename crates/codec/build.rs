//! libyuv ships no pkg-config file on Debian 12, so the library is named here; its few functions are declared in `src/yuv.rs`.
#![allow(clippy::disallowed_macros, reason = "this is how a build script speaks")]

fn main() {
    println!("cargo:rustc-link-lib=dylib=yuv");
    println!("cargo:rerun-if-changed=build.rs");
}
