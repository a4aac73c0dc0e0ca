//! Stands in for the unwinder where a panic aborts. The standard library asks it for a backtrace when a panic is told with
//! `RUST_BACKTRACE=1`; in a binary without unwind tables (`discard-unwind.ld`) it has no answer, and brings 250 kB: itself, and what
//! would read the debug information that such a binary does not have either. With an answer that never gives a frame, all of that is
//! dead code and is left out. Message, file and line of a panic are told as before.
//!
//! The names and their meaning: Itanium C++ ABI, "Exception Handling", level I.
#![allow(non_snake_case, missing_docs)]

use std::ffi::{c_int, c_void};
use std::process::abort;

/// `_URC_END_OF_STACK`: there are no more frames.
const END_OF_STACK: c_int = 5;

// SAFETY, for all of them: no other definition is linked, for the library that has one is an archive, of which only members are taken
// that define what is missing. Only the first one is ever called; the others belong to an unwinding that never begins.

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _data: *mut c_void) -> c_int {
    END_OF_STACK
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume(_exception: *mut c_void) -> ! {
    abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetIP(_context: *mut c_void) -> usize {
    abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetIPInfo(_context: *mut c_void, _before: *mut c_int) -> usize {
    abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetLanguageSpecificData(_context: *mut c_void) -> *mut c_void {
    abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetRegionStart(_context: *mut c_void) -> usize {
    abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetTextRelBase(_context: *mut c_void) -> usize {
    abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetDataRelBase(_context: *mut c_void) -> usize {
    abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_SetGR(_context: *mut c_void, _register: c_int, _value: usize) {
    abort()
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_SetIP(_context: *mut c_void, _value: usize) {
    abort()
}
