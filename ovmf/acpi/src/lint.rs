//! The check that runs on every build: do the bytes say what the map says?
//!
//! It starts where a guest starts, at the RSDP, and believes nothing that it can read off the bytes,
//! so that it finds a builder's mistake rather than repeating it. It knows what guests refuse in
//! silence: Linux drops a SLIT or an SRAT that it doesn't like and boots as a machine of one node.
//!
//! Spec: ACPI 6.5 5.2.

mod affinity;
mod distance;
pub(crate) mod walk;

use pangea_topology::{Gpa, Topology};
use walk::Image;

/// What the tables have wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A pointer leads out of the blob, or to something that isn't the table meant.
    #[error("{what} at {at}: expected {expected}, found {found}")]
    Unexpected {
        /// Table and field.
        what: String,
        /// Address of the table.
        at: Gpa,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Bytes that don't sum to zero.
    #[error("{table} at {at}: its {length} bytes sum to {sum:#04x}, not to 0")]
    Checksum {
        /// The table.
        table: String,
        /// Its address.
        at: Gpa,
        /// Its length in bytes.
        length: usize,
        /// What they sum to.
        sum: u8,
    },
    /// A table or a structure is cut short.
    #[error("{table}: {need} bytes are needed at offset {offset}, {left} are left")]
    Short {
        /// The table.
        table: String,
        /// Where in its body, in bytes.
        offset: usize,
        /// Bytes needed.
        need: usize,
        /// Bytes left.
        left: usize,
    },
    /// A CPU of the map is missing, or is elsewhere in the table.
    #[error("{table}: vCPU {apic_id} is {found}, the map says {expected}")]
    Cpu {
        /// The table.
        table: String,
        /// Its APIC ID.
        apic_id: u32,
        /// As the map has it.
        expected: String,
        /// As the table has it.
        found: String,
    },
    /// The RAM ranges aren't those of the map.
    #[error("SRAT: memory range {index} is {found}, the map says {expected}")]
    Memory {
        /// Place in the list.
        index: usize,
        /// As the map has it.
        expected: String,
        /// As the table has it.
        found: String,
    },
    /// A distance, latency or bandwidth that guests refuse.
    #[error("{table}: from node {from} to node {to} is {value}: {rule}")]
    Distance {
        /// The table.
        table: String,
        /// The accessing node.
        from: u32,
        /// The node accessed.
        to: u32,
        /// The entry.
        value: u64,
        /// What it breaks.
        rule: &'static str,
    },
}

/// Checks a blob against the map that it was made for.
pub fn check(blob: &[u8], topology: &Topology) -> Result<(), Finding> {
    let image = Image::open(blob, topology)?;
    affinity::processors(image.table("APIC")?, topology)?;
    affinity::domains(image.table("SRAT")?, topology)?;
    distance::slit(image.table("SLIT")?, topology)?;
    distance::hmat(image.table("HMAT")?, topology)
}
