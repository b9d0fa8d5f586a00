//! A real vCPU of this node: its first state, and its exits.

#![allow(unsafe_code)] // One union of `kvm_run`, see `port_size`.

use crate::{Cpu, KvmError, Machine, cpu::StopFlag, segment};
use kvm_bindings::{kvm_msr_entry, kvm_regs};
use kvm_ioctls::VcpuExit;
use pangea_topology::Gpa;
use std::ops::ControlFlow;

/// How the boot CPU enters the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// 64-bit entry of a Linux bzImage (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
    Linux64 {
        /// Load address + 0x200.
        rip: u64,
        /// Address of `boot_params`.
        boot_params: u64,
        /// Page table that maps the low 4 GiB one to one.
        cr3: u64,
        /// Descriptor table: base, limit. Code is selector 8, data 16.
        gdt: (u64, u16),
    },
    /// 32-bit entry by a PVH ELF note (Xen, "x86/HVM direct boot ABI").
    Pvh {
        /// The note's entry point.
        rip: u64,
        /// Address of `hvm_start_info`.
        start_info: u64,
        /// Descriptor table: base, limit.
        gdt: (u64, u16),
    },
}

/// IA32_MISC_ENABLE with fast strings, as firmware leaves it.
const MISC_ENABLE: (u32, u64) = (0x1a0, 1);
/// IA32_MTRR_DEF_TYPE: MTRRs on, default write-back. There is no device memory below 4 GiB that the
/// guest could cache by mistake: KVM traps it.
const MTRR_DEF_TYPE: (u32, u64) = (0x2ff, 1 << 11 | 6);

/// MSRs that firmware would have set, the same on every vCPU.
pub(crate) fn firmware_msrs() -> [kvm_msr_entry; 2] {
    [MISC_ENABLE, MTRR_DEF_TYPE].map(|(index, data)| kvm_msr_entry {
        index,
        data,
        ..Default::default()
    })
}

impl Cpu {
    /// Makes this the boot CPU, about to enter the guest. Others wait for INIT and SIPI, which is
    /// KVM's own first state for a vCPU that isn't the boot CPU.
    pub(crate) fn set_entry(&self, entry: Entry) -> Result<(), KvmError> {
        let mut sregs = self.sregs()?;
        sregs.apic_base = segment::APIC_BASE | segment::APIC_BASE_BSP;
        let mut regs = kvm_regs { rflags: 2, ..Default::default() };
        match entry {
            Entry::Linux64 { rip, boot_params, cr3, gdt } => {
                segment::long_mode(&mut sregs, cr3);
                (sregs.gdt.base, sregs.gdt.limit) = gdt;
                (regs.rip, regs.rsi) = (rip, boot_params);
            }
            Entry::Pvh { rip, start_info, gdt } => {
                segment::protected_mode(&mut sregs);
                (sregs.gdt.base, sregs.gdt.limit) = gdt;
                (regs.rip, regs.rbx) = (rip, start_info);
            }
        }
        self.set_sregs(&sregs)?;
        self.fd.set_regs(&regs).map_err(self.error("KVM_SET_REGS"))
    }

    /// Runs the guest until the machine stops.
    pub(crate) fn run_guest(
        mut self,
        machine: &dyn Machine,
        stop: &StopFlag,
    ) -> Result<(), KvmError> {
        while !stop.is_set() {
            if self.run_once(machine)?.is_break() {
                machine.reset(self.id);
                break;
            }
        }
        Ok(())
    }

    fn run_once(&mut self, machine: &dyn Machine) -> Result<ControlFlow<()>, KvmError> {
        let id = self.id;
        let dead = match self.fd.run() {
            Ok(VcpuExit::IoOut(port, data)) => {
                let (data, len) = (data.as_ptr(), data.len());
                let size = port_size(&mut self.fd);
                // SAFETY: `data` points into the vCPU's shared `kvm_run` pages, which stay mapped
                // while `self.fd` lives; nobody writes there until the next KVM_RUN.
                let data = unsafe { std::slice::from_raw_parts(data, len) };
                data.chunks_exact(size).for_each(|one| machine.port_out(id, port, one));
                return Ok(ControlFlow::Continue(()));
            }
            Ok(VcpuExit::IoIn(port, data)) => {
                let (data, len) = (data.as_mut_ptr(), data.len());
                let size = port_size(&mut self.fd);
                // SAFETY: as above; the slice is the only reference to these bytes.
                let data = unsafe { std::slice::from_raw_parts_mut(data, len) };
                data.chunks_exact_mut(size).for_each(|one| machine.port_in(id, port, one));
                return Ok(ControlFlow::Continue(()));
            }
            Ok(VcpuExit::MmioRead(gpa, data)) => {
                machine.mmio_read(id, Gpa(gpa), data);
                return Ok(ControlFlow::Continue(()));
            }
            Ok(VcpuExit::MmioWrite(gpa, data)) => {
                machine.mmio_write(id, Gpa(gpa), data);
                return Ok(ControlFlow::Continue(()));
            }
            Ok(VcpuExit::IoapicEoi(vector)) => {
                machine.end_of_interrupt(id, vector);
                return Ok(ControlFlow::Continue(()));
            }
            // A triple fault: the machine resets, as real ones do.
            Ok(VcpuExit::Shutdown) => return Ok(ControlFlow::Break(())),
            Ok(VcpuExit::Intr) => return Ok(ControlFlow::Continue(())),
            Err(e) if matches!(e.errno(), libc::EINTR | libc::EAGAIN) => {
                return Ok(ControlFlow::Continue(()));
            }
            Err(e) if e.errno() == libc::EFAULT => {
                "KVM could not reach guest memory (EFAULT)".to_owned()
            }
            Err(e) => return Err(self.error("KVM_RUN")(e)),
            Ok(VcpuExit::InternalError) => "KVM could not emulate an instruction".to_owned(),
            Ok(exit) => format!("KVM exit {exit:?} has no meaning here"),
        };
        Err(self.dead(dead))
    }
}

/// Bytes of one element of the port access that the vCPU just exited for: 1, 2 or 4. A string
/// instruction may carry several.
fn port_size(fd: &mut kvm_ioctls::VcpuFd) -> usize {
    // SAFETY: the hazard is reading another member of the union. The exit was KVM_EXIT_IO, for which
    // the kernel fills in `io`; and all its members are plain integers.
    let size = unsafe { fd.get_kvm_run().__bindgen_anon_1.io.size };
    usize::from(size).clamp(1, 4)
}
