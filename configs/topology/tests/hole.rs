//! The hole below 4 GiB: memory that ends before it, at it, and beyond it.
#![allow(clippy::unwrap_used)]

use pangea_topology::{
    ApicId, Cluster, Failure, Gpa, Guest, Links, Node, NodeId, PAGE_SIZE, Pfn, Topology,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The map of nodes with this much memory each, in MiB, and 1 vCPU.
fn map(memory: &[u64]) -> Topology {
    let node = |(i, mib): (usize, &u64)| Node {
        name: format!("n{i}"),
        address: "127.0.0.1".into(),
        vcpus: 1,
        memory: mib * MIB,
    };
    Topology::of(&Cluster {
        name: "test".into(),
        guest: Guest::default(),
        nodes: memory.iter().enumerate().map(node).collect(),
        links: Links::default(),
        failure: Failure::default(),
    })
}

/// The ranges as (node, first MiB, MiB, MiB in the file).
fn ranges(memory: &[u64]) -> Vec<(u8, u64, u64, u64)> {
    let map = map(memory);
    let range = map.ram().iter();
    range.map(|r| (r.node.0, r.base.0 / MIB, r.len / MIB, r.file_offset / MIB)).collect()
}

#[test]
fn memory_goes_around_the_hole() {
    assert_eq!(ranges(&[2046]), [(0, 0, 2046, 0)]);
    assert_eq!(ranges(&[2048]), [(0, 0, 2048, 0)]);
    assert_eq!(ranges(&[2050]), [(0, 0, 2048, 0), (0, 4096, 2, 2048)]);
    assert_eq!(ranges(&[2048, 256]), [(0, 0, 2048, 0), (1, 4096, 256, 2048)]);
    assert_eq!(
        ranges(&[512, 2048, 256]),
        [(0, 0, 512, 0), (1, 512, 1536, 512), (1, 4096, 512, 2048), (2, 4608, 256, 2560)]
    );
    assert_eq!(ranges(&[512, 0, 256]), [(0, 0, 512, 0), (2, 512, 256, 512)]);
}

#[test]
fn pages_on_both_sides_of_each_border_have_the_right_home_and_offset() {
    let map = map(&[512, 2048, 256]);
    let at = |gpa: u64| Gpa(gpa).pfn();
    for (page, home, offset) in [
        (at(0), Some(0), Some(0)),
        (at(512 * MIB - 1), Some(0), Some(512 * MIB - PAGE_SIZE)),
        (at(512 * MIB), Some(1), Some(512 * MIB)),
        (at(2 * GIB - 1), Some(1), Some(2 * GIB - PAGE_SIZE)),
        (at(2 * GIB), None, None),
        (at(4 * GIB - 1), None, None),
        (at(4 * GIB), Some(1), Some(2 * GIB)),
        (at(4608 * MIB), Some(2), Some(2560 * MIB)),
        (at(4864 * MIB), None, None),
        (Pfn(u64::MAX / PAGE_SIZE), None, None),
        (Pfn(u64::MAX), None, None),
    ] {
        assert_eq!(map.home(page), home.map(NodeId), "{page}");
        assert_eq!(map.file_offset(page), offset, "{page}");
    }
}

#[test]
fn the_acpi_tables_end_the_root_nodes_first_range() {
    assert_eq!(map(&[256, 256]).acpi(), (Gpa(255 * MIB), MIB));
    assert_eq!(map(&[4096]).acpi(), (Gpa(2047 * MIB), MIB));
}

#[test]
fn a_cpu_past_the_last_is_on_no_node() {
    let map = map(&[256, 0]);
    assert_eq!(map.vcpus(), 2);
    assert_eq!([0, 1].map(|cpu| map.node_of(ApicId(cpu))), [Some(NodeId(0)), Some(NodeId(1))]);
    assert_eq!([2, u32::MAX].map(|cpu| map.node_of(ApicId(cpu))), [None, None]);
    assert_eq!(map.node_named("n1").unwrap().id, NodeId(1));
    assert_eq!(map.node_named("n2"), None);
}
