//! What can go wrong between a cluster and its tables.

use crate::lint::Finding;

/// Why a cluster has no tables.
#[derive(Debug, thiserror::Error)]
pub enum AcpiError {
    /// The tables don't fit where the map has room for them.
    #[error(
        "the ACPI tables of {nodes} nodes and {vcpus} vCPUs take {bytes} bytes, \
         the map keeps {limit} for them; use fewer vCPUs or nodes"
    )]
    TooLarge {
        /// Nodes of the cluster.
        nodes: usize,
        /// vCPUs of the cluster.
        vcpus: u32,
        /// What the tables take.
        bytes: u64,
        /// What `Topology::acpi` has.
        limit: u64,
    },
    /// The tables were built and then failed the check that every build runs.
    #[error(
        "the ACPI tables contradict the cluster; this is a defect of pangea-acpi, please report it"
    )]
    Lint(#[from] Finding),
}
