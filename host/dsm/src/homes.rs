//! Which node keeps a page's directory entry.
//!
//! ```text
//!   0 ......... 2 GiB   (hole)   4 GiB .......... 6 GiB ......... 10 GiB
//!   |  node 0   |                |    node 0      |    node 1     |
//! ```
//!
//! A page's home is the node in whose SRAT range it lies: a pure function of the cluster file,
//! so every node computes the same one and no message ever asks for it. Units: pages.

use std::ops::Range;

use pangea_topology::{NodeId, Pfn};

/// The guest's RAM as ranges of pages, each with its home node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Homes {
    /// Sorted by start, disjoint, none empty.
    ranges: Vec<(Range<Pfn>, NodeId)>,
}

impl Homes {
    /// Makes the map from `Topology::ram()`'s ranges, in any order.
    ///
    /// # Panics
    /// If a range is empty or two overlap: the map is computed from a checked cluster, so that
    /// would be our own mistake, and two nodes could each believe themselves a page's home.
    pub fn new(mut ranges: Vec<(Range<Pfn>, NodeId)>) -> Homes {
        ranges.sort_by_key(|(range, _)| range.start);
        for (range, node) in &ranges {
            assert!(range.start < range.end, "RAM range {range:?} of {node} is empty");
        }
        for pair in ranges.windows(2) {
            let (below, above) = (&pair[0], &pair[1]);
            assert!(below.0.end <= above.0.start, "RAM ranges {below:?} and {above:?} overlap");
        }
        Homes { ranges }
    }

    /// The page's home; `None` where no node has RAM (a hole, a device, past the end).
    pub fn of(&self, pfn: Pfn) -> Option<NodeId> {
        let after = self.ranges.partition_point(|(range, _)| range.start <= pfn);
        let (range, node) = self.ranges.get(after.checked_sub(1)?)?;
        range.contains(&pfn).then_some(*node)
    }

    /// The page that stands for the cluster's token (`turn.rs`): no guest sees it and it has no bytes.
    pub fn token(&self) -> Pfn {
        self.end()
    }

    /// Who keeps the directory entry of a page, or of the token: node 0.
    pub(crate) fn keeper(&self, pfn: Pfn) -> Option<NodeId> {
        if pfn == self.token() { Some(NodeId(0)) } else { self.of(pfn) }
    }

    /// The first page past all RAM.
    pub fn end(&self) -> Pfn {
        self.ranges.last().map_or(Pfn(0), |(range, _)| range.end)
    }

    /// The ranges, sorted by start.
    pub fn ranges(&self) -> &[(Range<Pfn>, NodeId)] {
        &self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_belongs_to_one_side() {
        let homes = Homes::new(vec![
            (Pfn(600)..Pfn(700), NodeId(1)),
            (Pfn(0)..Pfn(512), NodeId(0)),
            (Pfn(512)..Pfn(600), NodeId(2)),
        ]);
        let of = |pfn| homes.of(Pfn(pfn)).map(|node| node.0);
        assert_eq!([of(0), of(511), of(512), of(599)], [Some(0), Some(0), Some(2), Some(2)]);
        assert_eq!([of(600), of(699), of(700), of(u64::MAX)], [Some(1), Some(1), None, None]);
        assert_eq!(homes.end(), Pfn(700));
    }

    #[test]
    fn a_hole_is_nobodys() {
        let homes =
            Homes::new(vec![(Pfn(1)..Pfn(2), NodeId(0)), (Pfn(1 << 20)..Pfn(1 << 21), NodeId(1))]);
        assert_eq!(homes.of(Pfn(0)), None);
        assert_eq!(homes.of(Pfn(2)), None);
        assert_eq!(homes.of(Pfn(1 << 20)), Some(NodeId(1)));
        assert_eq!(Homes::new(vec![]).of(Pfn(0)), None);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn two_homes_for_one_page_are_our_own_mistake() {
        Homes::new(vec![(Pfn(0)..Pfn(3), NodeId(0)), (Pfn(2)..Pfn(4), NodeId(1))]);
    }
}
