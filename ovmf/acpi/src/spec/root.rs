//! Where a guest begins: the pointer, the header common to all tables, the register address.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// ACPI 6.5 5.2.5.3 "Root System Description Pointer (RSDP) Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Rsdp {
    /// `"RSD PTR "`.
    pub signature: [u8; 8],
    /// Makes the first 20 bytes sum to zero.
    pub checksum: u8,
    /// As in the tables' headers.
    pub oem_id: [u8; 6],
    /// 2.
    pub revision: u8,
    /// Zero: we have no RSDT, every guest of ours knows the XSDT.
    pub rsdt_address: U32,
    /// Of this structure, 36.
    pub length: U32,
    /// Guest-physical address of the XSDT.
    pub xsdt_address: U64,
    /// Makes all 36 bytes sum to zero.
    pub extended_checksum: u8,
    /// Zero.
    pub reserved: [u8; 3],
}
const _: () = assert!(size_of::<Rsdp>() == 36);

impl Rsdp {
    /// `signature`.
    pub const SIGNATURE: [u8; 8] = *b"RSD PTR ";
    /// How many bytes the first checksum covers.
    pub const V1_LENGTH: usize = 20;
}

/// ACPI 6.5 5.2.6 "System Description Table Header".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SdtHeader {
    /// Four letters.
    pub signature: [u8; 4],
    /// Of the whole table, header included, in bytes.
    pub length: U32,
    /// Of the layout that follows.
    pub revision: u8,
    /// Makes the whole table sum to zero.
    pub checksum: u8,
    /// [`super::OEM_ID`].
    pub oem_id: [u8; 6],
    /// [`super::OEM_TABLE_ID`].
    pub oem_table_id: [u8; 8],
    /// [`super::OEM_REVISION`].
    pub oem_revision: U32,
    /// The library that wrote the header (acpi_tables).
    pub creator_id: [u8; 4],
    /// Its revision.
    pub creator_revision: U32,
}
const _: () = assert!(size_of::<SdtHeader>() == 36);

/// ACPI 6.5 5.2.3.2 "Generic Address Structure (GAS)". All zero: no such register.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Gas {
    /// [`SPACE_IO`] in all that we write.
    pub space: u8,
    /// Bits in the register block.
    pub bit_width: u8,
    /// Zero.
    pub bit_offset: u8,
    /// [`ACCESS_BYTE`], [`ACCESS_WORD`] or [`ACCESS_DWORD`].
    pub access: u8,
    /// The port.
    pub address: U64,
}
const _: () = assert!(size_of::<Gas>() == 12);

/// [`Gas::space`]: a port of the I/O space.
pub const SPACE_IO: u8 = 1;
/// [`Gas::access`]: 8 bits at a time.
pub const ACCESS_BYTE: u8 = 1;
/// [`Gas::access`]: 16 bits at a time.
pub const ACCESS_WORD: u8 = 2;
/// [`Gas::access`]: 32 bits at a time.
pub const ACCESS_DWORD: u8 = 3;
