//! Devices, used by the CPUs of other nodes: the clock, the PM timer, the serial port and its
//! interrupt, which each CPU takes to itself by the I/O APIC.
//!
//! Spec: Intel 82093AA 3.2 "IOAPIC Registers".

use crate::acpi::pm_timer;
use crate::cpu::{in8, out8};
use crate::crew::{Crew, Ring, crew};
use crate::failure::{Outcome, ensure};
use crate::interrupts::DEVICE;
use crate::local::Local;
use crate::physical::write_register;
use crate::serial::{self, say};
use crate::time;

/// RTC: index and data port; register A's update in progress.
const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
const REGISTER_A: u8 = 0x0a;
const UPDATING: u8 = 1 << 7;
/// Year, month, day, hours, minutes, seconds.
const FIELDS: [u8; 6] = [9, 8, 7, 4, 2, 0];
/// What they may be, in BCD; a PC's clock counts so by default.
const HIGHEST: [u8; 6] = [0x99, 0x12, 0x31, 0x23, 0x59, 0x59];

/// I/O APIC: index and window register; the two words of a pin's entry; masked.
const IOAPIC_WINDOW: u64 = 0x10;
const ENTRY: u32 = 0x10;
const MASKED: u32 = 1 << 16;

pub(super) fn run(crew: &Crew) -> Outcome {
    for cpu in 0..crew.len() {
        let found = crew.run(Ring::Zero, use_devices, &[(cpu, [0; 4])])?;
        let [date, first, second, _] = found.get(0).unwrap_or_default();
        let date = date.to_be_bytes();
        let [_, _, year, month, day, hours, minutes, seconds] = date;
        let right =
            date[2..].iter().zip(HIGHEST).all(|(byte, most)| *byte <= most && byte & 0xf <= 9);
        ensure!(right && month > 0 && day > 0, "cpu {cpu} reads {date:x?} from the RTC");
        say!(
            "rtc by cpu {cpu}: 20{year:02x}-{month:02x}-{day:02x} \
             {hours:02x}:{minutes:02x}:{seconds:02x}"
        );
        ensure!(first != second, "cpu {cpu}: the PM timer stands still at {first:#x}");
        say!("pm timer by cpu {cpu}: goes on");
        let found = crew.run(Ring::Zero, take_interrupts, &[(cpu, [0; 4])])?;
        let count = found.get(0).map_or(0, |words| words[0]);
        ensure!(count > 0, "cpu {cpu} gets no interrupt of the serial port");
        say!("serial interrupts at cpu {cpu}: come");
    }
    Ok(())
}

/// Has the serial port interrupt this CPU while it speaks. Leaves how often it did.
extern "sysv64" fn take_interrupts(me: &'static Local, words: &mut [u64; 4]) {
    let Ok(crew) = crew() else { return };
    let route = |low: u32| {
        let write = |register, value| {
            write_register(crew.machine.ioapic, register);
            write_register(crew.machine.ioapic + IOAPIC_WINDOW, value);
        };
        let entry = ENTRY + 2 * serial::IRQ;
        write(entry, MASKED);
        write(entry + 1, me.apic_id() << 24);
        write(entry, low);
    };
    route(DEVICE.into());
    let before = me.count(DEVICE);
    serial::interrupts(true);
    say!("cpu {} speaks, and is interrupted", me.index());
    time::spin(|| me.count(DEVICE) > before);
    serial::interrupts(false);
    route(MASKED);
    words[0] = me.count(DEVICE) - before;
}

/// Leaves the date, and the PM timer at two times. Says something itself.
extern "sysv64" fn use_devices(me: &'static Local, words: &mut [u64; 4]) {
    let settled = || {
        out8(INDEX, REGISTER_A);
        in8(DATA) & UPDATING == 0
    };
    if time::spin(settled) {
        words[0] = FIELDS.into_iter().fold(0, |date, field| {
            out8(INDEX, field);
            date << 8 | u64::from(in8(DATA))
        });
    }
    words[1] = pm_timer().unwrap_or(0).into();
    time::delay(1000);
    words[2] = pm_timer().unwrap_or(0).into();
    say!("cpu {} speaks for itself", me.index());
}
