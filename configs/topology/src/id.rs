//! The units: a guest-physical address, a page, a node, a CPU. Each its own type, so that none can
//! be passed for another.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes in a page: the unit of coherence and of every map in this project.
pub const PAGE_SIZE: u64 = 4096;

/// A guest-physical address, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gpa(pub u64);

/// A guest-physical page number: [`Gpa`] divided by [`PAGE_SIZE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pfn(pub u64);

/// A node's index in the cluster file, from 0 (the root node) to 63; also its ACPI proximity domain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u8);

/// An x2APIC ID; also the KVM vCPU id and the ACPI processor UID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApicId(pub u32);

/// A set of nodes: one bit each, which is why a cluster has at most 64.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct NodeSet(u64);

impl Gpa {
    /// The page that holds this address.
    pub const fn pfn(self) -> Pfn {
        Pfn(self.0 / PAGE_SIZE)
    }
}

impl Pfn {
    /// The page's first address.
    pub const fn gpa(self) -> Gpa {
        Gpa(self.0 * PAGE_SIZE)
    }
}

impl NodeId {
    /// The node with the boot CPU and the chipset: always the first of the file.
    pub const ROOT: NodeId = NodeId(0);

    /// The node's place in lists of nodes.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeSet {
    /// No node.
    pub const EMPTY: NodeSet = NodeSet(0);

    /// Just this node. Panics if the index is over 63, which no checked cluster contains.
    pub const fn only(node: NodeId) -> NodeSet {
        assert!(node.0 < 64);
        NodeSet(1 << node.0)
    }

    /// Is the node in the set?
    pub const fn contains(self, node: NodeId) -> bool {
        node.0 < 64 && self.0 >> node.0 & 1 == 1
    }

    /// The set with the node.
    #[must_use]
    pub const fn with(self, node: NodeId) -> NodeSet {
        NodeSet(self.0 | NodeSet::only(node).0)
    }

    /// The set without the node.
    #[must_use]
    pub const fn without(self, node: NodeId) -> NodeSet {
        NodeSet(self.0 & !NodeSet::only(node).0)
    }

    /// How many nodes are in it.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Is it empty?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The nodes, lowest index first.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..64).map(NodeId).filter(move |&n| self.contains(n))
    }
}

impl fmt::Display for Gpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Gpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpa({:#x})", self.0)
    }
}

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {:#x}", self.0)
    }
}

impl fmt::Debug for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pfn({:#x})", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for ApicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vCPU {}", self.0)
    }
}

impl fmt::Debug for ApicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu{}", self.0)
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_set_holds_both_ends_of_its_range() {
        let set = NodeSet::only(NodeId(0)).with(NodeId(63));
        assert_eq!(set.iter().collect::<Vec<_>>(), [NodeId(0), NodeId(63)]);
        assert!(set.contains(NodeId(63)) && !set.contains(NodeId(62)));
        assert!(!set.contains(NodeId(64)), "an index past the limit is in no set");
        assert_eq!(set.without(NodeId(0)).len(), 1);
    }
}
