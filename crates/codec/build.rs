//! libyuv ships no pkg-config file on Debian 12, so the library is named here; its few functions are declared in `src/yuv.rs`.

fn main() {
    println!("cargo:rustc-link-lib=dylib=yuv");
    println!("cargo:rerun-if-changed=build.rs");
}
