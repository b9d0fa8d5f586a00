//! A ghost: the stand-in, on this node, of a vCPU that runs on another.
//!
//! ```text
//!              fixed IPI, MSI, NMI                         INIT
//!   parked ---> stub handler: out VECTOR ---> forwarded      |
//!     ^              (back to sti; hlt)                      v
//!     |                                    reset vector: out INIT ---> forwarded
//!     |                                                      |
//!     +--- park <--- SIPI's vector read off, forwarded <--- SIPI awaited, no guest code runs
//! ```
//!
//! A ghost never runs guest code. What makes that possible on a stock kernel:
//!
//! - KVM takes a vCPU for the boot CPU by the BSP bit of its APIC base, and a boot CPU that receives
//!   INIT goes to the reset vector rather than waiting for SIPI. Ghosts carry that bit, so INIT brings
//!   them to a page of our own (`stub::reset_page`) and out to us. The guest never sees a ghost's
//!   APIC base.
//! - `KVM_GET_MP_STATE` itself accepts a pending SIPI; `CS` then holds its vector.
//! - A SIPI that arrives between INIT and our getting there is dropped by KVM, but its vector stays in
//!   the LAPIC: setting `SIPI_RECEIVED` makes KVM act on the vector it saw last. Vector 0, which no
//!   system uses (it is the real-mode interrupt table), is put there as the mark of "none yet".
//!
//! Known hole: the second SIPI of an INIT-SIPI-SIPI start leaves its vector in a LAPIC that is
//! already parked. It is wiped at the first interrupt that is forwarded at least [`SETTLED`] after
//! parking. A guest that takes a CPU offline and restarts it without a single interrupt in between
//! would be started at its previous vector if it sends INIT: every known system uses one vector.

use crate::{Cpu, KvmError, Machine, cpu::StopFlag, segment, stub};
use kvm_bindings::{
    KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_SIPI_RECEIVED,
    KVM_VCPUEVENT_VALID_SIPI_VECTOR, kvm_mp_state, kvm_msr_entry, kvm_regs,
};
use kvm_ioctls::VcpuExit;
use pangea_wire::{Interrupt, InterruptKind};
use std::time::{Duration, Instant};

/// How long after parking a SIPI may still belong to the start that is over.
const SETTLED: Duration = Duration::from_millis(10);
/// How often to look for SIPI in the first moments after INIT, when it is about to come.
const POLL_FAST: Duration = Duration::from_micros(20);
/// And after [`POLL_FAST_FOR`], when the guest seems to leave the CPU in INIT.
const POLL_SLOW: Duration = Duration::from_millis(1);
const POLL_FAST_FOR: Duration = Duration::from_millis(50);
/// No start-up vector seen: see the module's text.
const NO_VECTOR: u8 = 0;
/// Selector and base of CS after INIT (SDM vol. 3 table 9-1).
const RESET_BASE: u64 = 0xffff_0000;
/// x2APIC MSR of the spurious-interrupt vector register, and its "APIC enabled" value.
const SVR: (u32, u64) = (0x80f, 0x1ff);

/// One ghost and what it remembers.
pub(crate) struct Ghost {
    cpu: Cpu,
    /// When it was parked, while the LAPIC may still hold an old SIPI vector.
    unsettled: Option<Instant>,
}

impl Ghost {
    pub(crate) fn new(cpu: Cpu) -> Result<Ghost, KvmError> {
        let mut ghost = Ghost { cpu, unsettled: None };
        ghost.park()?;
        Ok(ghost)
    }

    pub(crate) fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// Runs until the machine stops.
    pub(crate) fn run(mut self, machine: &dyn Machine, stop: &StopFlag) -> Result<(), KvmError> {
        while !stop.is_set() {
            let (port, value) = match self.cpu.fd.run() {
                Ok(VcpuExit::IoOut(port, data)) => (port, data.first().copied().unwrap_or(0)),
                // A ghost's LAPIC reports the end of level-triggered interrupts too: not its own.
                Ok(VcpuExit::IoapicEoi(_)) => continue,
                Ok(exit) => {
                    let reason = format!("its ghost left its stub: {exit:?}");
                    return Err(self.cpu.dead(reason));
                }
                Err(e) if matches!(e.errno(), libc::EINTR | libc::EAGAIN) => continue,
                Err(e) => return Err(self.cpu.error("KVM_RUN")(e)),
            };
            match port {
                stub::VECTOR_PORT => {
                    // Vector 2 is NMI's; a fixed interrupt can't have it (SDM vol. 3 6.3.1).
                    let kind = match value {
                        2 => InterruptKind::Nmi,
                        vector => InterruptKind::Fixed { vector },
                    };
                    machine.forward(Interrupt { to: self.cpu.id, kind });
                    self.settle()?;
                }
                stub::INIT_PORT => self.start(machine, stop)?,
                port => return Err(self.cpu.dead(format!("its ghost wrote to port {port:#x}"))),
            }
        }
        Ok(())
    }

    /// INIT has come: hand it on, wait for SIPI, hand that on, park again.
    fn start(&mut self, machine: &dyn Machine, stop: &StopFlag) -> Result<(), KvmError> {
        machine.forward(Interrupt { to: self.cpu.id, kind: InterruptKind::Init });
        self.cpu.complete_exit()?;
        self.set_state(KVM_MP_STATE_SIPI_RECEIVED)?;
        let mut vector = self.accepted()?;
        if matches!(vector, Accepted::Sipi(NO_VECTOR)) {
            self.set_state(KVM_MP_STATE_INIT_RECEIVED)?;
            vector = Accepted::Nothing;
        }
        let since = Instant::now();
        let vector = loop {
            match vector {
                Accepted::Sipi(vector) => break vector,
                Accepted::Init => self.set_state(KVM_MP_STATE_INIT_RECEIVED)?,
                Accepted::Nothing if stop.is_set() => return Ok(()),
                Accepted::Nothing => {
                    let fast = since.elapsed() < POLL_FAST_FOR;
                    std::thread::sleep(if fast { POLL_FAST } else { POLL_SLOW });
                }
            }
            vector = self.accepted()?;
        };
        machine.forward(Interrupt { to: self.cpu.id, kind: InterruptKind::Startup { vector } });
        self.park()
    }

    /// Puts the ghost into its stub: 64-bit mode, interrupts on, halted, LAPIC enabled.
    fn park(&mut self) -> Result<(), KvmError> {
        let park = stub::park(self.cpu.id);
        let mut sregs = self.cpu.sregs()?;
        segment::long_mode(&mut sregs, park.cr3);
        sregs.apic_base = segment::APIC_BASE | segment::APIC_BASE_BSP;
        (sregs.idt.base, sregs.idt.limit) = park.idt;
        (sregs.gdt.base, sregs.gdt.limit) = park.gdt;
        self.cpu.set_sregs(&sregs)?;
        let regs = kvm_regs { rip: park.rip, rsp: park.rsp, rflags: 2, ..Default::default() };
        self.cpu.fd.set_regs(&regs).map_err(self.cpu.error("KVM_SET_REGS"))?;
        let svr = kvm_msr_entry { index: SVR.0, data: SVR.1, ..Default::default() };
        self.cpu.set_msrs(&[svr])?;
        self.set_state(KVM_MP_STATE_RUNNABLE)?;
        self.wipe_vector()?;
        self.unsettled = Some(Instant::now());
        Ok(())
    }

    fn settle(&mut self) -> Result<(), KvmError> {
        if self.unsettled.is_some_and(|since| since.elapsed() >= SETTLED) {
            self.wipe_vector()?;
            self.unsettled = None;
        }
        Ok(())
    }

    fn wipe_vector(&mut self) -> Result<(), KvmError> {
        let get = self.cpu.error("KVM_GET_VCPU_EVENTS");
        let mut events = self.cpu.fd.get_vcpu_events().map_err(get)?;
        events.flags = KVM_VCPUEVENT_VALID_SIPI_VECTOR;
        events.sipi_vector = NO_VECTOR.into();
        self.cpu.fd.set_vcpu_events(&events).map_err(self.cpu.error("KVM_SET_VCPU_EVENTS"))
    }

    fn set_state(&self, mp_state: u32) -> Result<(), KvmError> {
        self.cpu
            .fd
            .set_mp_state(kvm_mp_state { mp_state })
            .map_err(self.cpu.error("KVM_SET_MP_STATE"))
    }

    /// Lets KVM take what has arrived, and tells what it was.
    fn accepted(&self) -> Result<Accepted, KvmError> {
        let state = self.cpu.fd.get_mp_state().map_err(self.cpu.error("KVM_GET_MP_STATE"))?;
        if state.mp_state != KVM_MP_STATE_RUNNABLE {
            return Ok(Accepted::Nothing);
        }
        let cs = self.cpu.sregs()?.cs;
        if cs.base == RESET_BASE {
            return Ok(Accepted::Init);
        }
        Ok(Accepted::Sipi((cs.base >> 12) as u8))
    }
}

enum Accepted {
    Nothing,
    Init,
    Sipi(u8),
}
