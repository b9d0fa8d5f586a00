//! ACPI fixed hardware: PM1a events and control, the PM timer, and the reset register.
//!
//! ACPI 6.5 4.8.3 "Fixed Hardware Registers". No sleep state but S5 exists; there is no button, so
//! the status register never has a bit set and the SCI never fires.

use pangea_topology::layout;
use std::time::Instant;

/// Ticks of the PM timer in a second (ACPI 6.5 4.8.3.3).
const TIMER_HZ: u128 = 3_579_545;
/// PM1 control: ACPI mode is on, and stays on (there is no other mode).
const SCI_EN: u16 = 1;
const SLP_TYP_SHIFT: u32 = 10;
const SLP_EN: u16 = 1 << 13;

/// What the guest asks of the machine through these registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    PowerOff,
    Reset,
}

/// The registers.
#[derive(Debug)]
pub(crate) struct Power {
    start: Instant,
    enable: u16,
}

impl Power {
    pub(crate) fn new() -> Power {
        Power { start: Instant::now(), enable: 0 }
    }

    /// One byte of the PM1a event and control blocks and the PM timer, at its port, as it is `now`.
    pub(crate) fn read(&self, port: u16, now: Instant) -> u8 {
        let byte = |value: u32, base: u16| value.to_le_bytes()[usize::from(port - base) & 3];
        match port {
            layout::PM_TMR_PORT.. => byte(self.timer(now), layout::PM_TMR_PORT),
            layout::PM1A_CNT_PORT.. => byte(SCI_EN.into(), layout::PM1A_CNT_PORT),
            _ => byte(u32::from(self.enable) << 16, layout::PM1A_EVT_PORT),
        }
    }

    /// A write to them; `value` has `len` bytes.
    pub(crate) fn write(&mut self, port: u16, len: usize, value: u32) -> Option<Request> {
        match port {
            layout::PM1A_CNT_PORT if len >= 2 => {
                let control = value as u16;
                let sleep_type = control >> SLP_TYP_SHIFT & 7;
                let off = control & SLP_EN != 0 && sleep_type == u16::from(layout::S5_SLP_TYP);
                off.then_some(Request::PowerOff)
            }
            // Status bits are cleared by writing ones; none is ever set.
            layout::PM1A_EVT_PORT if len == 4 => {
                self.enable = (value >> 16) as u16;
                None
            }
            port if port == layout::PM1A_EVT_PORT + 2 => {
                self.enable = value as u16;
                None
            }
            _ => None,
        }
    }

    /// A write to the reset register's port.
    pub(crate) fn write_reset(&self, value: u8) -> Option<Request> {
        // PC reset control: bit 2 resets; bit 1 alone only selects how.
        (value & 0b100 != 0).then_some(Request::Reset)
    }

    fn timer(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.start);
        (passed.as_nanos() * TIMER_HZ / 1_000_000_000) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_s5_with_the_enable_bit_powers_off() {
        let mut power = Power::new();
        let s5 = u32::from(layout::S5_SLP_TYP) << SLP_TYP_SHIFT;
        assert_eq!(power.write(layout::PM1A_CNT_PORT, 2, s5), None);
        assert_eq!(power.write(layout::PM1A_CNT_PORT, 2, u32::from(SLP_EN)), None);
        let off = power.write(layout::PM1A_CNT_PORT, 2, s5 | u32::from(SLP_EN));
        assert_eq!(off, Some(Request::PowerOff));
    }

    #[test]
    fn acpi_mode_is_on_and_the_enables_read_back() {
        let mut power = Power::new();
        power.write(layout::PM1A_EVT_PORT + 2, 2, 0x0120);
        let now = Instant::now();
        let read = |at: u16| power.read(layout::PM1A_EVT_PORT + at, now);
        assert_eq!([read(0), read(1), read(2), read(3)], [0, 0, 0x20, 0x01]);
        assert_eq!(power.read(layout::PM1A_CNT_PORT, now), 1);
    }

    #[test]
    fn the_timers_bytes_are_of_one_moment() {
        let power = Power::new();
        // 65,536 ticks are 18.30847 ms: there three bytes change at once.
        for (ns, bytes) in [(18_308_300, [0xff, 0xff, 0, 0]), (18_308_500, [0, 0, 1, 0])] {
            let now = power.start + Duration::from_nanos(ns);
            let read = |at| power.read(layout::PM_TMR_PORT + at, now);
            assert_eq!([0, 1, 2, 3].map(read), bytes, "after {ns} ns");
        }
    }

    #[test]
    fn the_reset_register_takes_what_the_fadt_says() {
        assert_eq!(Power::new().write_reset(layout::RESET_VALUE), Some(Request::Reset));
        assert_eq!(Power::new().write_reset(0x02), None);
    }
}
