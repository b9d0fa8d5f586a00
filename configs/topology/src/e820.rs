//! The map as a PC's firmware tells it (ACPI 6.5 15.1 "INT 15H, E820H"): RAM, and what the guest must
//! leave alone. Node borders don't show here (SRAT tells those), so it stays within the 128 entries of
//! Linux's `boot_params` at any number of nodes.

use crate::layout::{
    ACPI_LEN, EBDA, FACS_LEN, FACS_OFFSET, GHOST_RESET, GHOST_RESET_LEN, GHOST_STUB,
    GHOST_STUB_LEN, HIGH_RAM_BASE, KVM_IDENTITY_MAP, KVM_PRIVATE_LEN, LEGACY, LEGACY_END,
    LOW_RAM_END,
};
use crate::{Gpa, RamRange};

/// What an [`E820Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum E820Kind {
    /// Memory for the guest to use (type 1).
    Ram,
    /// Not for the guest (type 2).
    Reserved,
    /// ACPI tables (type 3): RAM once the guest has read them.
    Acpi,
    /// The FACS (type 4, "NVS"): never for the guest to reuse.
    Nvs,
}

/// A contiguous part of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct E820Entry {
    /// First address.
    pub base: Gpa,
    /// Bytes.
    pub len: u64,
    /// What it is.
    pub kind: E820Kind,
}

impl E820Kind {
    /// The number that the guest reads (ACPI 6.5 table 15.5 "Address Range Types").
    pub const fn code(self) -> u32 {
        match self {
            E820Kind::Ram => 1,
            E820Kind::Reserved => 2,
            E820Kind::Acpi => 3,
            E820Kind::Nvs => 4,
        }
    }
}

/// The entries for this RAM, with the ACPI tables at `acpi`.
pub(crate) fn of(ram: &[RamRange], acpi: Gpa) -> Vec<E820Entry> {
    let low = ram.iter().map(RamRange::end).filter(|&e| e <= LOW_RAM_END).max();
    let high = ram.iter().map(RamRange::end).filter(|&e| e > HIGH_RAM_BASE).max();
    let (low, acpi_end) = (low.unwrap_or(LEGACY_END), Gpa(acpi.0 + ACPI_LEN));
    let facs = Gpa(acpi.0 + FACS_OFFSET);
    let facs_end = Gpa(facs.0 + FACS_LEN);
    let at = |base: Gpa, len: u64, kind| (base, Gpa(base.0 + len), kind);
    let parts = [
        (Gpa(0), EBDA, E820Kind::Ram),
        (EBDA, LEGACY, E820Kind::Reserved),
        (LEGACY, LEGACY_END, E820Kind::Reserved),
        (LEGACY_END, acpi, E820Kind::Ram),
        (acpi, facs, E820Kind::Acpi),
        (facs, facs_end, E820Kind::Nvs),
        (facs_end, acpi_end, E820Kind::Acpi),
        (acpi_end, low, E820Kind::Ram),
        // Not RAM, but backed: a guest that put a device there would meet ghosts.
        at(GHOST_STUB, GHOST_STUB_LEN, E820Kind::Reserved),
        at(KVM_IDENTITY_MAP, KVM_PRIVATE_LEN, E820Kind::Reserved),
        at(GHOST_RESET, GHOST_RESET_LEN, E820Kind::Reserved),
        (HIGH_RAM_BASE, high.unwrap_or(HIGH_RAM_BASE), E820Kind::Ram),
    ];
    let entry =
        |(base, end, kind): (Gpa, Gpa, E820Kind)| E820Entry { base, len: end.0 - base.0, kind };
    parts.into_iter().map(entry).filter(|e| e.len > 0).collect()
}
