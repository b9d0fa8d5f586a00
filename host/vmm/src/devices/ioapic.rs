//! The I/O APIC, in user space: pins in, messages out.
//!
//! ```text
//!   device --pulse/set_line--> pin --redirection entry--> Msi --KVM_SIGNAL_MSI--> LAPIC (real or ghost)
//!                               ^                                                  |
//!                               +------- end of interrupt (level pins) ------------+
//! ```
//!
//! Intel 82093AA datasheet, 3.0 "Register Description"; destination bits 14:8 in bits 55:49 of an
//! entry: KVM_FEATURE_MSI_EXT_DEST_ID, Documentation/virt/kvm/x86/cpuid.rst.

use pangea_kvm::{IOAPIC_PINS, Msi};
use pangea_topology::layout;

const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const REG_ID: u8 = 0;
const REG_VERSION: u8 = 1;
const REG_ARBITRATION: u8 = 2;
const REG_ENTRIES: u8 = 0x10;
/// Version 0x11 and the highest pin.
const VERSION: u32 = 0x11 | (IOAPIC_PINS as u32 - 1) << 16;

const VECTOR: u64 = 0xff;
const DELIVERY: u64 = 7 << 8;
const LOGICAL: u64 = 1 << 11;
const REMOTE_IRR: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;
/// What the guest can't write: delivery status and remote IRR.
const READ_ONLY: u64 = 1 << 12 | REMOTE_IRR;

/// What an access did, for the caller to act on once it has let go of the device.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Messages to send, in order.
    pub(crate) send: Vec<Msi>,
    /// The entries changed: KVM must be told which vectors' ends to report.
    pub(crate) rerouted: bool,
}

/// The chip.
#[derive(Debug)]
pub(crate) struct Ioapic {
    select: u8,
    id: u32,
    entries: [u64; IOAPIC_PINS],
    lines: [bool; IOAPIC_PINS],
}

impl Ioapic {
    pub(crate) fn new() -> Ioapic {
        Ioapic {
            select: 0,
            id: u32::from(layout::IOAPIC_ID) << 24,
            entries: [MASKED; IOAPIC_PINS],
            lines: [false; IOAPIC_PINS],
        }
    }

    /// The redirection entries, as the guest wrote them.
    pub(crate) fn entries(&self) -> [u64; IOAPIC_PINS] {
        self.entries
    }

    pub(crate) fn read(&self, offset: u64) -> u32 {
        match offset {
            SELECT => self.select.into(),
            WINDOW => match self.select {
                REG_ID | REG_ARBITRATION => self.id,
                REG_VERSION => VERSION,
                select => match self.entry(select) {
                    Some((pin, high)) if high => (self.entries[pin] >> 32) as u32,
                    Some((pin, _)) => self.entries[pin] as u32,
                    None => u32::MAX,
                },
            },
            _ => u32::MAX,
        }
    }

    pub(crate) fn write(&mut self, offset: u64, value: u32) -> Effects {
        match (offset, self.select) {
            (SELECT, _) => self.select = value as u8,
            (WINDOW, REG_ID) => self.id = value & 0x0f00_0000,
            // The version is fixed; Windows writes to it all the same.
            (WINDOW, select) => {
                if let Some((pin, high)) = self.entry(select) {
                    return self.write_entry(pin, high, value);
                }
            }
            _ => {}
        }
        Effects::default()
    }

    /// An edge on a pin.
    pub(crate) fn pulse(&mut self, pin: usize) -> Option<Msi> {
        let entry = *self.entries.get(pin)?;
        (entry & MASKED == 0).then(|| message(entry))
    }

    /// The level of a pin. No device drives one yet; the chip's own tests do.
    #[cfg(test)]
    pub(crate) fn set_line(&mut self, pin: usize, high: bool) -> Option<Msi> {
        let was = std::mem::replace(self.lines.get_mut(pin)?, high);
        let rising = high && !was;
        if self.entries[pin] & LEVEL == 0 {
            return if rising { self.pulse(pin) } else { None };
        }
        self.try_level(pin)
    }

    /// Some LAPIC ended an interrupt with this vector.
    pub(crate) fn end_of_interrupt(&mut self, vector: u8) -> Vec<Msi> {
        let ended = |entry: u64| entry & LEVEL != 0 && entry & VECTOR == u64::from(vector);
        let pins: Vec<_> = (0..IOAPIC_PINS).filter(|&pin| ended(self.entries[pin])).collect();
        pins.into_iter()
            .filter_map(|pin| {
                self.entries[pin] &= !REMOTE_IRR;
                self.try_level(pin)
            })
            .collect()
    }

    fn try_level(&mut self, pin: usize) -> Option<Msi> {
        let entry = self.entries[pin];
        if !self.lines[pin] || entry & (MASKED | REMOTE_IRR) != 0 {
            return None;
        }
        self.entries[pin] |= REMOTE_IRR;
        Some(message(entry))
    }

    fn write_entry(&mut self, pin: usize, high: bool, value: u32) -> Effects {
        let old = self.entries[pin];
        let wrote = match high {
            true => old & 0xffff_ffff | u64::from(value) << 32,
            false => old & !0xffff_ffff | u64::from(value),
        };
        let mut new = wrote & !READ_ONLY | old & READ_ONLY;
        if new & LEVEL == 0 {
            // An edge pin awaits no end; a change of mode is how Linux clears a stuck one.
            new &= !REMOTE_IRR;
        }
        self.entries[pin] = new;
        let send = (new & LEVEL != 0).then(|| self.try_level(pin)).flatten();
        Effects { send: send.into_iter().collect(), rerouted: new != old }
    }

    fn entry(&self, select: u8) -> Option<(usize, bool)> {
        let offset = usize::from(select.checked_sub(REG_ENTRIES)?);
        (offset / 2 < IOAPIC_PINS).then_some((offset / 2, offset % 2 == 1))
    }
}

/// What KVM must know of the entries: the level-triggered ones that can be delivered.
pub(crate) fn routes(entries: &[u64; IOAPIC_PINS]) -> [Option<Msi>; IOAPIC_PINS] {
    entries.map(|entry| (entry & LEVEL != 0 && entry & MASKED == 0).then(|| message(entry)))
}

/// The message that an entry makes.
fn message(entry: u64) -> Msi {
    let id = entry >> 56 | (entry >> 49 & 0x7f) << 8;
    let logical = u64::from(entry & LOGICAL != 0) << 2;
    let address = layout::LAPIC.0 | (id & 0xff) << 12 | logical | (id & !0xff) << 32;
    let data = (entry & (VECTOR | DELIVERY | LEVEL)) as u32 | u32::from(entry & LEVEL != 0) << 14;
    Msi { address, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(chip: &mut Ioapic, pin: u8, entry: u64) -> Effects {
        chip.write(SELECT, u32::from(REG_ENTRIES + 2 * pin + 1));
        chip.write(WINDOW, (entry >> 32) as u32);
        chip.write(SELECT, u32::from(REG_ENTRIES + 2 * pin));
        chip.write(WINDOW, entry as u32)
    }

    #[test]
    fn an_edge_becomes_one_message_to_the_entrys_destination() {
        let mut chip = Ioapic::new();
        assert_eq!(chip.pulse(4), None, "masked at reset");
        assert!(program(&mut chip, 4, 3 << 56 | 0x31).rerouted);
        assert_eq!(chip.pulse(4), Some(Msi { address: 0xfee0_3000, data: 0x31 }));
    }

    #[test]
    fn destinations_over_255_take_the_extended_bits() {
        let mut chip = Ioapic::new();
        program(&mut chip, 4, 0x01 << 56 | 0x03 << 49 | 0x31);
        let sent = chip.pulse(4);
        assert_eq!(sent, Some(Msi { address: 0x300_fee0_1000, data: 0x31 }), "APIC ID 0x301");
    }

    #[test]
    fn a_level_repeats_after_its_end_while_the_line_is_high() {
        let mut chip = Ioapic::new();
        program(&mut chip, 9, LEVEL | 0x40);
        let message = Msi { address: 0xfee0_0000, data: 0xc040 };
        assert_eq!(chip.set_line(9, true), Some(message));
        assert_eq!(chip.set_line(9, true), None, "one at a time");
        assert_eq!(chip.end_of_interrupt(0x41), [], "another vector");
        assert_eq!(chip.end_of_interrupt(0x40), [message]);
        chip.set_line(9, false);
        assert_eq!(chip.end_of_interrupt(0x40), []);
    }

    #[test]
    fn unmasking_delivers_a_level_that_was_waiting() {
        let mut chip = Ioapic::new();
        program(&mut chip, 9, MASKED | LEVEL | 0x40);
        assert_eq!(chip.set_line(9, true), None);
        assert_eq!(program(&mut chip, 9, LEVEL | 0x40).send.len(), 1);
    }

    #[test]
    fn registers_that_are_not_there_read_as_ones_and_swallow_writes() {
        let mut chip = Ioapic::new();
        chip.write(SELECT, 0xff);
        assert_eq!(chip.read(WINDOW), u32::MAX);
        assert_eq!(chip.write(WINDOW, 1), Effects::default());
        chip.write(SELECT, 1);
        chip.write(WINDOW, 0);
        assert_eq!(chip.read(WINDOW), 0x0017_0011);
    }
}
