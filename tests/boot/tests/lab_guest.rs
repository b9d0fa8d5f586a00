//! A stock guest in the lab: what it sees of its machine.
#![allow(clippy::unwrap_used)]

mod common;

use common::Boot;

#[test]
fn solo_sees_its_machine() {
    Boot::new("solo", "report").boot(|_, _| {}).passed();
}

#[test]
fn duo_sees_one_machine() {
    let booted = Boot::new("duo", "report").boot(|_, _| {});
    booted.passed();
    // Each node did its part, and says so.
    for node in &booted.nodes {
        let stats: serde_json::Value =
            serde_json::from_str(node.stats.as_deref().unwrap()).unwrap();
        let faults: u64 = ["read", "write", "upgrade"]
            .iter()
            .map(|kind| stats["pages"][kind]["count"].as_u64().unwrap())
            .sum();
        assert!(faults > 0, "node {} had no remote fault: {stats}", node.name);
    }
}

#[test]
fn trio_sees_one_machine() {
    Boot::new("trio", "report").boot(|_, _| {}).passed();
}

/// The guest's own tests of coherence, clocks and hotplug, over two nodes in one boot.
#[test]
fn duo_is_coherent() {
    Boot::new("duo", "all --quick --limit 4").boot(|_, _| {}).passed();
}
