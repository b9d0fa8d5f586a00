//! Every limit of a cluster: what holds at it, and what a user reads past it.
#![allow(clippy::unwrap_used)]

use pangea_topology::{Cluster, Failure, Guest, Link, Links, Node, NodeId};

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// This many nodes of 1 vCPU and 256 MiB.
fn cluster(nodes: usize) -> Cluster {
    let node = |i| Node {
        name: format!("n{i}"),
        address: "127.0.0.1".into(),
        vcpus: 1,
        memory: 256 * MIB,
    };
    Cluster {
        name: "test".into(),
        guest: Guest::default(),
        nodes: (0..nodes).map(node).collect(),
        links: Links::default(),
        failure: Failure::default(),
    }
}

/// Each violation as a line of text, for two nodes that were edited.
fn edited(edit: impl FnOnce(&mut Cluster)) -> Vec<String> {
    let mut cluster = cluster(2);
    edit(&mut cluster);
    let found: Vec<String> = cluster.violations().iter().map(ToString::to_string).collect();
    assert_eq!(cluster.check().map_err(|v| v.to_string()).err(), found.first().cloned());
    found
}

#[test]
fn nodes() {
    assert_eq!(cluster(1).violations(), []);
    assert_eq!(cluster(64).violations(), []);
    assert_eq!(
        cluster(65).check().unwrap_err().to_string(),
        "nodes[64]: 65 nodes in all, past the limit from here: a cluster has at most 64 nodes; \
         make fewer, larger nodes"
    );
    assert_eq!(
        cluster(0).check().unwrap_err().to_string(),
        "nodes: no node: a cluster has at least one node; \
         add one: `- { name: a, address: 127.0.0.1, vcpus: 1, memory: 512 MiB }`"
    );
}

#[test]
fn vcpus() {
    assert!(edited(|c| c.nodes[1].vcpus = 1023).is_empty());
    assert_eq!(
        edited(|c| c.nodes[1].vcpus = 1024),
        ["nodes[1].vcpus: 1025 vCPUs in all, past the limit from here: \
          a cluster has at most 1024 vCPUs; take 1 away"]
    );
    assert_eq!(
        edited(|c| c.nodes.iter_mut().for_each(|n| n.vcpus = u32::MAX)),
        ["nodes[0].vcpus: 8589934590 vCPUs in all, past the limit from here: \
          a cluster has at most 1024 vCPUs; take 8589933566 away"]
    );
}

#[test]
fn memory() {
    assert!(edited(|c| c.nodes[1].memory = 16 * TIB - 256 * MIB).is_empty());
    assert_eq!(
        edited(|c| c.nodes[1].memory = 16 * TIB - 254 * MIB),
        ["nodes[1].memory: 16777218 MiB in all, past the limit from here: \
          a cluster has at most 16 TiB; take 2 MiB away"]
    );
    assert!(edited(|c| c.nodes[1].memory = 2 * MIB).is_empty());
    for (memory, shown) in [(3 * MIB, "3 MiB"), (MIB, "1 MiB"), (4 * MIB - 1024, "4095 KiB")] {
        let found = edited(|c| c.nodes[1].memory = memory);
        let limit = "memory is a multiple of 2 MiB";
        let (near, value) = (if memory > 3 * MIB { 4 } else { 2 }, shown);
        assert_eq!(
            found,
            [format!("nodes[1].memory: {value}: {limit}; the nearest is {near} MiB")]
        );
    }
    let most = edited(|c| c.nodes.iter_mut().for_each(|n| n.memory = u64::MAX));
    assert_eq!(most.len(), 3, "the sum doesn't overflow: {most:?}");
}

#[test]
fn root_node() {
    assert_eq!(
        edited(|c| c.nodes[0].vcpus = 0),
        ["nodes[0].vcpus: 0 vCPUs: the first node is the root node: it has the boot CPU; \
          give it at least 1 vCPU, or put another node first"]
    );
    assert_eq!(
        edited(|c| c.nodes[0].memory = 254 * MIB),
        ["nodes[0].memory: 254 MiB: the first node is the root node: it needs 256 MiB; \
          give it at least 256 MiB, or put another node first"]
    );
}

#[test]
fn cpu_only_and_memory_only() {
    assert!(edited(|c| c.nodes[1].vcpus = 0).is_empty());
    assert!(edited(|c| c.nodes[1].memory = 0).is_empty());
    assert_eq!(
        edited(|c| (c.nodes[1].vcpus, c.nodes[1].memory) = (0, 0)),
        ["nodes[1]: neither vCPUs nor memory: a node has vCPUs, memory or both; \
          give it some, or remove it"]
    );
}

#[test]
fn memory_only_nodes_come_last() {
    let mut last = cluster(4);
    (last.nodes[1].memory, last.nodes[2].vcpus, last.nodes[3].vcpus) = (0, 0, 0);
    assert_eq!(last.violations(), []);

    let mut between = cluster(4);
    (between.nodes[1].vcpus, between.nodes[3].vcpus) = (0, 0);
    let found: Vec<String> = between.violations().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["nodes[1].vcpus: 0 vCPUs: nodes without vCPUs are listed last: Linux gives them the \
          last numbers; move it below `n2`, or give it vCPUs"]
    );
}

#[test]
fn names() {
    assert_eq!(
        edited(|c| c.name = "n".repeat(33)),
        [format!(
            "name: `{}`: a name is 1 to 32 of a-z, 0-9 and -, and doesn't begin with -; \
             it has 33 bytes: choose another",
            "n".repeat(33)
        )]
    );
    let mut twice = cluster(3);
    twice.nodes[2].name = "n0".into();
    let violation = twice.check().unwrap_err();
    assert_eq!(
        violation.to_string(),
        "nodes[2].name: `n0`: a node's name is its own; give one of the two another name"
    );
    assert_eq!(violation.other.as_deref(), Some("nodes[0].name"));
}

#[test]
fn links() {
    let default = |link: Link| edited(|c| c.links = Links::uniform(link));
    let link = Link::REMOTE;
    for (distance, fits) in [(10, false), (11, true), (254, true), (255, false)] {
        assert_eq!(default(Link { distance, ..link }).is_empty(), fits, "distance {distance}");
    }
    for (latency_ns, fits) in [(99, false), (100, true), (5_000_000, true), (5_000_001, false)] {
        assert_eq!(default(Link { latency_ns, ..link }).is_empty(), fits, "{latency_ns} ns");
    }
    for (bandwidth_mbps, fits) in [(0, false), (1, true), (65_534, true), (65_535, false)] {
        assert_eq!(default(Link { bandwidth_mbps, ..link }).is_empty(), fits, "{bandwidth_mbps}");
    }
    assert_eq!(
        edited(|c| c.links.set(NodeId(1), NodeId(2), link)),
        ["links.pairs[0].between: [1, 2]: there are 2 nodes, so no node 2; \
          name two nodes of this cluster"]
    );
    assert_eq!(
        edited(|c| c.links.set(NodeId(1), NodeId(1), link)),
        ["links.pairs[0].between: [1, 1]: a pair is two different nodes; \
          name the other node, or remove the pair"]
    );
}

#[test]
fn links_from_a_file_have_one_form() {
    let link = r#"{"distance":20,"latency_ns":1000,"bandwidth_mbps":1}"#;
    let pair = |a, b| format!(r#"{{"between":[{a},{b}],"link":{link}}}"#);
    let twice = [pair(0, 1), pair(0, 1)].join(",");
    let descending = [pair(1, 2), pair(0, 1)].join(",");
    for pairs in [pair(1, 0), twice, descending] {
        let mut claim = cluster(3);
        let text = format!(r#"{{"default":{link},"pairs":[{pairs}]}}"#);
        claim.links = serde_json::from_str(&text).unwrap();
        let violation = claim.check().unwrap_err();
        assert_eq!(violation.limit, "pairs are listed once, lower node first, ascending");
    }
}

#[test]
fn deadline() {
    for (ms, fits) in [(99, false), (100, true), (60_000, true), (60_001, false)] {
        let found = edited(|c| c.failure.peer_deadline_ms = ms);
        assert_eq!(found.is_empty(), fits, "{found:?}");
    }
}

#[test]
fn command_line() {
    assert!(edited(|c| c.guest.command_line = "x".repeat(1024)).is_empty());
    assert_eq!(
        edited(|c| c.guest.command_line = "x".repeat(1025)),
        ["guest.command-line: 1025 bytes: at most 1024 bytes are added to the default command \
          line; shorten it"]
    );
    assert_eq!(
        edited(|c| c.guest.command_line = "quiet\nroot".into()),
        ["guest.command-line: '\\n': a command line is printable ASCII on one line; \
          remove that character"]
    );
}
