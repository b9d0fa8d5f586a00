//! How far it is: the structures of SLIT and HMAT.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// ACPI 6.5 5.2.17 "System Locality Information Table (SLIT)", between header and matrix.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SlitFixed {
    /// Rows, and columns, of the matrix.
    pub localities: U64,
}
const _: () = assert!(size_of::<SlitFixed>() == 8);

/// ACPI 6.5 5.2.27 "Heterogeneous Memory Attribute Table (HMAT)", between header and
/// structures.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct HmatFixed {
    /// Zero.
    pub reserved: U32,
}
const _: () = assert!(size_of::<HmatFixed>() == 4);

/// Type of [`MemoryProximity`].
pub const MEMORY_PROXIMITY: u16 = 0;
/// Type of [`SystemLocality`].
pub const SYSTEM_LOCALITY: u16 = 1;
/// [`MemoryProximity::flags`] bit 0: `initiator` says something.
pub const INITIATOR_VALID: u16 = 1;
/// [`SystemLocality::flags`] bits 3:0: about the memory itself, not a cache before it.
pub const HIERARCHY_MEMORY: u8 = 0;
/// [`SystemLocality::data_type`]: latency, reads and writes alike.
pub const ACCESS_LATENCY: u8 = 0;
/// [`SystemLocality::data_type`]: bandwidth, reads and writes alike.
pub const ACCESS_BANDWIDTH: u8 = 3;

/// ACPI 6.5 5.2.27.3 "Memory Proximity Domain Attributes Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MemoryProximity {
    /// [`MEMORY_PROXIMITY`].
    pub kind: U16,
    /// Zero.
    pub reserved0: U16,
    /// 40.
    pub length: U32,
    /// [`INITIATOR_VALID`], or zero.
    pub flags: U16,
    /// Zero.
    pub reserved1: U16,
    /// The node whose processors the memory is attached to, if any.
    pub initiator: U32,
    /// The node that the memory is.
    pub memory: U32,
    /// Zero.
    pub reserved2: [u8; 20],
}
const _: () = assert!(size_of::<MemoryProximity>() == 40);

/// ACPI 6.5 5.2.27.4 "System Locality Latency and Bandwidth Information Structure", before its
/// lists: initiators (u32 each), targets (u32 each), entries (u16 each, one row per initiator).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SystemLocality {
    /// [`SYSTEM_LOCALITY`].
    pub kind: U16,
    /// Zero.
    pub reserved0: U16,
    /// Of the structure with its lists, in bytes.
    pub length: U32,
    /// [`HIERARCHY_MEMORY`].
    pub flags: u8,
    /// [`ACCESS_LATENCY`] or [`ACCESS_BANDWIDTH`].
    pub data_type: u8,
    /// Zero: holds for transfers of any size.
    pub min_transfer_size: u8,
    /// Zero.
    pub reserved1: u8,
    /// Rows.
    pub initiators: U32,
    /// Columns.
    pub targets: U32,
    /// Zero.
    pub reserved2: U32,
    /// What an entry is multiplied by: picoseconds, or MB/s.
    pub base_unit: U64,
}
const _: () = assert!(size_of::<SystemLocality>() == 32);
