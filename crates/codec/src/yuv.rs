//! The few functions of libyuv that are used, declared by hand (`/usr/include/libyuv/{scale,planar_functions}.h`, version 1857), and safe covers
//! that check every size against the slices.

use std::ffi::c_int;

/// How libyuv filters when scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) enum Filter {
    /// Enlarging.
    Bilinear = 2,
    /// Shrinking: average of the pixels covered.
    Box = 3,
}

unsafe extern "C" {
    fn ScalePlane(
        src: *const u8,
        src_stride: c_int,
        src_width: c_int,
        src_height: c_int,
        dst: *mut u8,
        dst_stride: c_int,
        dst_width: c_int,
        dst_height: c_int,
        filtering: Filter,
    );
    fn CopyPlane(
        src: *const u8,
        src_stride: c_int,
        dst: *mut u8,
        dst_stride: c_int,
        width: c_int,
        height: c_int,
    );
}

/// A rectangle of one plane: `rows` rows of `columns` bytes, `stride` apart, from the beginning of the slice.
pub(crate) struct Area<T> {
    pub(crate) data: T,
    pub(crate) stride: usize,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl<T: AsRef<[u8]>> Area<T> {
    /// Do all of its rows lie in the slice, and all its numbers in an `int`?
    fn is_sound(&self) -> bool {
        let limit = c_int::MAX as usize;
        let last =
            self.stride.checked_mul(self.rows.saturating_sub(1)).and_then(|n| n.checked_add(self.columns));
        self.columns > 0
            && self.rows > 0
            && self.columns <= self.stride
            && self.stride <= limit
            && self.rows <= limit
            && last.is_some_and(|n| n <= self.data.as_ref().len())
    }
}

/// Scales one plane into another. Nothing happens when an area does not fit its slice.
pub(crate) fn scale_plane(src: &Area<&[u8]>, dst: &mut Area<&mut [u8]>, filter: Filter) {
    if !(src.is_sound() && dst.is_sound()) {
        debug_assert!(false, "plane outside of its buffer");
        return;
    }
    // SAFETY: `is_sound` has checked that both rectangles lie inside their slices.
    unsafe {
        ScalePlane(
            src.data.as_ptr(),
            src.stride as c_int,
            src.columns as c_int,
            src.rows as c_int,
            dst.data.as_mut_ptr(),
            dst.stride as c_int,
            dst.columns as c_int,
            dst.rows as c_int,
            filter,
        );
    }
}

/// Copies one plane into another of at least its size. Nothing happens when an area does not fit.
pub(crate) fn copy_plane(src: &Area<&[u8]>, dst: &mut Area<&mut [u8]>) {
    if !(src.is_sound() && dst.is_sound() && src.columns <= dst.columns && src.rows <= dst.rows) {
        debug_assert!(false, "plane outside of its buffer");
        return;
    }
    // SAFETY: `is_sound` has checked that both rectangles lie inside their slices, and `dst` is at least as large.
    unsafe {
        CopyPlane(
            src.data.as_ptr(),
            src.stride as c_int,
            dst.data.as_mut_ptr(),
            dst.stride as c_int,
            src.columns as c_int,
            src.rows as c_int,
        );
    }
}
