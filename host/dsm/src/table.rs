//! One small value per page, kept only for the 2 MiB chunks in which something was ever shared.
//!
//! ```text
//!   pfn >> 9 --> [ None | None | Box -> [T; 512] | None | ... ]
//! ```
//!
//! The first level is one pointer per chunk, zeroed by the allocator: address space for 64 MiB in
//! the largest cluster (16 TiB), memory only where it is touched. A page of a chunk that was never
//! written has its *initial* value, which the caller computes: so memory that a node uses alone
//! costs nothing, here as in the pager.

use pangea_topology::Pfn;

/// Pages per chunk: 2 MiB, the size that the guest's own large pages have.
pub(crate) const CHUNK_PAGES: usize = 512;

/// A value of type `T` for each page below an end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Table<T> {
    chunks: Vec<Option<Box<[T; CHUNK_PAGES]>>>,
}

impl<T: Copy> Table<T> {
    /// A table for the pages below `end`, all initial.
    pub(crate) fn new(end: Pfn) -> Table<T> {
        Table { chunks: vec![None; end.0.div_ceil(CHUNK_PAGES as u64) as usize] }
    }

    /// The page's value; `None` if it is still initial (or past the end).
    pub(crate) fn get(&self, pfn: Pfn) -> Option<T> {
        let (chunk, slot) = place(pfn);
        Some(self.chunks.get(chunk)?.as_ref()?[slot])
    }

    /// Sets the page's value; its chunk, if new, is filled by `initial`.
    pub(crate) fn set(&mut self, pfn: Pfn, value: T, initial: impl Fn(Pfn) -> T) {
        let (chunk, slot) = place(pfn);
        let first = (chunk * CHUNK_PAGES) as u64;
        let entries = self.chunks[chunk].get_or_insert_with(|| {
            Box::new(std::array::from_fn(|i| initial(Pfn(first + i as u64))))
        });
        entries[slot] = value;
    }

    /// How many chunks hold memory.
    pub(crate) fn allocated(&self) -> usize {
        self.chunks.iter().flatten().count()
    }
}

fn place(pfn: Pfn) -> (usize, usize) {
    // A u64 of pages always fits: Pfn is below 2^52 wherever it came from a `Homes` range.
    let chunk = usize::try_from(pfn.0 / CHUNK_PAGES as u64).unwrap_or(usize::MAX);
    (chunk, (pfn.0 % CHUNK_PAGES as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_appears_when_one_of_its_pages_is_set() {
        let mut table = Table::new(Pfn(1 << 32));
        assert_eq!((table.allocated(), table.get(Pfn(513))), (0, None));
        table.set(Pfn(513), 7, |pfn| pfn.0);
        assert_eq!(table.get(Pfn(513)), Some(7));
        assert_eq!(table.get(Pfn(1023)), Some(1023), "its neighbours are initial");
        assert_eq!(table.get(Pfn(1024)), None, "the next chunk isn't there");
        assert_eq!(table.allocated(), 1);
    }

    #[test]
    fn past_the_end_there_is_nothing() {
        let table = Table::<u64>::new(Pfn(1));
        assert_eq!(table.get(Pfn(512)), None);
        assert_eq!(table.get(Pfn(u64::MAX)), None);
    }
}
