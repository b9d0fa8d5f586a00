//! Physical memory by address: whatever a table points to is read here, checked.

#![allow(unsafe_code)] // Memory that no Rust object owns.

use crate::entry::MAPPED;
use core::sync::atomic::AtomicU64;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// Integers that any bytes make.
pub(crate) trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}

/// Reads an integer; none where nothing is mapped.
pub(crate) fn read<T: Plain>(at: u64) -> Option<T> {
    let end = at.checked_add(size_of::<T>() as u64)?;
    // SAFETY: the hazard is a fault. Everything below MAPPED is mapped, and address 0 is no object's
    // and excluded; any bytes make a `T`.
    (at != 0 && end <= MAPPED).then(|| unsafe { (at as *const T).read_unaligned() })
}

/// Sums up bytes, as ACPI does; none where nothing is mapped.
pub(crate) fn sum(at: u64, len: u64) -> Option<u8> {
    let mut sum = 0u8;
    for at in at..at.checked_add(len)? {
        sum = sum.wrapping_add(read(at)?);
    }
    Some(sum)
}

/// Copies bytes to memory that the machine's map calls RAM and nothing else uses.
pub(crate) fn write(at: u64, bytes: &[u8]) {
    assert!(at != 0 && at + bytes.len() as u64 <= MAPPED, "{at:#x} isn't mapped");
    // SAFETY: the caller picked RAM outside the image; it is mapped, as was just checked.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
}

/// A word that CPUs share. `at` is in pages that came from the arena.
pub(crate) fn word(at: u64) -> &'static AtomicU64 {
    assert!(at != 0 && at.is_multiple_of(8) && at + 8 <= MAPPED, "{at:#x} holds no word");
    // SAFETY: the arena gives pages to one owner, for ever; their words are only used as atomics.
    unsafe { AtomicU64::from_ptr(at as *mut u64) }
}

/// Writes a device's register.
pub(crate) fn write_register(at: u64, value: u32) {
    assert!(at != 0 && at.is_multiple_of(4) && at + 4 <= MAPPED, "{at:#x} isn't mapped");
    // SAFETY: the caller has the address from the MADT; no memory lies there.
    unsafe { (at as *mut u32).write_volatile(value) };
}
