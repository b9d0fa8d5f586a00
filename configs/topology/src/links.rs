//! How far the nodes are from each other: one default for every pair, and the pairs that differ.
//!
//! Symmetric by construction: a pair is kept once, lower node first, pairs in ascending order, so
//! that equal links have one form and one text. Units: SLIT distance (10 is local), nanoseconds,
//! MB/s (10^6 bytes).

use crate::NodeId;
use serde::{Deserialize, Serialize};

/// What a node's accesses to memory cost, from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Relative distance as SLIT tells it: 10 is local.
    pub distance: u8,
    /// Latency in nanoseconds.
    pub latency_ns: u64,
    /// Bandwidth in MB/s.
    pub bandwidth_mbps: u64,
}

/// A pair of nodes whose link isn't the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The two nodes, the lower first.
    pub between: [NodeId; 2],
    /// Their link.
    pub link: Link,
}

/// The links of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    default: Link,
    pairs: Vec<Pair>,
}

impl Link {
    /// From a node to its own memory.
    pub const LOCAL: Link = Link { distance: 10, latency_ns: 100, bandwidth_mbps: 10_000 };
    /// Between two nodes of which the file says nothing: a page over plain Ethernet. At a distance above 30,
    /// Linux starts processes and wakes threads near where they were, rather than anywhere (kernel/sched/topology.c,
    /// `node_reclaim_distance`).
    pub const REMOTE: Link = Link { distance: 100, latency_ns: 20_000, bandwidth_mbps: 1_000 };
}

impl Default for Link {
    fn default() -> Link {
        Link::REMOTE
    }
}

impl Links {
    /// Links that are all the same.
    pub const fn uniform(default: Link) -> Links {
        Links { default, pairs: Vec::new() }
    }

    /// Sets the link of one pair, in both directions; the last word counts.
    pub fn set(&mut self, a: NodeId, b: NodeId, link: Link) {
        let between = if a <= b { [a, b] } else { [b, a] };
        match self.pairs.binary_search_by_key(&between, |p| p.between) {
            Ok(at) => self.pairs[at].link = link,
            Err(at) => self.pairs.insert(at, Pair { between, link }),
        }
    }

    /// The link of pairs that aren't in [`Links::pairs`].
    pub const fn default_link(&self) -> Link {
        self.default
    }

    /// The pairs that differ, in ascending order.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The link from one node to another; [`Link::LOCAL`] from a node to itself.
    pub fn get(&self, a: NodeId, b: NodeId) -> Link {
        if a == b {
            return Link::LOCAL;
        }
        let between = if a < b { [a, b] } else { [b, a] };
        let found = self.pairs.binary_search_by_key(&between, |p| p.between).ok();
        found.and_then(|at| self.pairs.get(at)).map_or(self.default, |p| p.link)
    }

    /// SLIT distance, 10 on the diagonal.
    pub fn distance(&self, a: NodeId, b: NodeId) -> u8 {
        self.get(a, b).distance
    }

    /// Latency in nanoseconds.
    pub fn latency_ns(&self, a: NodeId, b: NodeId) -> u64 {
        self.get(a, b).latency_ns
    }

    /// Bandwidth in MB/s.
    pub fn bandwidth_mbps(&self, a: NodeId, b: NodeId) -> u64 {
        self.get(a, b).bandwidth_mbps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_symmetric_and_the_rest_is_default() {
        let near = Link { distance: 12, latency_ns: 5_000, bandwidth_mbps: 4_000 };
        let mut links = Links::default();
        links.set(NodeId(3), NodeId(1), near);
        assert_eq!(links.get(NodeId(1), NodeId(3)), near);
        assert_eq!(links.get(NodeId(3), NodeId(1)), near);
        assert_eq!(links.distance(NodeId(0), NodeId(1)), 100);
        assert_eq!(links.latency_ns(NodeId(0), NodeId(1)), 20_000);
        assert_eq!(links.bandwidth_mbps(NodeId(0), NodeId(1)), 1_000);
        assert_eq!(links.get(NodeId(2), NodeId(2)), Link::LOCAL);
    }

    #[test]
    fn order_of_setting_leaves_no_trace() {
        let far = Link { distance: 40, ..Link::REMOTE };
        let (mut a, mut b) = (Links::default(), Links::default());
        a.set(NodeId(0), NodeId(1), far);
        a.set(NodeId(2), NodeId(1), far);
        b.set(NodeId(1), NodeId(2), far);
        b.set(NodeId(1), NodeId(0), far);
        assert_eq!(a, b);
    }
}
