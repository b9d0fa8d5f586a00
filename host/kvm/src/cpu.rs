//! What real vCPUs and ghosts have in common: a kernel vCPU, its name in errors, its state.

use crate::{KvmError, Vm, segment};
use kvm_bindings::{CpuId, Msrs, kvm_msr_entry, kvm_sregs};
use kvm_ioctls::VcpuFd;
use pangea_topology::ApicId;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once, when the machine stops.
#[derive(Default)]
pub(crate) struct StopFlag(AtomicBool);

impl StopFlag {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One kernel vCPU.
pub(crate) struct Cpu {
    pub(crate) id: ApicId,
    pub(crate) fd: VcpuFd,
}

impl Cpu {
    /// Creates it in x2APIC mode, with the given CPUID.
    pub(crate) fn new(vm: &Vm, id: ApicId, cpuid: &CpuId) -> Result<Cpu, KvmError> {
        let cpu = Cpu { id, fd: vm.create_vcpu(id)? };
        cpu.fd.set_cpuid2(cpuid).map_err(cpu.error("KVM_SET_CPUID2"))?;
        let mut sregs = cpu.sregs()?;
        sregs.apic_base = segment::APIC_BASE;
        cpu.set_sregs(&sregs)?;
        Ok(cpu)
    }

    pub(crate) fn error(&self, call: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> KvmError {
        let cpu = self.id;
        move |source| KvmError::Vcpu { call, cpu, source }
    }

    /// The error of a vCPU that can't go on, with where it was.
    pub(crate) fn dead(&self, reason: String) -> KvmError {
        let rip = self.fd.get_regs().map_or(0, |r| r.rip);
        let cr3 = self.fd.get_sregs().map_or(0, |s| s.cr3);
        KvmError::Dead { cpu: self.id, reason, rip, cr3 }
    }

    pub(crate) fn sregs(&self) -> Result<kvm_sregs, KvmError> {
        self.fd.get_sregs().map_err(self.error("KVM_GET_SREGS"))
    }

    pub(crate) fn set_sregs(&self, sregs: &kvm_sregs) -> Result<(), KvmError> {
        self.fd.set_sregs(sregs).map_err(self.error("KVM_SET_SREGS"))
    }

    pub(crate) fn set_msrs(&self, entries: &[kvm_msr_entry]) -> Result<(), KvmError> {
        let msrs = Msrs::from_entries(entries).expect("a handful of entries fits");
        let written = self.fd.set_msrs(&msrs).map_err(self.error("KVM_SET_MSRS"))?;
        match entries.get(written) {
            None => Ok(()),
            Some(refused) => Err(self.dead(format!("KVM refused MSR {:#x}", refused.index))),
        }
    }

    /// Finishes a port or memory exit without running the guest: the kernel otherwise repeats it
    /// after the registers were set (Documentation/virt/kvm/api.rst, KVM_RUN).
    pub(crate) fn complete_exit(&mut self) -> Result<(), KvmError> {
        self.fd.set_kvm_immediate_exit(1);
        let result = self.fd.run().map(|exit| format!("{exit:?}"));
        self.fd.set_kvm_immediate_exit(0);
        match result {
            Err(e) if e.errno() == libc::EINTR => Ok(()),
            Err(e) => Err(self.error("KVM_RUN")(e)),
            Ok(exit) => Err(self.dead(format!("an exit that should be over goes on: {exit}"))),
        }
    }
}
