//! Single instructions: ports, MSRs, CPUID, interrupts on and off.

#![allow(unsafe_code)] // They are what the machine is made of.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

/// What `cpuid` answers.
pub(crate) use core::arch::x86_64::CpuidResult;

pub(crate) fn cpuid(leaf: u32, index: u32) -> CpuidResult {
    __cpuid_count(leaf, index)
}

pub(crate) fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: reading a port touches no memory; the caller knows its device.
    unsafe { asm!("in al, dx", out("al") value, in("dx") port, options(nomem, nostack)) };
    value
}

pub(crate) fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: as for `in8`.
    unsafe { asm!("in eax, dx", out("eax") value, in("dx") port, options(nomem, nostack)) };
    value
}

pub(crate) fn out8(port: u16, value: u8) {
    // SAFETY: no device here writes memory by itself.
    unsafe { asm!("out dx, al", in("al") value, in("dx") port, options(nostack)) };
}

pub(crate) fn out16(port: u16, value: u16) {
    // SAFETY: as for `out8`.
    unsafe { asm!("out dx, ax", in("ax") value, in("dx") port, options(nostack)) };
}

pub(crate) fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading an MSR touches no memory; one that doesn't exist ends in `interrupts::exception`.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nomem, nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}

pub(crate) fn write_msr(msr: u32, value: u64) {
    // SAFETY: the callers write the LAPIC's registers, the GS base before anything uses it, and the
    // address of a page that is kvmclock's alone.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack));
    }
}

/// The time-stamp counter; in every ring.
pub(crate) fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: it only reads; nothing here sets CR4.TSD.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Tells the CPU that this is a loop that waits.
pub(crate) fn pause() {
    core::hint::spin_loop();
}

/// Interrupts off.
pub(crate) fn cli() {
    // SAFETY: what is compiled stays correct with interrupts off. No `nomem`: it orders accesses.
    unsafe { asm!("cli", options(nostack)) };
}

/// Interrupts on.
pub(crate) fn sti() {
    // SAFETY: the handlers keep all registers and use the stack below what is in use.
    unsafe { asm!("sti", options(nostack)) };
}

/// Interrupts on and halted until one comes: one that came since `cli` isn't missed.
pub(crate) fn sti_hlt() {
    // SAFETY: as for `sti`.
    unsafe { asm!("sti", "hlt", options(nostack)) };
}

/// Halted for good; only INIT, or a reset, helps.
pub(crate) fn stop() -> ! {
    loop {
        // SAFETY: it does nothing.
        unsafe { asm!("cli", "hlt", options(nostack)) };
    }
}

/// A fault whose handling faults, and so on: the CPU shuts down.
pub(crate) fn triple_fault() -> ! {
    let nothing = TablePointer { limit: 0, base: 0 };
    // SAFETY: it doesn't return, and the machine ends.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &nothing, options(noreturn)) };
}

/// Where the last page fault was.
pub(crate) fn cr2() -> u64 {
    let value;
    // SAFETY: it only reads.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack)) };
    value
}

/// A descriptor-table register's operand.
#[repr(C, packed)]
pub(crate) struct TablePointer {
    pub(crate) limit: u16,
    pub(crate) base: u64,
}

/// Loads the interrupt descriptor table.
pub(crate) fn lidt(table: &'static [[u64; 2]; 256]) {
    let pointer = TablePointer { limit: 0xfff, base: core::ptr::from_ref(table) as u64 };
    // SAFETY: the table lives for ever, and its gates lead to the stubs.
    unsafe { asm!("lidt [{}]", in(reg) &pointer, options(nostack, readonly)) };
}

/// Loads a descriptor table whose first entries equal those in use, and a task register in it.
pub(crate) fn lgdt(table: &'static [u64], task: u16) {
    let limit = (size_of_val(table) - 1) as u16;
    let pointer = TablePointer { limit, base: table.as_ptr() as u64 };
    // SAFETY: code and data selectors in use mean the same in both tables; `task` names a TSS there.
    unsafe {
        asm!("lgdt [{}]", "ltr {:x}", in(reg) &pointer, in(reg) task, options(nostack));
    }
}
