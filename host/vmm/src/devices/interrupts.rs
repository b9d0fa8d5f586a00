//! From a device's pin to a vCPU: the I/O APIC under its lock, and the machine that delivers.

use super::ioapic::{Effects, Ioapic, routes};
use pangea_kvm::{IOAPIC_PINS, Msi, Vm};
use std::sync::{Arc, Mutex, PoisonError};

/// Called with the new redirection entries, so that other nodes report the ends of interrupts too.
pub(crate) type Rerouted = dyn Fn([u64; IOAPIC_PINS]) + Send + Sync;

/// The root node's interrupt lines.
pub(crate) struct Interrupts {
    ioapic: Mutex<Ioapic>,
    vm: Arc<Vm>,
    rerouted: Box<Rerouted>,
}

impl Interrupts {
    pub(crate) fn new(vm: Arc<Vm>, rerouted: Box<Rerouted>) -> Interrupts {
        Interrupts { ioapic: Mutex::new(Ioapic::new()), vm, rerouted }
    }

    /// An edge on a pin.
    pub(crate) fn pulse(&self, pin: u32) {
        let message = self.lock().pulse(pin as usize);
        self.send(message);
    }

    pub(crate) fn read(&self, offset: u64) -> u32 {
        self.lock().read(offset)
    }

    /// A guest's write. Nodes learn of new routes before the first interrupt that takes them: both
    /// go through the same lanes in this order.
    pub(crate) fn write(&self, offset: u64, value: u32) {
        let mut ioapic = self.lock();
        let Effects { send, rerouted } = ioapic.write(offset, value);
        if rerouted {
            let entries = ioapic.entries();
            if let Err(error) = self.vm.set_routes(&routes(&entries)) {
                tracing::error!(%error, "the guest's interrupt routes could not be set");
            }
            (self.rerouted)(entries);
        }
        drop(ioapic);
        self.send(send);
    }

    /// A vCPU, on whichever node, ended a level-triggered interrupt.
    pub(crate) fn end(&self, vector: u8) {
        let again = self.lock().end_of_interrupt(vector);
        self.send(again);
    }

    fn send(&self, messages: impl IntoIterator<Item = Msi>) {
        for message in messages {
            if let Err(error) = self.vm.signal(message) {
                tracing::error!(%error, ?message, "an interrupt could not be delivered");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ioapic> {
        self.ioapic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
