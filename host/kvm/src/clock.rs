//! One time for all nodes: kvmclock and the time-stamp counters start together at an [`Epoch`].
//!
//! The root node chooses a moment of real time, slightly past, at which the guest's kvmclock and TSC
//! were zero. Each node then sets its own machine from its own real-time clock:
//! `KVM_SET_CLOCK { clock: 0, realtime: epoch }` makes the kernel add what has passed since. The
//! error is thus the skew of the hosts' clocks, which the links have measured and bounded
//! (`pangea-transport`): while it is under half of a round trip, no message can show a vCPU a time
//! that runs backwards.
//!
//! The guest is told to use kvmclock (`cpuid.rs`), which each kernel scales by its own TSC rate; the
//! TSC serves for the LAPIC's deadline timer only.
//!
//! Documentation/virt/kvm/api.rst "KVM_SET_CLOCK"; Documentation/virt/kvm/devices/vcpu.rst
//! "KVM_VCPU_TSC_CTRL".

#![allow(unsafe_code)] // One ioctl that kvm-ioctls has for other architectures only.

use crate::{Cpu, KvmError, Vm};
use kvm_bindings::{
    KVM_CLOCK_REALTIME, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, KVMIO, kvm_clock_data,
    kvm_device_attr,
};
use std::time::{SystemTime, UNIX_EPOCH};
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

ioctl_iow_nr!(KVM_SET_DEVICE_ATTR, KVMIO, 0xe1, kvm_device_attr);

/// Two hosts whose counters, brought to the same moment, differ by less than this (in microseconds)
/// have one counter: they are the same machine. Counters of two machines differ by their uptimes.
const SAME_COUNTER_US: u64 = 1000;
/// Rates that differ by less than this many parts per million are one rate, as KVM itself takes it.
const SAME_RATE_PPM: u64 = 250;

/// The guest's zero of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Epoch {
    /// CLOCK_REALTIME, nanoseconds.
    pub realtime_ns: u64,
    /// The root host's TSC at that moment.
    pub tsc: u64,
    /// The root host's TSC rate, kHz; the guest's on every node.
    pub tsc_khz: u32,
}

/// What a vCPU's TSC is ahead of its host's, and at which rate it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TscOffset {
    offset: u64,
    khz: Option<u32>,
}

impl Epoch {
    /// Now, on this host; the root node's choice.
    pub fn now(tsc_khz: u32) -> Epoch {
        let (realtime_ns, tsc) = moment();
        Epoch { realtime_ns, tsc, tsc_khz }
    }

    /// The offset that makes this host's vCPUs read zero at the epoch.
    pub fn tsc_offset(&self, host_khz: u32) -> TscOffset {
        let (realtime_ns, tsc) = moment();
        let passed_ns = realtime_ns.saturating_sub(self.realtime_ns);
        let ticks = |khz: u32| (u128::from(passed_ns) * u128::from(khz) / 1_000_000) as u64;
        let at_epoch = tsc.wrapping_sub(ticks(host_khz));
        let same = self.tsc.abs_diff(at_epoch) / u64::from(host_khz.max(1000) / 1000);
        if same < SAME_COUNTER_US {
            return TscOffset { offset: self.tsc.wrapping_neg(), khz: None };
        }
        let ppm =
            u64::from(host_khz.abs_diff(self.tsc_khz)) * 1_000_000 / u64::from(self.tsc_khz.max(1));
        let khz = (ppm > SAME_RATE_PPM).then_some(self.tsc_khz);
        TscOffset { offset: ticks(self.tsc_khz).wrapping_sub(tsc), khz }
    }
}

impl Vm {
    /// Sets the machine's kvmclock: zero at the epoch, running since.
    pub fn set_clock(&self, epoch: &Epoch) -> Result<(), KvmError> {
        let clock = kvm_clock_data {
            clock: 0,
            flags: KVM_CLOCK_REALTIME,
            realtime: epoch.realtime_ns,
            ..Default::default()
        };
        self.fd
            .set_clock(&clock)
            .map_err(|source| KvmError::Vm { call: "KVM_SET_CLOCK(REALTIME)", source })
    }
}

impl TscOffset {
    pub(crate) fn set(&self, cpu: &Cpu) -> Result<(), KvmError> {
        if let Some(khz) = self.khz {
            cpu.fd.set_tsc_khz(khz).map_err(cpu.error("KVM_SET_TSC_KHZ (TSC scaling)"))?;
        }
        let attribute = kvm_device_attr {
            group: KVM_VCPU_TSC_CTRL,
            attr: KVM_VCPU_TSC_OFFSET.into(),
            addr: &raw const self.offset as u64,
            flags: 0,
        };
        // SAFETY: the hazard is the kernel reading through `addr`. It reads eight bytes during the
        // call, and `self.offset` lives through it.
        let done = unsafe { ioctl_with_ref(&cpu.fd, KVM_SET_DEVICE_ATTR(), &attribute) };
        if done < 0 {
            return Err(cpu.error("KVM_SET_DEVICE_ATTR(TSC_OFFSET)")(kvm_ioctls::Error::last()));
        }
        Ok(())
    }
}

/// Real time and TSC of one moment: of a few tries the one that took least.
fn moment() -> (u64, u64) {
    let sample = || {
        let before = tsc();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let took = tsc().wrapping_sub(before);
        (took, (now, before.wrapping_add(took / 2)))
    };
    let best = (0..8).map(|_| sample()).min_by_key(|(took, _)| *took);
    best.map_or((0, 0), |(_, moment)| moment)
}

fn tsc() -> u64 {
    // SAFETY: every x86-64 CPU has RDTSC, and Linux leaves it to user space.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_one_host_every_node_gets_the_very_same_offset() {
        let khz = 2_500_000;
        let epoch = Epoch { tsc_khz: khz, ..Epoch::now(khz) };
        // The rate is only a guess here; at once after the epoch it can't matter.
        let offset = epoch.tsc_offset(khz);
        assert_eq!(offset, TscOffset { offset: epoch.tsc.wrapping_neg(), khz: None });
    }

    #[test]
    fn another_hosts_counter_is_brought_to_the_epoch_by_real_time() {
        let khz = 3_000_000;
        let mut epoch = Epoch::now(2_000_000);
        epoch.tsc = epoch.tsc.wrapping_add(1 << 50);
        let offset = epoch.tsc_offset(khz);
        assert_eq!(offset.khz, Some(2_000_000), "the guest runs at the root node's rate");
        let guest = tsc().wrapping_add(offset.offset);
        assert!(guest < 1 << 40, "the guest's counter has just started, not {guest:#x}");
    }
}
