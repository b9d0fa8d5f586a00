//! ACPI 6.5 byte layouts, apart from the code that fills them.
//!
//! Every type here is exactly what lies in guest memory: little-endian fields of alignment 1, no
//! padding, its size asserted on the next line and its section cited. The same types fill tables
//! ([`crate::tables`]), check them ([`crate::lint`]) and print them ([`crate::text`]), so a layout
//! can't be wrong in one of these places only.
//!
//! Spec: "Advanced Configuration and Power Interface (ACPI) Specification", release 6.5.

mod affinity;
mod fixed;
mod interrupt;
mod locality;
mod root;

pub use affinity::{
    AFFINITY_ENABLED, MEMORY_AFFINITY, MemoryAffinity, SratFixed, X2APIC_AFFINITY, X2apicAffinity,
};
pub use fixed::{BootArch, Facs, Fadt, FadtFlag, PM_PROFILE_ENTERPRISE_SERVER};
pub use interrupt::{
    BUS_ISA, INTERRUPT_SOURCE_OVERRIDE, INTI_LEVEL_HIGH, IO_APIC, InterruptSourceOverride, IoApic,
    LOCAL_X2APIC, LOCAL_X2APIC_NMI, LocalX2apic, LocalX2apicNmi, MadtFixed, PROCESSOR_ENABLED,
    UID_ALL_PROCESSORS,
};
pub use locality::{
    ACCESS_BANDWIDTH, ACCESS_LATENCY, HIERARCHY_MEMORY, HmatFixed, INITIATOR_VALID,
    MEMORY_PROXIMITY, MemoryProximity, SYSTEM_LOCALITY, SlitFixed, SystemLocality,
};
pub use root::{ACCESS_BYTE, ACCESS_DWORD, ACCESS_WORD, Gas, Rsdp, SPACE_IO, SdtHeader};

/// Who made the tables. The spec wants one OEM table id in FADT and XSDT alike (5.2.8, 5.2.9);
/// here it is one in all of them.
pub const OEM_ID: [u8; 6] = *b"PANGEA";
/// See [`OEM_ID`].
pub const OEM_TABLE_ID: [u8; 8] = *b"CLUSTER ";
/// Raised when the same cluster file begins to yield different tables.
pub const OEM_REVISION: u32 = 1;

/// A table's signature and the revision of it that we write: the one list of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The four letters of its header.
    pub name: &'static str,
    /// The header's revision byte (FACS: its version field).
    pub revision: u8,
}

const fn kind(name: &'static str, revision: u8) -> Kind {
    assert!(name.len() == 4);
    Kind { name, revision }
}

/// 5.2.8 "Extended System Description Table (XSDT)".
pub const XSDT: Kind = kind("XSDT", 1);
/// 5.2.9 "Fixed ACPI Description Table (FADT)"; its minor version is [`FADT_MINOR`].
pub const FADT: Kind = kind("FACP", 6);
/// 5.2.10 "Firmware ACPI Control Structure (FACS)".
pub const FACS: Kind = kind("FACS", 2);
/// 5.2.11.1 "Differentiated System Description Table (DSDT)"; 2 makes AML integers 64 bits wide.
pub const DSDT: Kind = kind("DSDT", 2);
/// 5.2.12 "Multiple APIC Description Table (MADT)".
pub const MADT: Kind = kind("APIC", 6);
/// 5.2.16 "System Resource Affinity Table (SRAT)". Under revision 2 Linux reads domains as 8 bits.
pub const SRAT: Kind = kind("SRAT", 3);
/// 5.2.17 "System Locality Information Table (SLIT)".
pub const SLIT: Kind = kind("SLIT", 1);
/// 5.2.27 "Heterogeneous Memory Attribute Table (HMAT)". Under 2 Linux reads latencies in other units.
pub const HMAT: Kind = kind("HMAT", 2);
/// 5.2.5.3 "Root System Description Pointer (RSDP) Structure": no header, so no [`Kind`].
pub const RSDP_REVISION: u8 = 2;
/// 5.2.9: "FADT Minor Version", 5 in ACPI 6.5.
pub const FADT_MINOR: u8 = 5;

impl Kind {
    /// [`Kind::name`] as the header has it.
    pub const fn signature(&self) -> [u8; 4] {
        let letters = self.name.as_bytes();
        [letters[0], letters[1], letters[2], letters[3]]
    }
}
