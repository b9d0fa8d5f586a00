//! Our own guest over several node processes on this machine's `/dev/kvm`: ghosts, AP start, IPIs,
//! remote faults, and every way in which a cluster ends.
//!
//! ```text
//!   testguest --> bundle --> pangea node a, b.. --> console lines, exit codes, logs, counters
//! ```
//!
//! One test at a time, also among processes: they use the same ports.
#![allow(clippy::unwrap_used)]

mod checks;
mod nodes;
mod place;

use nodes::{END, Ended, Node, PATIENCE};
use place::Place;
use rustix::process::Signal;
use std::net::TcpListener;
use std::ops::RangeInclusive;

const PORTS: RangeInclusive<u16> = 50051..=50100;

/// Runs the guest's checks over all nodes of a cluster file.
fn passes_on(cluster: &str) {
    let place = Place::new();
    let bundle = place.bundle(cluster, "");
    let json = |name: &str| place.path(&format!("{cluster}-{name}.json"));
    let nodes: Vec<Node> = (bundle.nodes.iter())
        .map(|name| bundle.start(name, &["--stats-json", json(name).to_str().unwrap()]))
        .collect();
    let ended: Vec<Ended> = nodes.into_iter().map(|node| node.end(PATIENCE)).collect();
    for (node, number) in ended.iter().zip(0..) {
        node.check(0, &["the guest powered itself off"]);
        let json = std::fs::read_to_string(json(&node.name)).unwrap();
        checks::counters(&json, &bundle.topology, number);
    }
    checks::console(&ended[0].console, &bundle.topology);
    assert_eq!(ended[1].console, "", "the console is the root node's");
}

#[test]
fn the_guest_passes_over_two_nodes() {
    passes_on("duo");
}

#[test]
fn the_guest_passes_over_three_nodes() {
    passes_on("trio");
}

#[test]
fn the_guest_passes_where_a_node_has_no_cpu() {
    passes_on("memory-only");
}

#[test]
fn the_guest_passes_where_a_node_has_no_memory() {
    passes_on("cpu-only");
}

#[test]
fn a_reset_by_a_cpu_of_another_node_ends_every_node_with_its_own_code() {
    let place = Place::new();
    for word in ["reset", "triple-fault"] {
        let bundle = place.bundle("duo", word);
        for node in bundle.start_all() {
            node.end(PATIENCE).check(4, &["the guest asked for a reset"]);
        }
    }
}

#[test]
fn a_killed_node_is_named_by_every_other() {
    let place = Place::new();
    for (cluster, victim) in [("duo", "b"), ("duo", "a"), ("trio", "c")] {
        let bundle = place.bundle(cluster, "linger");
        let (victims, others): (Vec<_>, Vec<_>) =
            bundle.linger().into_iter().partition(|(name, _)| name == victim);
        victims.iter().for_each(|(_, node)| node.signal(Signal::KILL));
        for (_, node) in others {
            // A node that hears of the loss from another before it sees it says so.
            node.end(END)
                .check(3, &["error: ", &format!("lost node {victim}: "), "last heard ", " ms ago"]);
        }
    }
}

#[test]
fn a_node_that_falls_silent_is_lost_too() {
    let place = Place::new();
    let bundle = place.bundle("duo", "linger");
    let [(_, a), (_, b)] = bundle.linger().try_into().ok().unwrap();
    b.signal(Signal::STOP);
    a.end(END).check(3, &["error: lost node b: it fell silent; last heard "]);
    b.signal(Signal::CONT);
    b.end(END).check(3, &["error: lost node a: "]);
}

#[test]
fn a_signal_at_any_node_ends_all_in_good_order() {
    let place = Place::new();
    let bundle = place.bundle("duo", "linger");
    for (victim, signal, word) in
        [("b", Signal::TERM, "terminated"), ("a", Signal::INT, "interrupted")]
    {
        let nodes = bundle.linger();
        let asked = nodes.iter().find(|(name, _)| name == victim).unwrap();
        asked.1.signal(signal);
        for (name, node) in nodes {
            let who = if name == victim { String::new() } else { format!("node {victim}: ") };
            node.end(END).check(130, &[&who, word]);
        }
    }
}

#[test]
fn another_bundle_is_refused_by_both_sides() {
    let place = Place::new();
    let (one, other) = (place.bundle("duo", "linger"), place.bundle("duo", ""));
    let (a, b) = (one.start("a", &["--wait", "5"]), other.start("b", &["--wait", "5"]));
    for node in [a, b] {
        let ended = node.end(END);
        ended.check(1, &["error: ", "help: "]);
        let error = checks::error(&ended.log);
        assert!(error.contains("bundle"), "{error}");
        for id in [&one.id, &other.id] {
            assert!(error.contains(&id[..8]), "which bundle? {id}:\n{error}");
        }
    }
}

#[test]
fn a_node_that_the_cluster_lacks_is_refused_with_the_names_that_it_has() {
    let place = Place::new();
    let bundle = place.bundle("duo", "linger");
    bundle.start("z", &[]).end(END).check(1, &["error: ", "\"z\"", "a, b"]);
}

#[test]
fn a_node_that_nobody_joins_says_who_is_missing() {
    let place = Place::new();
    let bundle = place.bundle("duo", "linger");
    let ended = bundle.start("a", &["--wait", "1"]).end(END);
    ended.check(1, &["waiting for node b at 127.0.0.1, ports 50051-50100", "error: ", "help: "]);
    assert!(checks::error(&ended.log).contains("node b"), "{}", ended.log);
}

#[test]
fn occupied_ports_are_passed_over_and_named_when_none_is_left() {
    let place = Place::new();
    let bundle = place.bundle("duo", "linger");
    let mut taken = Vec::new();
    for port in PORTS {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => taken.push(listener),
            Err(error) => {
                println!("skipped: occupied ports: port {port} isn't ours to take: {error}");
                return;
            }
        }
    }
    let ended = bundle.start("a", &["--wait", "1"]).end(END);
    ended.check(1, &["error: ", "50051", "50100", "help: "]);

    // Those who hold the first ones say nothing, so finding the other node takes a little longer.
    taken.truncate(2);
    let nodes = bundle.linger();
    nodes[1].1.signal(Signal::TERM);
    for (_, node) in nodes {
        node.end(END).check(130, &["listening on 127.0.0.1:50", "terminated"]);
    }
}
