//! A value that is set once, by the boot CPU, and read by all.

#![allow(unsafe_code)] // A cell that several CPUs read.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

pub(crate) struct Once<T> {
    set: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the hazard is a reader that sees a value half written. `set` is released after the value
// is whole, and `put` refuses a second one.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    pub(crate) const fn new() -> Once<T> {
        Once { set: AtomicBool::new(false), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Sets it. Only the boot CPU does, and only once.
    pub(crate) fn put(&'static self, value: T) -> &'static T {
        assert!(!self.set.load(Ordering::Acquire), "set once");
        // SAFETY: nobody reads before `set`, and nobody else writes: only the boot CPU comes here.
        unsafe { (*self.value.get()).write(value) };
        self.set.store(true, Ordering::Release);
        self.get().expect("it was just set")
    }

    pub(crate) fn get(&'static self) -> Option<&'static T> {
        // SAFETY: it was written before `set`, and is never written again.
        self.set.load(Ordering::Acquire).then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }
}
