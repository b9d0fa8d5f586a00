//! Which CPU and which memory belongs to which node: node index = proximity domain.
//!
//! One entry per vCPU and one per RAM range of the map, no more: a node that lies across the hole
//! below 4 GiB has two ranges, any other one.
//!
//! Linux numbers its nodes as it meets their domains here, all processors before any memory, whatever
//! the order of the entries (`acpi_numa_init`). Its numbers are ours because a cluster's memory-only
//! nodes come last (`Cluster::violations`).
//!
//! Spec: ACPI 6.5 5.2.16.

use crate::spec::{
    self, AFFINITY_ENABLED, MEMORY_AFFINITY, MemoryAffinity, SratFixed, X2APIC_AFFINITY,
    X2apicAffinity,
};
use crate::table;
use pangea_topology::{NodeId, RamRange, Topology};
use zerocopy::IntoBytes;

/// The SRAT of the cluster: all processors, then all memory, both ascending.
pub(crate) fn srat(topology: &Topology) -> Vec<u8> {
    let mut body = SratFixed { reserved0: 1.into(), reserved1: 0.into() }.as_bytes().to_vec();
    for node in topology.nodes() {
        for apic_id in node.apic_ids.clone() {
            body.extend(processor(apic_id, node.id).as_bytes());
        }
    }
    for range in topology.ram() {
        body.extend(memory(range).as_bytes());
    }
    table(spec::SRAT, &body)
}

fn processor(apic_id: u32, node: NodeId) -> X2apicAffinity {
    X2apicAffinity {
        kind: X2APIC_AFFINITY,
        length: size_of::<X2apicAffinity>() as u8,
        reserved0: 0.into(),
        proximity_domain: domain(node).into(),
        x2apic_id: apic_id.into(),
        flags: AFFINITY_ENABLED.into(),
        // A host is an oscillator: vCPUs of one node tick together, those of two don't.
        clock_domain: domain(node).into(),
        reserved1: 0.into(),
    }
}

fn memory(range: &RamRange) -> MemoryAffinity {
    MemoryAffinity {
        kind: MEMORY_AFFINITY,
        length: size_of::<MemoryAffinity>() as u8,
        proximity_domain: domain(range.node).into(),
        reserved0: 0.into(),
        base: range.base.0.into(),
        bytes: range.len.into(),
        reserved1: 0.into(),
        flags: AFFINITY_ENABLED.into(),
        reserved2: 0.into(),
    }
}

/// The proximity domain of a node.
pub(crate) fn domain(node: NodeId) -> u32 {
    u32::from(node.0)
}
