//! A list with room for so many: there is no heap.

#[derive(Clone, Copy)]
pub(crate) struct List<T, const N: usize> {
    len: usize,
    items: [Option<T>; N],
}

impl<T: Copy, const N: usize> List<T, N> {
    pub(crate) const fn new() -> List<T, N> {
        List { len: 0, items: [None; N] }
    }

    /// Adds one. False: there is no room.
    #[must_use]
    pub(crate) fn push(&mut self, item: T) -> bool {
        let Some(slot) = self.items.get_mut(self.len) else { return false };
        *slot = Some(item);
        self.len += 1;
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.items.iter().flatten().copied()
    }

    pub(crate) fn get(&self, at: usize) -> Option<T> {
        self.items.get(at).copied().flatten()
    }
}
