//! The map of every cluster file, as text, is what `map/*.txt` says; and a few facts that hold for
//! every map, whatever its file.
#![allow(clippy::unwrap_used)]

use pangea_golden::{clusters, orphans};
use pangea_topology::{ApicId, E820Entry, E820Kind, Gpa, NodeId, PAGE_SIZE, Pfn, Topology, layout};
use std::env;
use std::path::Path;

#[test]
fn every_cluster_has_its_golden_map() {
    let (inputs, update) = (clusters(), env::var_os("UPDATE_EXPECT").is_some());
    for input in &inputs {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("map/{}.txt", input.stem));
        assert!(
            update || path.is_file(),
            "configs/clusters/{0}.yaml has no golden map; write tests/golden/map/{0}.txt with \
             `UPDATE_EXPECT=1 cargo test -p pangea-golden --test map` and read it",
            input.stem
        );
        expect_test::expect_file![path].assert_eq(&Topology::of(&input.cluster).layout_text());
    }
    let gone = orphans("map", &inputs);
    assert!(gone.is_empty(), "no cluster file for tests/golden/map: {gone:?}; remove them");
}

#[test]
fn an_expanded_configuration_parses_back_to_the_same_cluster() {
    for input in clusters() {
        let text = pangea_schema::render::expanded(&input.cluster);
        let again = pangea_schema::parse(&text, &input.stem);
        assert_eq!(again.unwrap_or_else(|e| panic!("error: {e}\n{text}")), input.cluster);
        assert_eq!(pangea_schema::render::expanded(&input.cluster), text);
    }
}

#[test]
fn every_byte_of_ram_has_one_home_and_one_place_in_the_file() {
    for input in clusters() {
        let map = Topology::of(&input.cluster);
        let (mut address, mut offset) = (Gpa(0), 0);
        for range in map.ram() {
            assert!(range.base >= address, "{}: {range:?} overlaps", input.stem);
            assert_eq!(range.file_offset, offset, "{}: the file has no hole", input.stem);
            for pfn in [range.pages().start, range.pages().end - 1].map(Pfn) {
                assert_eq!(map.home(pfn), Some(range.node), "{}: {pfn}", input.stem);
            }
            (address, offset) = (range.end(), offset + range.len);
        }
        assert_eq!(offset, map.memory());
        let past = address.pfn();
        for pfn in [past, layout::LOW_RAM_END.pfn(), layout::GHOST_STUB.pfn(), Pfn(u64::MAX)] {
            assert_eq!(map.home(pfn), None, "{}: {pfn} isn't RAM", input.stem);
        }
        for (node, of) in map.nodes().iter().zip(&input.cluster.nodes) {
            assert_eq!((&node.name, node.memory()), (&of.name, of.memory), "{}", input.stem);
        }
    }
}

#[test]
fn apic_ids_are_contiguous_and_each_has_its_node() {
    for input in clusters() {
        let map = Topology::of(&input.cluster);
        let owners = input.cluster.nodes.iter().zip(0..).flat_map(|(node, id)| {
            std::iter::repeat_n(NodeId(id), usize::try_from(node.vcpus).unwrap())
        });
        let found: Vec<_> = (0..map.vcpus()).map(|cpu| map.node_of(ApicId(cpu)).unwrap()).collect();
        assert_eq!(found, owners.collect::<Vec<_>>(), "{}", input.stem);
        assert_eq!(map.node_of(ApicId(map.vcpus())), None, "{}", input.stem);
    }
}

#[test]
fn e820_is_sorted_apart_and_lets_the_guest_use_only_ram() {
    for input in clusters() {
        let map = Topology::of(&input.cluster);
        assert!(map.e820().len() <= 128, "{}: Linux takes 128 entries", input.stem);
        for pair in map.e820().windows(2) {
            assert!(pair[0].base.0 + pair[0].len <= pair[1].base.0, "{}: {pair:?}", input.stem);
        }
        let (acpi, len) = map.acpi();
        let facs = Gpa(acpi.0 + layout::FACS_OFFSET);
        let rest = Gpa(facs.0 + layout::FACS_LEN);
        let is_acpi = |e: &&E820Entry| matches!(e.kind, E820Kind::Acpi | E820Kind::Nvs);
        let found: Vec<_> =
            map.e820().iter().filter(is_acpi).map(|e| (e.base, e.len, e.kind)).collect();
        let expected = [
            (acpi, layout::FACS_OFFSET, E820Kind::Acpi),
            (facs, layout::FACS_LEN, E820Kind::Nvs),
            (rest, acpi.0 + len - rest.0, E820Kind::Acpi),
        ];
        assert_eq!(found, expected, "{}", input.stem);
        assert_eq!(map.home(acpi.pfn()), Some(NodeId::ROOT), "{}", input.stem);
        for entry in map.e820().iter().filter(|e| e.kind != E820Kind::Reserved) {
            // Both ends, and every border between nodes, lie in RAM; ranges touch where nodes do.
            let last = Gpa(entry.base.0 + entry.len - 1);
            for gpa in [entry.base, last] {
                assert!(map.home(gpa.pfn()).is_some(), "{}: {entry:?}", input.stem);
            }
        }
        let told: u64 =
            map.e820().iter().filter(|e| e.kind != E820Kind::Reserved).map(|e| e.len).sum();
        let legacy = layout::LEGACY_END.0 - layout::EBDA.0;
        assert_eq!(told + legacy, map.memory(), "{}: all RAM but the legacy part", input.stem);
        assert_eq!(acpi.0 % PAGE_SIZE, 0);
    }
}
