//! The real-time clock and its CMOS memory: an MC146818 that shows the root host's clock.
//!
//! Motorola MC146818A datasheet, "Registers". Time is UTC, 24 hours, binary-coded decimal unless the
//! guest chooses binary. Setting it moves an offset; the host's clock is never touched. Periodic,
//! alarm and update interrupts: the flags in register C tell of them and interrupt 8 fires, looked at
//! once a second by [`Rtc::tick`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS: u8 = 0x00;
const SECONDS_ALARM: u8 = 0x01;
const MINUTES: u8 = 0x02;
const MINUTES_ALARM: u8 = 0x03;
const HOURS: u8 = 0x04;
const HOURS_ALARM: u8 = 0x05;
const WEEKDAY: u8 = 0x06;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const REG_A: u8 = 0x0a;
const REG_B: u8 = 0x0b;
const REG_C: u8 = 0x0c;
const REG_D: u8 = 0x0d;
const CENTURY: u8 = 0x32;

/// Register B: halt updates, alarm and update interrupts, binary mode, 24 hours.
const SET: u8 = 0x80;
const ALARM: u8 = 0x20;
const UPDATE: u8 = 0x10;
const BINARY: u8 = 0x04;
const HOURS_24: u8 = 0x02;
/// Register C: some interrupt that is enabled.
const IRQF: u8 = 0x80;
/// An alarm field with both high bits set matches always.
const ANY: u8 = 0xc0;

const DAY_SECONDS: i64 = 86_400;

/// The chip.
#[derive(Debug)]
pub(crate) struct Rtc {
    index: u8,
    ram: [u8; 128],
    /// Guest time less host time, in seconds.
    offset: i64,
    /// Guest time while updates are halted, and at the last tick.
    held: i64,
    last: i64,
    flags: u8,
}

impl Rtc {
    pub(crate) fn new() -> Rtc {
        let mut ram = [0; 128];
        ram[usize::from(REG_A)] = 0x26;
        ram[usize::from(REG_B)] = HOURS_24;
        let now = host_seconds();
        Rtc { index: 0, ram, offset: 0, held: now, last: now, flags: 0 }
    }

    pub(crate) fn select(&mut self, index: u8) {
        self.index = index & 0x7f;
    }

    pub(crate) fn read(&mut self) -> u8 {
        let index = self.index;
        match index {
            REG_C => std::mem::take(&mut self.flags),
            // The clock's battery is good.
            REG_D => 0x80,
            SECONDS | MINUTES | HOURS | WEEKDAY | DAY | MONTH | YEAR | CENTURY => {
                let date = Date::of(self.now());
                self.encode(date.field(index))
            }
            _ => self.ram[usize::from(index)],
        }
    }

    pub(crate) fn write(&mut self, value: u8) {
        let index = self.index;
        match index {
            SECONDS | MINUTES | HOURS | DAY | MONTH | YEAR | CENTURY => {
                let mut date = Date::of(self.now());
                date.set(index, self.decode(value));
                let moved = date.seconds() - self.now();
                self.offset += moved;
                self.held += moved;
            }
            REG_B => {
                let halted = self.ram[usize::from(REG_B)] & SET != 0;
                match (halted, value & SET != 0) {
                    (false, true) => self.held = self.now(),
                    (true, false) => self.offset = self.held - host_seconds(),
                    _ => {}
                }
                self.ram[usize::from(REG_B)] = value | HOURS_24;
            }
            WEEKDAY | REG_C | REG_D => {}
            // Update in progress is never shown: a read takes the time of its moment.
            REG_A => self.ram[usize::from(REG_A)] = value & 0x7f,
            _ => self.ram[usize::from(index)] = value,
        }
    }

    /// Looks whether the second has changed and whether the alarm is due. True: raise interrupt 8.
    pub(crate) fn tick(&mut self) -> bool {
        let control = self.ram[usize::from(REG_B)];
        let now = self.now();
        if now == self.last || control & SET != 0 {
            return false;
        }
        // A tick that came late must not step over an alarm; a minute at most is looked through.
        let from = self.last.max(now - 60);
        let alarm = (from + 1..=now).any(|second| self.alarm_matches(second));
        self.last = now;
        self.flags |= UPDATE | if alarm { ALARM } else { 0 };
        let due = self.flags & control & (ALARM | UPDATE) != 0;
        if due {
            self.flags |= IRQF;
        }
        due
    }

    fn alarm_matches(&self, second: i64) -> bool {
        let date = Date::of(second);
        [(SECONDS_ALARM, SECONDS), (MINUTES_ALARM, MINUTES), (HOURS_ALARM, HOURS)].iter().all(
            |&(alarm, field)| {
                let wanted = self.ram[usize::from(alarm)];
                wanted & ANY == ANY || self.decode(wanted) == date.field(field)
            },
        )
    }

    fn now(&self) -> i64 {
        match self.ram[usize::from(REG_B)] & SET {
            0 => host_seconds() + self.offset,
            _ => self.held,
        }
    }

    fn encode(&self, value: u8) -> u8 {
        match self.ram[usize::from(REG_B)] & BINARY {
            0 => ((value / 10) << 4) | (value % 10),
            _ => value,
        }
    }

    fn decode(&self, value: u8) -> u8 {
        match self.ram[usize::from(REG_B)] & BINARY {
            0 => (value >> 4).saturating_mul(10).saturating_add(value & 15),
            _ => value,
        }
    }
}

fn host_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX / 2)
}

/// A moment in the proleptic Gregorian calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
}

impl Date {
    /// Days are counted from 1 March of year 0, so that the leap day ends a year.
    fn of(seconds: i64) -> Date {
        let days = seconds.div_euclid(DAY_SECONDS) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Date {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted + 2) / 5 + 1,
            second_of_day: seconds.rem_euclid(DAY_SECONDS),
        }
    }

    fn seconds(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let shifted = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * shifted + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era - 719_468) * DAY_SECONDS + self.second_of_day
    }

    fn field(self, index: u8) -> u8 {
        let weekday = (self.seconds().div_euclid(DAY_SECONDS) + 4).rem_euclid(7) + 1;
        let value = match index {
            SECONDS => self.second_of_day % 60,
            MINUTES => self.second_of_day / 60 % 60,
            HOURS => self.second_of_day / 3600,
            WEEKDAY => weekday,
            DAY => self.day,
            MONTH => self.month,
            YEAR => self.year.rem_euclid(100),
            _ => self.year.div_euclid(100).rem_euclid(100),
        };
        value as u8
    }

    fn set(&mut self, index: u8, value: u8) {
        let value = i64::from(value);
        let [hour, minute, second] =
            [self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60];
        match index {
            SECONDS => self.second_of_day = hour * 3600 + minute * 60 + value % 60,
            MINUTES => self.second_of_day = hour * 3600 + value % 60 * 60 + second,
            HOURS => self.second_of_day = value % 24 * 3600 + minute * 60 + second,
            DAY => self.day = value.clamp(1, 31),
            MONTH => self.month = value.clamp(1, 12),
            YEAR => self.year = self.year.div_euclid(100) * 100 + value % 100,
            _ => self.year = value * 100 + self.year.rem_euclid(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(rtc: &mut Rtc, index: u8) -> u8 {
        rtc.select(index);
        rtc.read()
    }

    fn put(rtc: &mut Rtc, index: u8, value: u8) {
        rtc.select(index);
        rtc.write(value);
    }

    #[test]
    fn dates_turn_into_seconds_and_back() {
        let leap = Date { year: 2024, month: 2, day: 29, second_of_day: 86_399 };
        assert_eq!(leap.seconds(), 1_709_251_199);
        assert_eq!(Date::of(1_709_251_199), leap);
        assert_eq!(Date::of(0).field(WEEKDAY), 5, "1 January 1970 was a Thursday");
    }

    #[test]
    fn a_time_that_the_guest_sets_reads_back_in_its_own_format() {
        let mut rtc = Rtc::new();
        put(&mut rtc, REG_B, SET | HOURS_24);
        for (index, value) in [(CENTURY, 0x20), (YEAR, 0x31), (MONTH, 0x12), (DAY, 0x25)] {
            put(&mut rtc, index, value);
        }
        for (index, value) in [(HOURS, 0x18), (MINUTES, 0x30), (SECONDS, 0x00)] {
            put(&mut rtc, index, value);
        }
        put(&mut rtc, REG_B, HOURS_24);
        assert_eq!((get(&mut rtc, YEAR), get(&mut rtc, DAY)), (0x31, 0x25));
        put(&mut rtc, REG_B, HOURS_24 | BINARY);
        assert_eq!((get(&mut rtc, HOURS), get(&mut rtc, MINUTES)), (18, 30));
    }

    #[test]
    fn an_alarm_raises_its_flag_once() {
        let mut rtc = Rtc::new();
        for alarm in [SECONDS_ALARM, MINUTES_ALARM, HOURS_ALARM] {
            put(&mut rtc, alarm, ANY);
        }
        put(&mut rtc, REG_B, ALARM | HOURS_24);
        rtc.last -= 1;
        assert!(rtc.tick());
        assert_eq!(get(&mut rtc, REG_C) & (IRQF | ALARM), IRQF | ALARM);
        assert_eq!(get(&mut rtc, REG_C), 0, "reading clears it");
    }

    #[test]
    fn nonsense_written_to_any_register_does_no_harm() {
        let mut rtc = Rtc::new();
        for index in 0..=255u8 {
            for value in [0, 0x7f, 0xff] {
                put(&mut rtc, index, value);
                get(&mut rtc, index);
                rtc.tick();
            }
        }
    }
}
