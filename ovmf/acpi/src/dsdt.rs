//! The namespace: processors, the two devices of an ISA bus that exist, what is reserved, power-off.
//!
//! ```text
//! \_SB.C000 .. C3FF   ACPI0007  _UID = APIC ID, _PXM = node
//! \_SB.COM1           PNP0501   0x3F8, GSI 4
//! \_SB.RTC0           PNP0B00   0x70, GSI 8
//! \_SB.MBRD           PNP0C02   PM and reset ports, IOAPIC, LAPIC, ghosts, KVM's own pages
//! \_S5                          power-off
//! ```
//!
//! Spec: ACPI 6.5 8.4 (processor devices), 6.4 (resources), 7.4.2 (`\_Sx`), 20 (AML).

use crate::spec;
use crate::table;
use acpi_tables::Aml;
use acpi_tables::aml::{
    Device, EISAName, IO, Interrupt, Memory32Fixed, Name, Package, ResourceTemplate, Scope, ZERO,
};
use pangea_topology::{Gpa, Topology, layout};

/// `_STA` (6.3.7): present, enabled, shown, working.
const PRESENT: u8 = 0x0F;
/// The registers of an IOAPIC: a page, of which it uses 0x20 bytes.
const IOAPIC_LEN: u64 = 0x1000;
/// The local APIC's page and the rest of the MiB in which writes are interrupts.
const LAPIC_LEN: u64 = 0x10_0000;

/// Fixed memory that is no RAM and no device of the namespace.
const RESERVED: [(Gpa, u64); 5] = [
    (layout::IOAPIC, IOAPIC_LEN),
    (layout::LAPIC, LAPIC_LEN),
    (layout::GHOST_STUB, layout::GHOST_STUB_LEN),
    (layout::KVM_IDENTITY_MAP, layout::KVM_PRIVATE_LEN),
    (layout::GHOST_RESET, layout::GHOST_RESET_LEN),
];

/// Ports of the chipset: the PM block up to the timer's end, and the reset register.
const RESERVED_PORTS: [(u16, u16); 2] = [
    (
        layout::PM1A_EVT_PORT,
        layout::PM_TMR_PORT + layout::PM_TMR_LEN as u16 - layout::PM1A_EVT_PORT,
    ),
    (layout::RESET_PORT, 1),
];

/// The DSDT of the cluster.
pub(crate) fn dsdt(topology: &Topology) -> Vec<u8> {
    let mut children = Vec::new();
    for node in topology.nodes() {
        for apic_id in node.apic_ids.clone() {
            processor(apic_id, u32::from(node.id.0), &mut children);
        }
    }
    let com1 = (layout::COM1_PORT, layout::COM1_LEN);
    isa("COM1", "PNP0501", com1, layout::COM1_IRQ, &mut children);
    let rtc = (layout::RTC_PORT, layout::RTC_LEN);
    isa("RTC0", "PNP0B00", rtc, layout::RTC_IRQ, &mut children);
    motherboard(&mut children);
    let mut aml = Scope::raw("\\_SB_".into(), children);
    let s5 = layout::S5_SLP_TYP;
    // SLP_TYPa, SLP_TYPb (there is no PM1b), and two that the spec reserves.
    Name::new("\\_S5_".into(), &Package::new(vec![&s5, &ZERO, &ZERO, &ZERO]))
        .to_aml_bytes(&mut aml);
    table(spec::DSDT, &aml)
}

/// 8.4 "Declaring Processors": `_UID` is what the MADT's entry says.
fn processor(apic_id: u32, node: u32, out: &mut Vec<u8>) {
    Device::new(
        format!("C{apic_id:03X}").as_str().into(),
        vec![
            &Name::new("_HID".into(), &"ACPI0007"),
            &Name::new("_UID".into(), &apic_id),
            &Name::new("_PXM".into(), &node),
            &Name::new("_STA".into(), &PRESENT),
        ],
    )
    .to_aml_bytes(out);
}

/// A device of the ISA bus: its ports, and its interrupt as ISA has them (edge, high, not shared).
fn isa(name: &str, id: &str, (port, len): (u16, u16), gsi: u32, out: &mut Vec<u8>) {
    let ports = IO::new(port, port, 1, len as u8);
    let interrupt = Interrupt::new(true, true, false, false, gsi);
    device(name, id, vec![&ports, &interrupt], out);
}

/// What the guest must not give to anything else.
fn motherboard(out: &mut Vec<u8>) {
    let ports = RESERVED_PORTS.map(|(port, len)| IO::new(port, port, 1, len as u8));
    let memory = RESERVED.map(|(base, len)| Memory32Fixed::new(true, base.0 as u32, len as u32));
    let ports = ports.iter().map(|p| p as &dyn Aml);
    let resources = ports.chain(memory.iter().map(|m| m as &dyn Aml)).collect();
    device("MBRD", "PNP0C02", resources, out);
}

/// A device that is the only one of its kind, so its `_UID` is 0.
fn device(name: &str, id: &str, resources: Vec<&dyn Aml>, out: &mut Vec<u8>) {
    Device::new(
        name.into(),
        vec![
            &Name::new("_HID".into(), &EISAName::new(id)),
            &Name::new("_UID".into(), &ZERO),
            &Name::new("_CRS".into(), &ResourceTemplate::new(resources)),
        ],
    )
    .to_aml_bytes(out);
}
