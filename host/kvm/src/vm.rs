//! The virtual machine of one node: memory slots, interrupt delivery, routes.
//!
//! Every node's machine holds **all** the cluster's vCPUs (vCPU id = APIC ID): its own as real ones,
//! the others' as ghosts (`ghost.rs`). KVM's own APIC map therefore knows every destination, and
//! whatever reaches a ghost is handed to the node that runs the real one.

#![allow(unsafe_code)] // KVM takes raw host addresses of memory slots; see `add_slot`.

use crate::{KvmError, stub};
use kvm_bindings::{
    CpuId, KVM_API_VERSION, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API, KVM_IRQ_ROUTING_MSI,
    KVM_MAX_CPUID_ENTRIES, KVM_MEM_READONLY, KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
    KVM_X2APIC_API_USE_32BIT_IDS, KvmIrqRouting, kvm_enable_cap, kvm_irq_routing_entry,
    kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_msi, kvm_msi, kvm_userspace_memory_region,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};
use pangea_topology::{ApicId, Gpa, Topology, layout};
use pangea_wire::{Interrupt, InterruptKind};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap,
};

/// Pins of the user-space IOAPIC, and so of the routes that tell KVM which EOIs to report.
pub const IOAPIC_PINS: usize = layout::IOAPIC_PINS as usize;

/// A message that an interrupt controller or a device sends to a LAPIC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Msi {
    /// Message address: `0xfee` base, destination, logical bit; destination bits 31:8 in the upper
    /// half (KVM_X2APIC_API_USE_32BIT_IDS).
    pub address: u64,
    /// Message data: vector, delivery mode, trigger mode.
    pub data: u32,
}

/// One node's virtual machine.
pub struct Vm {
    pub(crate) fd: VmFd,
    supported: CpuId,
    // The kernel reads and writes these through their host addresses for as long as `fd` lives.
    _ram: GuestMemoryMmap,
    _private: GuestMemoryMmap,
}

impl Vm {
    /// Makes the machine and gives it the guest's RAM and the ghosts' stub.
    pub fn new(topology: &Topology, ram: GuestMemoryMmap) -> Result<Vm, KvmError> {
        let kvm = Kvm::new().map_err(|source| KvmError::Open { source })?;
        require(&kvm)?;
        let max_vcpus = u32::try_from(kvm.get_max_vcpus()).unwrap_or(u32::MAX);
        if topology.vcpus() > max_vcpus {
            return Err(KvmError::TooManyVcpus { wanted: topology.vcpus(), limit: max_vcpus });
        }
        let supported = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(|source| KvmError::Vm { call: "KVM_GET_SUPPORTED_CPUID", source })?;
        let fd =
            kvm.create_vm().map_err(|source| KvmError::Vm { call: "KVM_CREATE_VM", source })?;
        let call = |call| move |source| KvmError::Vm { call, source };
        fd.set_identity_map_address(layout::KVM_IDENTITY_MAP.0)
            .map_err(call("KVM_SET_IDENTITY_MAP_ADDR"))?;
        fd.set_tss_address(layout::KVM_TSS.0 as usize).map_err(call("KVM_SET_TSS_ADDR"))?;
        fd.enable_cap(&capability(KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS as u64))
            .map_err(call("KVM_ENABLE_CAP(SPLIT_IRQCHIP)"))?;
        let x2apic = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
        fd.enable_cap(&capability(KVM_CAP_X2APIC_API, x2apic.into()))
            .map_err(call("KVM_ENABLE_CAP(X2APIC_API)"))?;

        let private = private_memory()?;
        let mut slot = 0;
        for (memory, flags) in [(&ram, 0), (&private, KVM_MEM_READONLY)] {
            for region in memory.iter() {
                // The stub's stacks are written by the ghosts; only the reset page is fixed.
                let flags = if region.start_addr().0 == layout::GHOST_STUB.0 { 0 } else { flags };
                add_slot(&fd, slot, region, flags)?;
                slot += 1;
            }
        }
        Ok(Vm { fd, supported, _ram: ram, _private: private })
    }

    /// What this host's KVM can offer a guest, before the cluster's policy (`cpuid.rs`).
    pub fn supported_cpuid(&self) -> &CpuId {
        &self.supported
    }

    /// Delivers an interrupt to one vCPU of this machine: fixed, NMI, INIT and SIPI alike travel as
    /// messages, which is how a real MSI could carry them (SDM vol. 3 10.11.2).
    pub fn deliver(&self, interrupt: Interrupt) -> Result<(), KvmError> {
        let data = match interrupt.kind {
            InterruptKind::Fixed { vector } => u32::from(vector),
            InterruptKind::Nmi => 0x400,
            InterruptKind::Init => 0x500,
            InterruptKind::Startup { vector } => 0x600 | u32::from(vector),
        };
        self.signal(Msi { address: address(interrupt.to), data })
    }

    /// Sends a message as a device or the IOAPIC would. Destinations that are ghosts are reached by
    /// their stub; a message that no vCPU accepts is dropped, as on a real machine.
    pub fn signal(&self, msi: Msi) -> Result<(), KvmError> {
        let msi = kvm_msi {
            address_lo: msi.address as u32,
            address_hi: (msi.address >> 32) as u32,
            data: msi.data,
            ..Default::default()
        };
        match self.fd.signal_msi(msi) {
            Ok(_) => Ok(()),
            Err(source) => Err(KvmError::Vm { call: "KVM_SIGNAL_MSI", source }),
        }
    }

    /// Tells KVM the IOAPIC's pins, so that it reports the end of level-triggered interrupts.
    pub fn set_routes(&self, routes: &[Option<Msi>; IOAPIC_PINS]) -> Result<(), KvmError> {
        let entries: Vec<_> = routes
            .iter()
            .enumerate()
            .filter_map(|(pin, msi)| Some((pin, (*msi)?)))
            .map(|(pin, msi)| kvm_irq_routing_entry {
                gsi: pin as u32,
                type_: KVM_IRQ_ROUTING_MSI,
                u: kvm_irq_routing_entry__bindgen_ty_1 {
                    msi: kvm_irq_routing_msi {
                        address_lo: msi.address as u32,
                        address_hi: (msi.address >> 32) as u32,
                        data: msi.data,
                        ..Default::default()
                    },
                },
                ..Default::default()
            })
            .collect();
        let table = KvmIrqRouting::from_entries(&entries).map_err(|_| KvmError::Vm {
            call: "KVM_SET_GSI_ROUTING",
            source: kvm_ioctls::Error::new(libc::E2BIG),
        })?;
        self.fd
            .set_gsi_routing(&table)
            .map_err(|source| KvmError::Vm { call: "KVM_SET_GSI_ROUTING", source })
    }

    pub(crate) fn create_vcpu(&self, cpu: ApicId) -> Result<VcpuFd, KvmError> {
        self.fd.create_vcpu(cpu.0.into()).map_err(|source| KvmError::Vcpu {
            call: "KVM_CREATE_VCPU",
            cpu,
            source,
        })
    }
}

/// The message address of one CPU, physical destination mode, 32-bit APIC ID.
fn address(cpu: ApicId) -> u64 {
    let id = u64::from(cpu.0);
    layout::LAPIC.0 | (id & 0xff) << 12 | (id & 0xffff_ff00) << 32
}

fn capability(cap: u32, argument: u64) -> kvm_enable_cap {
    let mut enable = kvm_enable_cap { cap, ..Default::default() };
    enable.args[0] = argument;
    enable
}

fn require(kvm: &Kvm) -> Result<(), KvmError> {
    if kvm.get_api_version() != KVM_API_VERSION as i32 {
        return Err(KvmError::Capability { name: "API version 12", why: "every call" });
    }
    let needs = [
        (Cap::UserMemory, "KVM_CAP_USER_MEMORY", "guest RAM"),
        (Cap::SplitIrqchip, "KVM_CAP_SPLIT_IRQCHIP", "the LAPIC in the kernel, the IOAPIC here"),
        (Cap::X2ApicApi, "KVM_CAP_X2APIC_API", "APIC IDs over 254"),
        (Cap::SignalMsi, "KVM_CAP_SIGNAL_MSI", "interrupts from other nodes"),
        (Cap::MpState, "KVM_CAP_MP_STATE", "starting vCPUs on other nodes"),
        (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT", "stopping vCPUs"),
        (Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM", "the ghosts' reset page"),
        (Cap::AdjustClock, "KVM_CAP_ADJUST_CLOCK", "one clock for all nodes"),
    ];
    match needs.into_iter().find(|(cap, ..)| !kvm.check_extension(*cap)) {
        Some((_, name, why)) => Err(KvmError::Capability { name, why }),
        None => Ok(()),
    }
}

fn private_memory() -> Result<GuestMemoryMmap, KvmError> {
    let stub = stub::image();
    let reset = stub::reset_page();
    let memory = GuestMemoryMmap::from_ranges(&[
        (GuestAddress(stub::STUB_BASE.0), stub.len()),
        (GuestAddress(stub::RESET_BASE.0), reset.len()),
    ])
    .map_err(|source| KvmError::Stub { len: stub.len() + reset.len(), source })?;
    for (base, bytes) in [(stub::STUB_BASE, &stub), (stub::RESET_BASE, &reset)] {
        memory
            .write_slice(bytes, GuestAddress(base.0))
            .expect("the region was just made of this length");
    }
    Ok(memory)
}

fn add_slot(fd: &VmFd, slot: u32, region: &GuestRegionMmap, flags: u32) -> Result<(), KvmError> {
    let base = Gpa(region.start_addr().0);
    let slot = kvm_userspace_memory_region {
        slot,
        flags,
        guest_phys_addr: base.0,
        memory_size: region.len(),
        userspace_addr: region.as_ptr() as u64,
    };
    // SAFETY: the hazard is that the kernel goes on using this host range after it is unmapped or
    // given to somebody else. The region is a mapping of exactly this length, and `Vm` keeps the
    // memory that owns it alive for as long as the machine's file descriptor.
    unsafe { fd.set_user_memory_region(slot) }
        .map_err(|source| KvmError::Vm { call: "KVM_SET_USER_MEMORY_REGION", source })
}
