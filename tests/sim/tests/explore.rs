//! CI's share of clusters in which every interleaving is visited. Larger ones: `cargo xtask explore`.

use pangea_sim::{Small, explore};

/// Visits all of it; a failure's text has every step that leads to it.
fn all(nodes: u8, pages: u64, cpus: u8, accesses: u32, crash: bool) {
    let small = Small { nodes, pages, cpus, accesses, crash };
    let explored = explore(small, 2_000_000).unwrap_or_else(|found| panic!("{found}"));
    println!("{small}: {explored}");
    assert!(!explored.cut && explored.ends > 0, "{explored}");
}

#[test]
fn two_nodes_and_a_page() {
    all(2, 1, 1, 4, false);
}

#[test]
fn two_nodes_and_a_page_with_a_crash_at_every_step() {
    all(2, 1, 1, 3, true);
}

/// A write fault while a read of the same page is under way.
#[test]
fn two_nodes_with_two_cpus() {
    all(2, 1, 2, 1, true);
}

#[test]
fn two_nodes_and_two_pages() {
    all(2, 2, 1, 2, false);
}

#[test]
fn three_nodes_and_two_pages() {
    all(3, 2, 1, 1, false);
}

#[test]
fn three_nodes_and_a_page_with_a_crash_at_every_step() {
    all(3, 1, 1, 1, true);
}

#[test]
fn a_limit_is_told() {
    let small = Small { nodes: 3, pages: 2, cpus: 1, accesses: 2, crash: false };
    let explored = explore(small, 1000).unwrap_or_else(|found| panic!("{found}"));
    assert!(explored.cut && explored.states == 1000, "{explored}");
}
