//! All devices of the root node, by address.
//!
//! | where | what |
//! |---|---|
//! | ports 3F8-3FF | COM1, a 16550A |
//! | ports 70-71 | RTC and CMOS |
//! | ports 600-60B | ACPI PM1a events, PM1a control, PM timer |
//! | port CF9 | reset |
//! | FEC00000 | I/O APIC |
//!
//! Everything else reads as ones and swallows writes, as an empty bus does.

use super::interrupts::Interrupts;
use super::power::{Power, Request};
use super::rtc::Rtc;
use pangea_topology::{Gpa, layout};
use pangea_wire::AccessOp;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};

/// Where the guest's serial console goes.
pub(crate) type Output = Box<dyn Write + Send>;

/// How long input waits for the guest to make room before looking again.
const ROOM: Duration = Duration::from_millis(50);
/// Bytes that the I/O APIC answers to.
const IOAPIC_LEN: u64 = 0x1000;

/// The chipset.
pub(crate) struct Chipset {
    interrupts: Arc<Interrupts>,
    serial: Mutex<Serial<Irq, NoEvents, Output>>,
    /// Notified when the guest has read from the serial port.
    room: Condvar,
    rtc: Mutex<Rtc>,
    power: Mutex<Power>,
    requests: Box<dyn Fn(Request) + Send + Sync>,
}

/// One device's edge-triggered pin.
struct Irq {
    interrupts: Arc<Interrupts>,
    pin: u32,
}

impl Trigger for Irq {
    type E = std::convert::Infallible;

    fn trigger(&self) -> Result<(), Self::E> {
        self.interrupts.pulse(self.pin);
        Ok(())
    }
}

impl Chipset {
    pub(crate) fn new(
        interrupts: Arc<Interrupts>,
        console: Output,
        requests: Box<dyn Fn(Request) + Send + Sync>,
    ) -> Chipset {
        let irq = Irq { interrupts: interrupts.clone(), pin: layout::COM1_IRQ };
        Chipset {
            interrupts,
            serial: Mutex::new(Serial::new(irq, console)),
            room: Condvar::new(),
            rtc: Mutex::new(Rtc::new()),
            power: Mutex::new(Power::new()),
            requests,
        }
    }

    /// Serves one access of any vCPU of the cluster. The answer is little-endian.
    pub(crate) fn access(&self, op: AccessOp) -> [u8; 8] {
        let mut data = [0xff; 8];
        match op {
            AccessOp::PortIn { port, size } => {
                // One moment for all bytes: a timer that goes on between them would jump.
                let now = Instant::now();
                for (port, byte) in (port..=u16::MAX).zip(&mut data[..usize::from(size.min(4))]) {
                    *byte = self.port_in(port, now);
                }
            }
            AccessOp::PortOut { port, size, value } => self.port_out(port, size, value),
            AccessOp::MmioRead { gpa, .. } => {
                if let Some(offset) = ioapic_offset(gpa) {
                    data[..4].copy_from_slice(&self.interrupts.read(offset).to_le_bytes());
                }
            }
            AccessOp::MmioWrite { gpa, data: [a, b, c, d, ..], .. } => {
                if let Some(offset) = ioapic_offset(gpa) {
                    self.interrupts.write(offset, u32::from_le_bytes([a, b, c, d]));
                }
            }
        }
        data
    }

    /// A vCPU ended a level-triggered interrupt.
    pub(crate) fn end_of_interrupt(&self, vector: u8) {
        self.interrupts.end(vector);
    }

    /// Gives the guest what was typed; waits while its FIFO is full, at most until `stop` says so.
    pub(crate) fn type_in(&self, mut bytes: &[u8], stop: &dyn Fn() -> bool) {
        let mut serial = lock(&self.serial);
        while !bytes.is_empty() && !stop() {
            // The crate refuses input that doesn't fit as a whole.
            let fits = serial.fifo_capacity().min(bytes.len());
            match serial.enqueue_raw_bytes(&bytes[..fits]) {
                Ok(taken) if taken > 0 => bytes = &bytes[taken..],
                _ => {
                    let waited = self.room.wait_timeout(serial, ROOM);
                    serial = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// To be called about once a second and more often: the clock's interrupts.
    pub(crate) fn tick(&self) {
        if lock(&self.rtc).tick() {
            self.interrupts.pulse(layout::RTC_IRQ);
        }
    }

    fn port_in(&self, port: u16, now: Instant) -> u8 {
        match port {
            COM1..=COM1_LAST => {
                let byte = lock(&self.serial).read((port - COM1) as u8);
                self.room.notify_one();
                byte
            }
            // The index port can't be read on a PC.
            RTC_DATA => lock(&self.rtc).read(),
            PM_FIRST..=PM_LAST => lock(&self.power).read(port, now),
            layout::RESET_PORT => 0,
            _ => 0xff,
        }
    }

    fn port_out(&self, port: u16, size: u8, value: u32) {
        let byte = value as u8;
        let request = match port {
            COM1..=COM1_LAST => {
                let written = lock(&self.serial).write((port - COM1) as u8, byte);
                if let Err(error) = written {
                    tracing::warn!(?error, "a byte of the guest's console is lost");
                }
                None
            }
            layout::RTC_PORT => {
                let mut rtc = lock(&self.rtc);
                rtc.select(byte);
                if size > 1 {
                    rtc.write((value >> 8) as u8);
                }
                None
            }
            RTC_DATA => {
                lock(&self.rtc).write(byte);
                None
            }
            PM_FIRST..=PM_LAST => lock(&self.power).write(port, size.into(), value),
            layout::RESET_PORT => lock(&self.power).write_reset(byte),
            _ => None,
        };
        if let Some(request) = request {
            (self.requests)(request);
        }
    }
}

const COM1: u16 = layout::COM1_PORT;
const COM1_LAST: u16 = layout::COM1_PORT + layout::COM1_LEN - 1;
const RTC_DATA: u16 = layout::RTC_PORT + 1;
const PM_FIRST: u16 = layout::PM1A_EVT_PORT;
const PM_LAST: u16 = layout::PM_TMR_PORT + layout::PM_TMR_LEN as u16 - 1;

fn ioapic_offset(gpa: Gpa) -> Option<u64> {
    gpa.0.checked_sub(layout::IOAPIC.0).filter(|offset| *offset < IOAPIC_LEN)
}

/// A device whose thread panicked is no worse than one that didn't: its registers are plain values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
