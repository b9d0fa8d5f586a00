//! This CPU's LAPIC in x2APIC mode: identity, interrupts to others, its timer as a tick.
//!
//! Spec: Intel SDM vol. 3 10.6 "Issuing Interprocessor Interrupts", 10.12 "Extended XAPIC (x2APIC)".

use crate::cpu::{out8, read_msr, write_msr};
use crate::interrupts::{SPURIOUS, TICK};

const APIC_BASE: u32 = 0x1b;
const ID: u32 = 0x802;
const EOI: u32 = 0x80b;
const LOGICAL_ID: u32 = 0x80d;
const SPURIOUS_VECTOR: u32 = 0x80f;
const COMMAND: u32 = 0x830;
const TIMER: u32 = 0x832;
const TIMER_INITIAL: u32 = 0x838;
const TIMER_DIVIDE: u32 = 0x83e;

/// Interrupt mask registers of the two 8259s.
const MASKS_8259: [u16; 2] = [0x21, 0xa1];

/// LAPIC enabled, x2APIC mode.
const ENABLED: u64 = 1 << 11 | 1 << 10;
/// Timer: periodic. Divider: by 1.
const PERIODIC: u64 = 1 << 17;
const BY_1: u64 = 0b1011;
/// Timer counts between two ticks: 50 ms at the 1 GHz of KVM's and QEMU's LAPIC.
const TICK_COUNTS: u64 = 50_000_000;

/// Delivery modes and flags of the command register.
const NMI: u64 = 0x400;
const INIT: u64 = 0x500;
const STARTUP: u64 = 0x600;
const LOGICAL: u64 = 1 << 11;
const ASSERT: u64 = 1 << 14;
const ALL_BUT_SELF: u64 = 0b11 << 18;

/// Switches x2APIC mode on, and the spurious vector.
pub(crate) fn enable() {
    let base = read_msr(APIC_BASE);
    if base & ENABLED != ENABLED {
        // From off, the way to x2APIC leads over xAPIC.
        write_msr(APIC_BASE, base | 1 << 11);
        write_msr(APIC_BASE, base | ENABLED);
    }
    write_msr(SPURIOUS_VECTOR, 1 << 8 | u64::from(SPURIOUS));
}

/// Silences the interrupt controllers of old, where the machine has them.
pub(crate) fn mask_8259() {
    MASKS_8259.into_iter().for_each(|port| out8(port, 0xff));
}

/// A tick now and then, so that no wait is for ever.
pub(crate) fn start_ticks() {
    write_msr(TIMER_DIVIDE, BY_1);
    write_msr(TIMER, PERIODIC | u64::from(TICK));
    write_msr(TIMER_INITIAL, TICK_COUNTS);
}

pub(crate) fn id() -> u32 {
    read_msr(ID) as u32
}

/// Cluster in bits 31:16, one bit of the CPU in 15:0.
pub(crate) fn logical_id() -> u32 {
    read_msr(LOGICAL_ID) as u32
}

pub(crate) fn end_of_interrupt() {
    write_msr(EOI, 0);
}

fn command(to: u32, what: u64) {
    write_msr(COMMAND, u64::from(to) << 32 | what);
}

pub(crate) fn send(to: u32, vector: u8) {
    command(to, vector.into());
}

/// To every CPU of a cluster whose bit is set.
pub(crate) fn send_logical(to: u32, vector: u8) {
    command(to, LOGICAL | u64::from(vector));
}

pub(crate) fn send_to_others(vector: u8) {
    command(0, ALL_BUT_SELF | u64::from(vector));
}

pub(crate) fn send_nmi(to: u32) {
    command(to, ASSERT | NMI);
}

pub(crate) fn send_init(to: u32) {
    command(to, ASSERT | INIT);
}

/// Starts a CPU that waits after INIT at a page below 1 MiB.
pub(crate) fn send_startup(to: u32, page: u64) {
    command(to, ASSERT | STARTUP | page >> 12 & 0xff);
}
