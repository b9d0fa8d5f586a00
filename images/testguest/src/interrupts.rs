//! Interrupts and exceptions of every CPU: counted, or the end.

#![allow(unsafe_code)] // The handler that assembly calls.

use crate::local::Local;
use crate::once::Once;
use crate::serial::say;
use crate::{acpi, apic, cpu, entry};
use core::sync::atomic::Ordering;

/// Vectors. NMI has none of its own to choose.
pub(crate) const NMI: u8 = 2;
pub(crate) const BREAKPOINT: u8 = 3;
pub(crate) const WAKE: u8 = 0x40;
pub(crate) const PING: u8 = 0x51;
pub(crate) const PONG: u8 = 0x62;
pub(crate) const OTHERS: u8 = 0x73;
pub(crate) const LOGICAL: u8 = 0x84;
pub(crate) const TICK: u8 = 0x95;
pub(crate) const DEVICE: u8 = 0xa6;
pub(crate) const SPURIOUS: u8 = 0xff;
const KNOWN: [u8; 7] = [WAKE, PING, PONG, OTHERS, LOGICAL, TICK, DEVICE];

/// Interrupt gate, present; ring 0, and open to ring 3.
const GATE: u64 = 0x8e << 40;
const GATE_RING3: u64 = 0xee << 40;
const CODE_SELECTOR: u64 = 8;

/// What an interrupt leaves on the stack; see `interrupt_common` in `entry.s`.
#[repr(C)]
struct Frame {
    registers: [u64; 9],
    /// Where the stub would go on.
    stub: u64,
    error: u64,
    rip: u64,
    cs: u64,
    flags: u64,
    rsp: u64,
    ss: u64,
}

static TABLE: Once<[[u64; 2]; 256]> = Once::new();

/// Makes the table; on the boot CPU, before any other is started.
pub(crate) fn prepare() {
    let mut table = [[0; 2]; 256];
    for (vector, slot) in (0..=255u8).zip(&mut table) {
        *slot = match vector {
            BREAKPOINT => gate(entry::ring3_gate(), GATE_RING3),
            _ => gate(entry::stub(vector), GATE),
        };
    }
    TABLE.put(table);
}

/// Makes it this CPU's.
pub(crate) fn load() {
    if let Some(table) = TABLE.get() {
        cpu::lidt(table);
    }
}

fn gate(to: u64, kind: u64) -> [u64; 2] {
    let low = to & 0xffff | CODE_SELECTOR << 16 | kind | (to >> 16 & 0xffff) << 48;
    [low, to >> 32]
}

#[unsafe(no_mangle)]
extern "sysv64" fn interrupt(frame: &Frame) {
    let vector = ((frame.stub - 1 - entry::stub(0)) / entry::STUB_LEN) as u8;
    let local = Local::mine();
    local.interrupts[usize::from(vector)].fetch_add(1, Ordering::AcqRel);
    match vector {
        NMI | SPURIOUS => {}
        vector if KNOWN.contains(&vector) => apic::end_of_interrupt(),
        _ => {
            let Frame { error, rip, cs, flags, rsp, .. } = *frame;
            let (cpu, cr2) = (local.index(), cpu::cr2());
            say!(
                "FAILED cpu {cpu}: exception or unknown interrupt {vector:#x}, error {error:#x}, \
                 at {cs:#x}:{rip:#x}, flags {flags:#x}, stack {rsp:#x}, cr2 {cr2:#x}"
            );
            acpi::power_off()
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    match info.location() {
        Some(at) => say!("FAILED {} ({}:{})", info.message(), at.file(), at.line()),
        None => say!("FAILED {}", info.message()),
    }
    acpi::power_off()
}
