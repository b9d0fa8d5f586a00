//! A function in ring 3, and back by `int3`: there even a host without VT-x runs it at full speed.
//!
//! ```text
//!   ring 0: call --iretq--> ring 3: job(me, words) --int3--> gate --> back after the call
//!                             ^  |  interrupts: the entry stack of the TSS, and back
//! ```
//! Spec: Intel SDM vol. 3 3.4.5 "Segment Descriptors", 7.7 "Task Management in 64-bit Mode".

#![allow(unsafe_code)] // Changing the privilege level.

use crate::cpu::lgdt;
use crate::local::Local;
use core::sync::atomic::{AtomicU64, Ordering};

/// What a CPU can be asked to do: it gets its own `Local` and four words, and leaves four.
pub(crate) type Job = extern "sysv64" fn(me: &'static Local, words: &mut [u64; 4]);

/// Descriptors: as in `entry.s`, then data and code of ring 3, then the TSS.
const DESCRIPTORS: [u64; 6] = [
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00cf_9b00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
];
const TSS_SELECTOR: u16 = 0x30;
/// Bytes of a TSS; there is no I/O map behind it.
const TSS_LEN: u64 = 104;

unsafe extern "sysv64" {
    fn ring3_enter(job: Job, me: &'static Local, words: &mut [u64; 4], stack: u64);
}

/// Gives this CPU what ring 3 needs.
pub(crate) fn prepare(me: &'static Local) {
    let set = |field: &AtomicU64, value| field.store(value, Ordering::Relaxed);
    let tss = core::ptr::from_ref(&me.tss) as u64;
    for (slot, descriptor) in me.gdt.iter().zip(DESCRIPTORS) {
        set(slot, descriptor);
    }
    // Available 64-bit TSS, present.
    let low = (TSS_LEN - 1) | (tss & 0xff_ffff) << 16 | 0x89 << 40 | (tss >> 24 & 0xff) << 56;
    set(&me.gdt[6], low);
    set(&me.gdt[7], tss >> 32);
    // RSP0 lies at offset 4.
    let stack = me.entry_stack.load(Ordering::Relaxed);
    set(&me.tss[0], stack << 32);
    set(&me.tss[1], stack >> 32);
    // The I/O map's offset, at 102: beyond the end.
    set(&me.tss[12], TSS_LEN << 48);
    // SAFETY: atomics have the layout of their integers, and from here on only the CPU changes one
    // (the TSS's busy bit), which nobody reads.
    let table = unsafe { &*core::ptr::from_ref(&me.gdt).cast::<[u64; 8]>() };
    lgdt(table, TSS_SELECTOR);
}

/// Runs a job in ring 3 on this CPU. It must use neither ports nor privileged instructions.
pub(crate) fn run(me: &'static Local, job: Job, words: &mut [u64; 4]) {
    let stack = me.ring3_stack.load(Ordering::Relaxed);
    // SAFETY: every page is open to ring 3; the stack is this CPU's own and used by one job at a time;
    // `int3` leads back here with the registers that the ABI keeps. Interrupts come on at the latest
    // now, which is how the callers run anyway.
    unsafe { ring3_enter(job, me, words, stack) };
}

/// The job whose address was put into a mailbox.
pub(crate) fn job_at(address: u64) -> Job {
    // SAFETY: mailboxes are written by `Crew::post` alone, and it puts a `Job` there before it counts
    // the job as posted.
    unsafe { core::mem::transmute::<usize, Job>(address as usize) }
}
