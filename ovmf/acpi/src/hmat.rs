//! Absolute latency and bandwidth of every pair of a node with CPUs and a node with memory.
//!
//! ```text
//! value = entry x base unit        entry: 1..=0xFFFE (0 and 0xFFFF are taken)
//! ```
//!
//! The base unit is the greatest common divisor of all values, so that entries are exact, wherever
//! the largest then fits in 16 bits. Otherwise it is the smallest whole unit with which the largest
//! fits; entries are then rounded to the nearest and never to 0: off by half a base unit at most (a
//! value below half a unit becomes one unit).
//!
//! Read and write aren't told apart, since a page fetched is a page fetched: "access" data types,
//! which Linux shows as both.
//!
//! Units: latency in nanoseconds, in the table picoseconds; bandwidth in MB/s.
//! Spec: ACPI 6.5 5.2.27.

use crate::spec::{
    self, ACCESS_BANDWIDTH, ACCESS_LATENCY, HIERARCHY_MEMORY, HmatFixed, INITIATOR_VALID,
    MEMORY_PROXIMITY, MemoryProximity, SYSTEM_LOCALITY, SystemLocality,
};
use crate::srat::domain;
use crate::table;
use pangea_topology::{Cluster, NodeId, NodeMap, Topology};
use zerocopy::{FromZeros, IntoBytes};

/// The largest entry: 0xFFFF says "not reachable".
const MAX_ENTRY: u64 = 0xFFFE;
/// Picoseconds in a nanosecond.
const PS: u64 = 1000;
/// The highest latency in nanoseconds that reaches Linux: it multiplies entry and base unit in 32
/// bits of picoseconds and drops what overflows, so what is slower is told as this (4.29 ms).
const MAX_LATENCY_NS: u64 = u32::MAX as u64 / PS;
/// The highest bandwidth in MB/s that reaches Linux, which computes it in 32 bits as well.
const MAX_BANDWIDTH: u64 = u32::MAX as u64;

/// The HMAT of the cluster.
pub(crate) fn hmat(cluster: &Cluster, topology: &Topology) -> Vec<u8> {
    let nodes = topology.nodes();
    let has_cpus = |n: &&NodeMap| !n.apic_ids.is_empty();
    let initiators: Vec<NodeId> = nodes.iter().filter(has_cpus).map(|n| n.id).collect();
    let targets: Vec<&NodeMap> = nodes.iter().filter(|n| !n.ram.is_empty()).collect();

    let mut body = HmatFixed { reserved: 0.into() }.as_bytes().to_vec();
    for target in &targets {
        body.extend(proximity(target).as_bytes());
    }
    let links = &cluster.links;
    let targets: Vec<NodeId> = targets.iter().map(|n| n.id).collect();
    let matrix = |value: &dyn Fn(NodeId, NodeId) -> u64| -> Vec<u64> {
        initiators.iter().flat_map(|&i| targets.iter().map(move |&t| value(i, t))).collect()
    };
    let latency = scale(&matrix(&|i, t| links.latency_ns(i, t)), MAX_LATENCY_NS);
    let bandwidth = scale(&matrix(&|i, t| links.bandwidth_mbps(i, t)), MAX_BANDWIDTH);
    locality(ACCESS_LATENCY, PS, &latency, &initiators, &targets, &mut body);
    locality(ACCESS_BANDWIDTH, 1, &bandwidth, &initiators, &targets, &mut body);
    table(spec::HMAT, &body)
}

/// Memory is attached to its own node's CPUs. Memory of a node without CPUs is attached to none
/// ("valid" clear): a guest then finds the nearest in the matrix.
fn proximity(target: &NodeMap) -> MemoryProximity {
    let attached = !target.apic_ids.is_empty();
    MemoryProximity {
        kind: MEMORY_PROXIMITY.into(),
        length: (size_of::<MemoryProximity>() as u32).into(),
        flags: if attached { INITIATOR_VALID } else { 0 }.into(),
        initiator: if attached { domain(target.id) } else { 0 }.into(),
        memory: domain(target.id).into(),
        ..MemoryProximity::new_zeroed()
    }
}

/// Values of one matrix, row by row, in units of `base`.
#[derive(Debug, PartialEq, Eq)]
struct Scaled {
    base: u64,
    entries: Vec<u16>,
}

/// Finds the base unit. Values over `limit` count as `limit`, and no entry gets above it.
fn scale(values: &[u64], limit: u64) -> Scaled {
    let values = || values.iter().map(|&v| v.clamp(1, limit));
    let max = values().max().unwrap_or(1);
    let exact = values().fold(0, gcd).max(1);
    let base = if max / exact <= MAX_ENTRY { exact } else { max.div_ceil(MAX_ENTRY) };
    let entry = |v: u64| ((v + base / 2) / base).clamp(1, MAX_ENTRY.min(limit / base)) as u16;
    Scaled { base, entries: values().map(entry).collect() }
}

/// Greatest common divisor; `gcd(0, b)` is `b`.
fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Appends one matrix with its lists; an entry is in `unit`s of the table's own (picoseconds, MB/s).
fn locality(
    data_type: u8,
    unit: u64,
    scaled: &Scaled,
    initiators: &[NodeId],
    targets: &[NodeId],
    body: &mut Vec<u8>,
) {
    let lists = 4 * (initiators.len() + targets.len()) + 2 * scaled.entries.len();
    let fixed = SystemLocality {
        kind: SYSTEM_LOCALITY.into(),
        length: ((size_of::<SystemLocality>() + lists) as u32).into(),
        flags: HIERARCHY_MEMORY,
        data_type,
        initiators: (initiators.len() as u32).into(),
        targets: (targets.len() as u32).into(),
        base_unit: (scaled.base * unit).into(),
        ..SystemLocality::new_zeroed()
    };
    body.extend(fixed.as_bytes());
    for &node in initiators.iter().chain(targets) {
        body.extend(domain(node).to_le_bytes());
    }
    for entry in &scaled.entries {
        body.extend(entry.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn round_figures_are_exact() {
        let scaled = scale(&[100, 200_000, 200_000, 100], MAX_LATENCY_NS);
        assert_eq!(scaled, Scaled { base: 100, entries: vec![1, 2000, 2000, 1] });
        let scaled = scale(&[10_000, 1_000], MAX_BANDWIDTH);
        assert_eq!(scaled, Scaled { base: 1_000, entries: vec![10, 1] });
    }

    #[test]
    fn figures_too_far_apart_are_rounded_to_the_nearest() {
        // 2,000,001 and 100 have no common divisor: 31 is the least unit in which the larger fits.
        let scaled = scale(&[100, 2_000_001], MAX_LATENCY_NS);
        assert_eq!(scaled, Scaled { base: 31, entries: vec![3, 64_516] });
    }

    #[test]
    fn what_linux_would_drop_is_told_as_the_most_it_knows() {
        let Scaled { base, entries } = scale(&[100, 5_000_000], MAX_LATENCY_NS);
        let told = u64::from(entries[1]) * base * PS;
        assert!(told <= u64::from(u32::MAX) && told > u64::from(u32::MAX) - base * PS, "{told}");
    }

    proptest! {
        #[test]
        fn entries_are_valid_and_near(values in prop::collection::vec(1_u64..=5_000_000, 1..64)) {
            let Scaled { base, entries } = scale(&values, MAX_LATENCY_NS);
            for (&value, &entry) in values.iter().zip(&entries) {
                let (value, told) = (value.min(MAX_LATENCY_NS), u64::from(entry) * base);
                prop_assert!(entry != 0 && entry != 0xFFFF && told <= MAX_LATENCY_NS);
                let near = told.abs_diff(value) <= base / 2 || value < base
                    || MAX_LATENCY_NS - value < base;
                prop_assert!(near, "{value} told as {told}, base {base}");
            }
        }
    }
}
