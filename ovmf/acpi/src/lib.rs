//! The ACPI tables of a cluster: how the guest learns that it is one NUMA machine.
//!
//! ```text
//! (Cluster, Topology) --tables--> bytes --lint--> Tables { blob, named }
//!                       spec: layouts             text: the same, to read
//! ```
//!
//! | table | says |
//! |---|---|
//! | RSDP, XSDT | where the others are |
//! | FADT, FACS, DSDT | the chipset: PM timer, power-off, reset, COM1, RTC; a device per CPU |
//! | MADT | an x2APIC per CPU, one IOAPIC |
//! | SRAT | which CPUs and which RAM ranges are which node |
//! | SLIT, HMAT | how far the nodes are from each other: relative, and in ns and MB/s |
//!
//! There is no MCFG, since there is no PCI, and no HPET, since the PM timer and kvmclock suffice.
//!
//! A pure function of the cluster: the same file yields the same bytes on every host.
//! Spec: ACPI 6.5.

mod dsdt;
mod error;
mod fadt;
mod hmat;
pub mod lint;
mod madt;
mod place;
mod slit;
pub mod spec;
mod srat;
pub mod text;

pub use error::AcpiError;

use acpi_tables::sdt::Sdt;
use pangea_topology::{Cluster, Topology};
use spec::{Kind, OEM_ID, OEM_REVISION, OEM_TABLE_ID, SdtHeader};

/// The tables of one cluster, relocated for [`Topology::acpi`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Each table by its signature (`APIC`, ...; the RSDP as `RSDP`), in the blob's order, just as
    /// the guest sees it.
    pub named: Vec<(String, Vec<u8>)>,
    /// What is loaded: the RSDP at offset 0, all pointers absolute, zeros up to a whole page.
    pub blob: Vec<u8>,
}

/// Builds the tables of a cluster and checks them against its map.
///
/// `topology` must be [`Topology::of`] that cluster.
pub fn tables(cluster: &Cluster, topology: &Topology) -> Result<Tables, AcpiError> {
    let tables = place::place(cluster, topology);
    let (bytes, (_, limit)) = (tables.blob.len() as u64, topology.acpi());
    if bytes > limit {
        let (nodes, vcpus) = (topology.nodes().len(), topology.vcpus());
        return Err(AcpiError::TooLarge { nodes, vcpus, bytes, limit });
    }
    lint::check(&tables.blob, topology)?;
    Ok(tables)
}

impl Tables {
    /// One table by its signature.
    pub fn get(&self, signature: &str) -> Option<&[u8]> {
        self.named.iter().find(|(name, _)| name == signature).map(|(_, bytes)| bytes.as_slice())
    }
}

/// A table: header, body, length and checksum.
fn table(kind: Kind, body: &[u8]) -> Vec<u8> {
    let header = size_of::<SdtHeader>() as u32;
    let mut sdt =
        Sdt::new(kind.signature(), header, kind.revision, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    sdt.append_slice(body);
    sdt.as_slice().to_vec()
}
