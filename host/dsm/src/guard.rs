//! What the protocol rests on, by name: so that tests can take one guard away and see who notices.
//!
//! In a normal build [`Guard::holds`] is its argument and nothing else. With the feature `broken`, which only the
//! checkers' own tests ask for, the calling thread can take one guard away.

/// One of the conditions without which memory wouldn't be coherent, or CPUs wouldn't get on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// A write waits until every other copy is gone.
    InvalidationsAwaited,
    /// A write invalidates every sharer, not only the one that sends the page.
    SharersInvalidated,
    /// A page has one transaction at a time; others queue.
    OneAtATime,
    /// A page is taken from the guest before its bytes leave, or before its end is told.
    RevokedFirst,
    /// A page is write-protected before its bytes leave to a reader.
    ProtectedFirst,
    /// No data is left out unless the requester's copy is current.
    GrantIfCurrent,
    /// A fault that came too late asks for nothing.
    StaleFaultsAnswered,
    /// A page stays until the CPU that waited for it has used it.
    Held,
}

impl Guard {
    /// All of them.
    pub const ALL: [Guard; 8] = [
        Guard::InvalidationsAwaited,
        Guard::SharersInvalidated,
        Guard::OneAtATime,
        Guard::RevokedFirst,
        Guard::ProtectedFirst,
        Guard::GrantIfCurrent,
        Guard::StaleFaultsAnswered,
        Guard::Held,
    ];

    /// Does the condition hold? `missing` is what its absence looks like.
    #[cfg(not(feature = "broken"))]
    pub(crate) fn holds(self, condition: bool, _missing: bool) -> bool {
        condition
    }

    /// Does the condition hold? `missing` is what its absence looks like.
    #[cfg(feature = "broken")]
    pub(crate) fn holds(self, condition: bool, missing: bool) -> bool {
        if ABSENT.get() == Some(self) { missing } else { condition }
    }

    /// Takes one guard away from every step on this thread, or gives all back.
    #[cfg(feature = "broken")]
    pub fn take_away(guard: Option<Guard>) {
        ABSENT.set(guard);
    }
}

#[cfg(feature = "broken")]
thread_local! {
    static ABSENT: std::cell::Cell<Option<Guard>> = const { std::cell::Cell::new(None) };
}
