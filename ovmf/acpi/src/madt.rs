//! Interrupt controllers: one x2APIC per vCPU and one IOAPIC.
//!
//! Every vCPU has an x2APIC entry (type 9), also below 255, so that there is one kind of CPU and no
//! 8-bit number anywhere. There is no 8259.
//!
//! Spec: ACPI 6.5 5.2.12.

use crate::spec::{
    self, BUS_ISA, INTERRUPT_SOURCE_OVERRIDE, INTI_LEVEL_HIGH, IO_APIC, InterruptSourceOverride,
    IoApic, LOCAL_X2APIC, LOCAL_X2APIC_NMI, LocalX2apic, LocalX2apicNmi, MadtFixed,
    PROCESSOR_ENABLED, UID_ALL_PROCESSORS,
};
use crate::table;
use pangea_topology::{Topology, layout};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

/// NMI enters by LINT1, as the MP specification (3.6.2) wired it and every guest expects.
const NMI_LINT: u8 = 1;

/// The MADT of the cluster: processors in ascending order of APIC ID, the boot processor first.
pub(crate) fn madt(topology: &Topology) -> Vec<u8> {
    let fixed = MadtFixed { local_apic_address: (layout::LAPIC.0 as u32).into(), flags: 0.into() };
    let mut body = fixed.as_bytes().to_vec();
    for apic_id in 0..topology.vcpus() {
        body.extend(x2apic(apic_id).as_bytes());
    }
    body.extend(IO_APIC_0.as_bytes());
    body.extend(SCI.as_bytes());
    body.extend(NMI.as_bytes());
    table(spec::MADT, &body)
}

fn x2apic(apic_id: u32) -> LocalX2apic {
    LocalX2apic {
        kind: LOCAL_X2APIC,
        length: size_of::<LocalX2apic>() as u8,
        reserved: 0.into(),
        x2apic_id: apic_id.into(),
        flags: PROCESSOR_ENABLED.into(),
        uid: apic_id.into(),
    }
}

const IO_APIC_0: IoApic = IoApic {
    kind: IO_APIC,
    length: size_of::<IoApic>() as u8,
    id: layout::IOAPIC_ID,
    reserved: 0,
    address: U32::new(layout::IOAPIC.0 as u32),
    gsi_base: U32::new(layout::IOAPIC_GSI_BASE),
};

/// The only interrupt that isn't as ISA has it; IRQ 4 and 8 are, and there is no timer on IRQ 0.
const SCI: InterruptSourceOverride = InterruptSourceOverride {
    kind: INTERRUPT_SOURCE_OVERRIDE,
    length: size_of::<InterruptSourceOverride>() as u8,
    bus: BUS_ISA,
    source: layout::SCI_GSI as u8,
    gsi: U32::new(layout::SCI_GSI),
    flags: U16::new(INTI_LEVEL_HIGH),
};

const NMI: LocalX2apicNmi = LocalX2apicNmi {
    kind: LOCAL_X2APIC_NMI,
    length: size_of::<LocalX2apicNmi>() as u8,
    flags: U16::ZERO,
    uid: U32::new(UID_ALL_PROCESSORS),
    lint: NMI_LINT,
    reserved: [0; 3],
};
