//! Tables of clusters of every shape: they pass their own check, they sum to zero, they fit, and
//! the check finds what is broken in them.

#![allow(clippy::unwrap_used)]

use pangea_acpi::lint::{self, Finding};
use pangea_acpi::{AcpiError, Tables, tables, text};
use pangea_topology::{
    Cluster, Failure, Gpa, Guest, Link, Links, Node, NodeId, PAGE_SIZE, Topology, limits,
};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

/// A cluster of nodes with so many vCPUs and bytes of memory.
fn cluster(nodes: &[(u32, u64)], links: Links) -> Cluster {
    let node = |(index, &(vcpus, memory)): (usize, &(u32, u64))| Node {
        name: format!("node-{index}"),
        address: "127.0.0.1".to_owned(),
        vcpus,
        memory,
    };
    Cluster {
        name: "shape".to_owned(),
        guest: Guest::default(),
        nodes: nodes.iter().enumerate().map(node).collect(),
        links,
        failure: Failure::default(),
    }
}

fn built(cluster: &Cluster) -> (Topology, Tables) {
    let topology = Topology::of(cluster);
    let tables = tables(cluster, &topology).unwrap();
    (topology, tables)
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &b| sum.wrapping_add(b))
}

/// Two nodes: 512 MiB with 2 vCPUs, 3 GiB with 1, which lies across the hole.
fn duo() -> Cluster {
    cluster(&[(2, 512 * MIB), (1, 3072 * MIB)], Links::default())
}

/// Changes a table's bytes and makes its sum right again, so that only the change is wrong.
fn forged(tables: &Tables, name: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let bytes = tables.get(name).unwrap();
    let mut blob = tables.blob.clone();
    let at = blob.windows(bytes.len()).position(|w| w == bytes).unwrap();
    let table = &mut blob[at..at + bytes.len()];
    change(table);
    let total = sum(table);
    table[9] = table[9].wrapping_sub(total);
    blob
}

#[test]
fn the_largest_cluster_fits() {
    let nodes = [(1024 / 64, limits::MAX_MEMORY / 64); limits::MAX_NODES];
    let (topology, tables) = built(&cluster(&nodes, Links::default()));
    assert_eq!((topology.vcpus(), topology.nodes().len()), (1024, 64));
    let (bytes, limit) = (tables.blob.len() as u64, topology.acpi().1);
    assert!(bytes < limit / 4, "{bytes} of {limit} bytes: room to grow is what the MiB is for");
}

#[test]
fn a_map_without_room_is_refused_with_both_sizes() {
    let error = AcpiError::TooLarge { nodes: 64, vcpus: 1024, bytes: 1_052_672, limit: 1_048_576 };
    assert_eq!(
        error.to_string(),
        "the ACPI tables of 64 nodes and 1024 vCPUs take 1052672 bytes, the map keeps 1048576 for \
         them; use fewer vCPUs or nodes"
    );
}

#[test]
fn every_flipped_byte_of_a_table_is_found() {
    let (topology, tables) = built(&duo());
    for (name, bytes) in tables.named.iter().filter(|(name, _)| name != "FACS") {
        let at = tables.blob.windows(bytes.len()).position(|w| w == bytes).unwrap();
        for offset in (0..bytes.len()).step_by(7) {
            let mut blob = tables.blob.clone();
            blob[at + offset] ^= 0x10;
            assert!(lint::check(&blob, &topology).is_err(), "{name} byte {offset}");
        }
    }
}

#[test]
fn a_blob_cut_anywhere_is_an_error_and_no_panic() {
    let (topology, tables) = built(&duo());
    for len in 0..tables.blob.iter().rposition(|&b| b != 0).unwrap() {
        assert!(lint::check(&tables.blob[..len], &topology).is_err(), "cut to {len}");
    }
}

#[test]
fn tables_of_another_cluster_are_found() {
    let (_, tables) = built(&duo());
    let other = Topology::of(&cluster(&[(1, 512 * MIB), (2, 3072 * MIB)], Links::default()));
    let finding = lint::check(&tables.blob, &other).unwrap_err();
    assert_eq!(
        finding.to_string(),
        "SRAT: vCPU 1 is node 0, flags 1, the map says node 1, flags 1"
    );
}

#[test]
fn a_cpu_told_twice_or_never_is_found() {
    let (topology, tables) = built(&duo());
    // The x2APIC ID of the third entry: header 36, fixed 8, entries of 16 with the ID at 4.
    let twice = forged(&tables, "APIC", |t| t[36 + 8 + 2 * 16 + 4] = 1);
    let finding = lint::check(&twice, &topology).unwrap_err();
    assert!(matches!(finding, Finding::Cpu { apic_id: 1, .. }), "{finding}");
    let never = forged(&tables, "APIC", |t| t[36 + 8 + 2 * 16 + 4] = 9);
    let finding = lint::check(&never, &topology).unwrap_err();
    assert_eq!(finding.to_string(), "APIC: vCPU 2 is none, the map says uid 2, flags 1");
}

#[test]
fn a_distance_that_linux_would_refuse_is_found() {
    let (topology, tables) = built(&duo());
    let found = |at: usize, value: u8| {
        let blob = forged(&tables, "SLIT", |t| t[36 + 8 + at] = value);
        lint::check(&blob, &topology).unwrap_err().to_string()
    };
    assert_eq!(
        found(0, 11),
        "SLIT: from node 0 to node 0 is 11: a node's distance to itself must be 10"
    );
    assert_eq!(found(1, 30), "SLIT: from node 0 to node 1 is 30: it is another the other way");
}

#[test]
fn a_memory_range_moved_is_found() {
    let (topology, tables) = built(&duo());
    // The base of the first range: header 36, fixed 12, three CPUs of 24, base at 8.
    let blob = forged(&tables, "SRAT", |t| t[36 + 12 + 3 * 24 + 8 + 3] = 1);
    let finding = lint::check(&blob, &topology).unwrap_err();
    assert!(matches!(finding, Finding::Memory { index: 0, .. }), "{finding}");
}

#[test]
fn a_facs_among_the_tables_is_found() {
    let (topology, mut tables) = built(&duo());
    let facs = tables.get("FACS").unwrap().to_vec();
    let place = Gpa(topology.acpi().0.0 + tables.blob.len() as u64);
    tables.blob.extend(facs);
    // X_FIRMWARE_CTRL, at 132.
    let blob = forged(&tables, "FACP", |t| t[132..140].copy_from_slice(&place.0.to_le_bytes()));
    let finding = lint::check(&blob, &topology).unwrap_err();
    assert_eq!(
        finding.to_string(),
        format!(
            "FACS at {place}: expected memory that e820 tells as Nvs, found 64 bytes elsewhere"
        )
    );
}

#[test]
fn text_of_arbitrary_bytes_is_a_finding_or_a_text() {
    let (_, tables) = built(&duo());
    for (name, bytes) in &tables.named {
        for len in 0..bytes.len() {
            let _ = text::text(name, &bytes[..len]);
        }
        assert!(text::text(name, bytes).is_ok());
    }
}

/// Nodes with CPUs, memory or both; the first always with both, those without CPUs last.
fn nodes() -> impl Strategy<Value = Vec<(u32, u64)>> {
    let root = (1_u32..=8, 128_u64..=2048);
    let node = (0_u32..=8, 0_u64..=2048);
    (root, prop::collection::vec(node, 0..8)).prop_map(|(root, others)| {
        let others = others.into_iter().map(|(v, m)| if v == 0 { (v, m.max(1)) } else { (v, m) });
        let (with, without): (Vec<_>, Vec<_>) = others.partition(|&(vcpus, _)| vcpus > 0);
        let nodes = [root].into_iter().chain(with).chain(without);
        nodes.map(|(v, m)| (v, m * 2 * MIB)).collect()
    })
}

fn link() -> impl Strategy<Value = Link> {
    (limits::DISTANCE, limits::LATENCY_NS, limits::BANDWIDTH_MBPS).prop_map(
        |(distance, latency_ns, bandwidth_mbps)| Link { distance, latency_ns, bandwidth_mbps },
    )
}

fn clusters() -> impl Strategy<Value = Cluster> {
    (nodes(), link(), prop::collection::vec((0_u8..8, 0_u8..8, link()), 0..6)).prop_map(
        |(nodes, default, pairs)| {
            let mut links = Links::uniform(default);
            let count = nodes.len() as u8;
            for (a, b, link) in
                pairs.into_iter().filter(|&(a, b, _)| a != b && a < count && b < count)
            {
                links.set(NodeId(a), NodeId(b), link);
            }
            cluster(&nodes, links)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_table_sums_to_zero_and_lies_aligned(cluster in clusters()) {
        prop_assert!(cluster.check().is_ok(), "{:?}", cluster.check());
        let (topology, tables) = built(&cluster);
        prop_assert!((tables.blob.len() as u64).is_multiple_of(PAGE_SIZE));
        prop_assert_eq!(sum(&tables.blob[..20]), 0, "RSDP, first sum");
        for (name, bytes) in &tables.named {
            if name != "FACS" {
                prop_assert_eq!(sum(bytes), 0, "{}", name);
            }
            let at = tables.blob.windows(bytes.len()).position(|w| w == bytes).unwrap();
            let align = if name == "FACS" { 64 } else { 16 };
            let gpa = Gpa(topology.acpi().0.0 + at as u64);
            prop_assert!(gpa.0.is_multiple_of(align), "{} at {}", name, gpa);
        }
        prop_assert_eq!(tables, built(&cluster).1, "built twice");
    }
}
