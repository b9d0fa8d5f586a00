//! Who is near what: the SRAT's structures.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// ACPI 6.5 5.2.16 "System Resource Affinity Table (SRAT)", between header and structures.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SratFixed {
    /// 1, for the first revision's sake.
    pub reserved0: U32,
    /// Zero.
    pub reserved1: U64,
}
const _: () = assert!(size_of::<SratFixed>() == 12);

/// Type of [`MemoryAffinity`].
pub const MEMORY_AFFINITY: u8 = 1;
/// Type of [`X2apicAffinity`].
pub const X2APIC_AFFINITY: u8 = 2;
/// Bit 0 of both structures' flags: the entry counts.
pub const AFFINITY_ENABLED: u32 = 1;

/// ACPI 6.5 5.2.16.2 "Memory Affinity Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MemoryAffinity {
    /// [`MEMORY_AFFINITY`].
    pub kind: u8,
    /// 40.
    pub length: u8,
    /// The node.
    pub proximity_domain: U32,
    /// Zero.
    pub reserved0: U16,
    /// First guest-physical address. (The spec splits it, and the length, into two halves.)
    pub base: U64,
    /// In bytes.
    pub bytes: U64,
    /// Zero.
    pub reserved1: U32,
    /// [`AFFINITY_ENABLED`]; neither hot-pluggable nor non-volatile.
    pub flags: U32,
    /// Zero.
    pub reserved2: U64,
}
const _: () = assert!(size_of::<MemoryAffinity>() == 40);

/// ACPI 6.5 5.2.16.3 "Processor Local x2APIC Affinity Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct X2apicAffinity {
    /// [`X2APIC_AFFINITY`].
    pub kind: u8,
    /// 24.
    pub length: u8,
    /// Zero.
    pub reserved0: U16,
    /// The node.
    pub proximity_domain: U32,
    /// The x2APIC ID.
    pub x2apic_id: U32,
    /// [`AFFINITY_ENABLED`].
    pub flags: U32,
    /// Processors of one clock domain share one oscillator.
    pub clock_domain: U32,
    /// Zero.
    pub reserved1: U32,
}
const _: () = assert!(size_of::<X2apicAffinity>() == 24);
