//! COM1, polled: one line at a time, whichever CPU it comes from.

use crate::cpu::{in8, out8, pause};
use core::fmt::{Arguments, Result, Write};
use core::sync::atomic::{AtomicBool, Ordering};

/// 16550 at the first serial port of a PC: data, interrupt enable, interrupt identification (reading
/// it ends one), line status.
const DATA: u16 = 0x3f8;
const INTERRUPT_ENABLE: u16 = 0x3f9;
const INTERRUPT_ID: u16 = 0x3fa;
const LINE_STATUS: u16 = 0x3fd;
/// Its interrupt.
pub(crate) const IRQ: u32 = 4;
/// Interrupt when the transmitter takes a byte.
const WHEN_READY: u8 = 1 << 1;
/// The transmitter takes a byte.
const READY: u8 = 1 << 5;
/// So often a busy transmitter is looked at before the byte is sent all the same.
const PATIENCE: u32 = 100_000;

static BUSY: AtomicBool = AtomicBool::new(false);

struct Port;

impl Write for Port {
    fn write_str(&mut self, text: &str) -> Result {
        for byte in text.bytes() {
            let mut left = PATIENCE;
            while in8(LINE_STATUS) & READY == 0 && left > 0 {
                left -= 1;
            }
            out8(DATA, byte);
        }
        Ok(())
    }
}

/// Interrupts when the transmitter is ready, or none; none is left over from before.
pub(crate) fn interrupts(on: bool) {
    in8(INTERRUPT_ID);
    out8(INTERRUPT_ENABLE, if on { WHEN_READY } else { 0 });
}

/// Prints one line.
pub(crate) fn line(text: Arguments<'_>) {
    let mut left = PATIENCE;
    // A CPU that failed while it printed must not silence the others.
    while BUSY.swap(true, Ordering::Acquire) && left > 0 {
        pause();
        left -= 1;
    }
    // The port never refuses.
    let _ = Port.write_fmt(format_args!("testguest: {text}\n"));
    BUSY.store(false, Ordering::Release);
}

/// One fact, one line.
macro_rules! say {
    ($($arg:tt)*) => { $crate::serial::line(format_args!($($arg)*)) };
}

pub(crate) use say;
