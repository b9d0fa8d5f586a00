//! Which part of the guest's memory this node traps.
//!
//! ```text
//!   other nodes' ranges     trapped whole, from the start: nothing of them is here yet
//!   this node's own range   [    ][TRAP][    ][TRAP][TRAP][    ]   2 MiB chunks
//!                              ^ never left this node: no fault, no protocol, native speed
//! ```
//!
//! A chunk of the own range is trapped just before its first page is given away. Each run of trapped
//! chunks splits the mapping, and a process may have only so many mappings, so beyond
//! [`MAX_RUNS`] the whole own range is trapped at once. Pure bookkeeping: the caller registers.

use pangea_topology::{NodeId, PAGE_SIZE, Pfn, RamRange};

/// Pages that are trapped together: 2 MiB.
pub(crate) const CHUNK_PAGES: u64 = (2 << 20) / PAGE_SIZE;

/// Runs of trapped chunks before the whole own range is trapped. Each run costs up to two mappings;
/// Linux allows a process 65,530 by default (vm.max_map_count) and KVM and the heap need some.
pub(crate) const MAX_RUNS: usize = 8_192;

/// A stretch of pages to register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) first: Pfn,
    pub(crate) pages: u64,
}

/// The own ranges and which of their chunks are trapped.
pub(crate) struct Traps {
    own: Vec<Own>,
    runs: usize,
    max_runs: usize,
}

struct Own {
    span: Span,
    trapped: Vec<bool>,
}

/// What must be registered before a page may be given away.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// Nothing: it is trapped, or isn't this node's.
    Nothing,
    /// Its chunk.
    Chunk(Span),
    /// Every own range: too many runs already.
    All(Vec<Span>),
}

impl Traps {
    /// Nothing of `me`'s own ranges is trapped; the spans to register at the start are the others'.
    pub(crate) fn new(ranges: &[RamRange], me: NodeId, max_runs: usize) -> (Traps, Vec<Span>) {
        let span = |r: &RamRange| Span { first: r.base.pfn(), pages: r.len / PAGE_SIZE };
        let own = ranges.iter().filter(|r| r.node == me).map(|r| Own {
            span: span(r),
            trapped: vec![false; span(r).pages.div_ceil(CHUNK_PAGES) as usize],
        });
        let own = own.collect();
        let others = ranges.iter().filter(|r| r.node != me).map(span).collect();
        (Traps { own, runs: 0, max_runs }, others)
    }

    /// What to register before this page's mapping may be taken away, and notes it as trapped.
    pub(crate) fn need(&mut self, pfn: Pfn) -> Need {
        let found = self.own.iter_mut().find_map(|own| {
            let index = pfn.0.checked_sub(own.span.first.0)?;
            (index < own.span.pages).then_some((own, (index / CHUNK_PAGES) as usize))
        });
        let Some((own, chunk)) = found else { return Need::Nothing };
        if own.trapped[chunk] {
            return Need::Nothing;
        }
        let neighbour = |i: Option<usize>| {
            usize::from(i.and_then(|i| own.trapped.get(i)).copied().unwrap_or(false))
        };
        // No neighbour: a new run. One: a longer run. Two: two runs become one.
        let joined = neighbour(chunk.checked_sub(1)) + neighbour(chunk.checked_add(1));
        let runs = self.runs + 1 - joined;
        if runs > self.max_runs {
            for own in &mut self.own {
                own.trapped.fill(true);
            }
            self.runs = self.own.len();
            return Need::All(self.own.iter().map(|own| own.span).collect());
        }
        self.runs = runs;
        own.trapped[chunk] = true;
        let start = chunk as u64 * CHUNK_PAGES;
        let pages = CHUNK_PAGES.min(own.span.pages - start);
        Need::Chunk(Span { first: Pfn(own.span.first.0 + start), pages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangea_topology::Gpa;

    const CHUNK: u64 = CHUNK_PAGES * PAGE_SIZE;

    fn traps(max_runs: usize) -> (Traps, Vec<Span>) {
        let range = |base, chunks, node, file_offset| RamRange {
            base: Gpa(base),
            len: chunks * CHUNK,
            node: NodeId(node),
            file_offset,
        };
        let ranges = [range(0, 8, 0, 0), range(8 * CHUNK, 4, 1, 8 * CHUNK)];
        Traps::new(&ranges, NodeId(0), max_runs)
    }

    fn page_of_chunk(chunk: u64) -> Pfn {
        Pfn(chunk * CHUNK_PAGES + 7)
    }

    fn chunk(n: u64) -> Need {
        Need::Chunk(Span { first: Pfn(n * CHUNK_PAGES), pages: CHUNK_PAGES })
    }

    #[test]
    fn others_are_trapped_at_the_start_and_own_chunks_once_when_needed() {
        let (mut traps, others) = traps(MAX_RUNS);
        assert_eq!(others, [Span { first: Pfn(8 * CHUNK_PAGES), pages: 4 * CHUNK_PAGES }]);
        assert_eq!(traps.need(page_of_chunk(3)), chunk(3));
        assert_eq!(traps.need(page_of_chunk(3)), Need::Nothing);
        assert_eq!(traps.need(page_of_chunk(9)), Need::Nothing, "another node's");
        assert_eq!(traps.need(Pfn(u64::MAX)), Need::Nothing, "no RAM at all");
    }

    #[test]
    fn runs_merge_and_the_limit_traps_everything() {
        let (mut traps, _) = traps(2);
        assert_eq!(traps.need(page_of_chunk(0)), chunk(0));
        assert_eq!(traps.need(page_of_chunk(2)), chunk(2));
        assert_eq!(traps.need(page_of_chunk(1)), chunk(1), "joins both: one run");
        assert_eq!(traps.need(page_of_chunk(5)), chunk(5), "at the limit");
        let all = Need::All(vec![Span { first: Pfn(0), pages: 8 * CHUNK_PAGES }]);
        assert_eq!(traps.need(page_of_chunk(7)), all, "past it");
        assert_eq!(traps.need(page_of_chunk(4)), Need::Nothing);
    }
}
