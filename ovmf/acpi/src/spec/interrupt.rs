//! Interrupt controllers: the MADT's structures.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// ACPI 6.5 5.2.12 "Multiple APIC Description Table (MADT)", between header and structures.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MadtFixed {
    /// Where each processor sees its own local APIC.
    pub local_apic_address: U32,
    /// Bit 0, PCAT_COMPAT: two 8259s are there as well. Zero.
    pub flags: U32,
}
const _: () = assert!(size_of::<MadtFixed>() == 8);

/// Type of [`IoApic`].
pub const IO_APIC: u8 = 1;
/// Type of [`InterruptSourceOverride`].
pub const INTERRUPT_SOURCE_OVERRIDE: u8 = 2;
/// Type of [`LocalX2apic`].
pub const LOCAL_X2APIC: u8 = 9;
/// Type of [`LocalX2apicNmi`].
pub const LOCAL_X2APIC_NMI: u8 = 10;
/// [`LocalX2apic::flags`] bit 0 (5.2.12.2).
pub const PROCESSOR_ENABLED: u32 = 1;
/// [`LocalX2apicNmi::uid`]: every processor.
pub const UID_ALL_PROCESSORS: u32 = 0xFFFF_FFFF;
/// [`InterruptSourceOverride::bus`]: ISA.
pub const BUS_ISA: u8 = 0;
/// 5.2.12.5 "MPS INTI Flags": level triggered (bits 3:2 = 3), active high (bits 1:0 = 1).
pub const INTI_LEVEL_HIGH: u16 = 0b1101;

/// ACPI 6.5 5.2.12.3 "I/O APIC Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IoApic {
    /// [`IO_APIC`].
    pub kind: u8,
    /// 12.
    pub length: u8,
    /// Its own APIC ID, which no processor's clashes with on x2APIC machines.
    pub id: u8,
    /// Zero.
    pub reserved: u8,
    /// Guest-physical address of its registers.
    pub address: U32,
    /// GSI of its first pin.
    pub gsi_base: U32,
}
const _: () = assert!(size_of::<IoApic>() == 12);

/// ACPI 6.5 5.2.12.5 "Interrupt Source Override Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InterruptSourceOverride {
    /// [`INTERRUPT_SOURCE_OVERRIDE`].
    pub kind: u8,
    /// 10.
    pub length: u8,
    /// [`BUS_ISA`].
    pub bus: u8,
    /// The ISA interrupt.
    pub source: u8,
    /// The GSI that it is wired to.
    pub gsi: U32,
    /// Polarity and trigger, where they aren't ISA's edge and high.
    pub flags: U16,
}
const _: () = assert!(size_of::<InterruptSourceOverride>() == 10);

/// ACPI 6.5 5.2.12.12 "Processor Local x2APIC Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LocalX2apic {
    /// [`LOCAL_X2APIC`].
    pub kind: u8,
    /// 16.
    pub length: u8,
    /// Zero.
    pub reserved: U16,
    /// The x2APIC ID.
    pub x2apic_id: U32,
    /// [`PROCESSOR_ENABLED`].
    pub flags: U32,
    /// `_UID` of the processor's device in the DSDT.
    pub uid: U32,
}
const _: () = assert!(size_of::<LocalX2apic>() == 16);

/// ACPI 6.5 5.2.12.13 "Local x2APIC NMI Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LocalX2apicNmi {
    /// [`LOCAL_X2APIC_NMI`].
    pub kind: u8,
    /// 12.
    pub length: u8,
    /// Zero: as the bus has it (an NMI's polarity and trigger mean nothing here).
    pub flags: U16,
    /// [`UID_ALL_PROCESSORS`].
    pub uid: U32,
    /// Which of the local APIC's two pins carries NMI.
    pub lint: u8,
    /// Zero.
    pub reserved: [u8; 3],
}
const _: () = assert!(size_of::<LocalX2apicNmi>() == 12);
