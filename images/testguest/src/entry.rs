//! The assembly between the loader and Rust, and what the two share.

#![allow(unsafe_code)] // Symbols of the assembly.

use crate::local::Local;
use core::arch::global_asm;

global_asm!(include_str!("entry.s"), options(att_syntax));

/// The end of what is mapped, one to one: `entry.s` has as many page directories.
pub(crate) const MAPPED: u64 = 16 << 30;
/// Bytes of an interrupt stub.
pub(crate) const STUB_LEN: u64 = 16;

unsafe extern "C" {
    static trampoline: u8;
    static trampoline_end: u8;
    static interrupt_stubs: u8;
    static ring3_leave: u8;
    static image_end: u8;
    static mut next_stack: u64;
    static mut next_local: u64;
}

/// The boot CPU's way into Rust.
#[unsafe(no_mangle)]
extern "sysv64" fn boot(start_info: u64) -> ! {
    crate::run(start_info)
}

/// Another CPU's way into Rust: `page` is where SIPI made it start.
#[unsafe(no_mangle)]
extern "sysv64" fn arrive(local: &'static Local, page: u64) -> ! {
    crate::crew::arrive(local, page)
}

/// Tells the CPU that will be started next who it is. One at a time: the caller waits for it.
pub(crate) fn set_next(local: &'static Local, stack: u64) {
    // SAFETY: the hazard is another CPU that reads half of it. The only readers are APs that arrive,
    // and the caller starts one after it has written both, and waits until it has arrived.
    unsafe {
        (&raw mut next_stack).write_volatile(stack);
        (&raw mut next_local).write_volatile(core::ptr::from_ref(local) as u64);
    }
}

/// The real-mode code that SIPI's page must hold.
pub(crate) fn trampoline_code() -> &'static [u8] {
    let (start, end) = (&raw const trampoline, &raw const trampoline_end);
    // SAFETY: the two labels enclose read-only bytes of the image.
    unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// Where the stub of a vector begins.
pub(crate) fn stub(vector: u8) -> u64 {
    (&raw const interrupt_stubs) as u64 + STUB_LEN * u64::from(vector)
}

/// Where ring 3's `int3` leads.
pub(crate) fn ring3_gate() -> u64 {
    (&raw const ring3_leave) as u64
}

/// The end of the image in memory.
pub(crate) fn end_of_image() -> u64 {
    (&raw const image_end) as u64
}
