//! One node's copy of guest memory, as the protocol moves it: map, protect, drop, snapshot.
//!
//! ```text
//!                 install(Read)            upgrade
//!      Invalid ------------------> Shared ----------> Exclusive
//!         ^  \                       ^  |                 |
//!         |   `------ install(Write) | -|---------------> |
//!         |                          `--|---- downgrade --'
//!         `-------------- revoke -------'------ revoke ---'
//! ```
//!
//! Each call leaves the page as the protocol believes it to be even if the kernel had it otherwise:
//! reclaim may unmap a page, a second fault may find it mapped already. Nothing here allocates.

use crate::error::UffdError;
use crate::features::SharedInstall;
use crate::ram::{GuestRam, PAGE_BYTES, PageBytes};
use crate::traps::{Need, Span, Traps};
use crate::uffd::{Fault, Mapped, Uffd};
use pangea_topology::{NodeId, Pfn, RamRange};
use pangea_wire::Access;
use std::io;
use std::sync::Arc;

/// A node's own half of the pager: its RAM, its userfaultfd, and what of it is trapped.
pub(crate) struct Backing {
    ram: GuestRam,
    uffd: Arc<Uffd>,
    traps: Traps,
    shared: SharedInstall,
    staging: Box<PageBytes>,
}

impl Backing {
    /// Traps the other nodes' ranges; `me`'s own stay untrapped until a page of them is given away.
    pub(crate) fn new(
        ram: &GuestRam,
        uffd: Arc<Uffd>,
        ranges: &[RamRange],
        me: NodeId,
        shared: SharedInstall,
        max_runs: usize,
    ) -> Result<Backing, UffdError> {
        let (traps, others) = Traps::new(ranges, me, max_runs);
        for Span { first, pages } in others {
            uffd.register(first, pages)?;
        }
        let staging = Box::new([0; PAGE_BYTES]);
        Ok(Backing { ram: ram.clone(), uffd, traps, shared, staging })
    }

    /// Maps the page that the alias shows: read-only for `Read`, writable for `Write`.
    pub(crate) fn install(&mut self, pfn: Pfn, access: Access) -> Result<(), UffdError> {
        if access == Access::Read && self.shared == SharedInstall::Copy {
            return self.install_by_copy(pfn);
        }
        let mut mapped = self.uffd.map(pfn, access)?;
        if mapped == Mapped::NoPage {
            self.ram.touch(pfn)?;
            mapped = self.uffd.map(pfn, access)?;
        }
        match (mapped, access) {
            (Mapped::Now, _) => Ok(()),
            (Mapped::Already, Access::Write) => self.uffd.protect(pfn, false),
            (Mapped::Already, Access::Read) => {
                self.uffd.protect(pfn, true)?;
                self.uffd.wake(pfn)
            }
            (Mapped::NoPage, _) => Err(unexpected("UFFDIO_CONTINUE", pfn, libc::EFAULT)),
        }
    }

    /// Before Linux 6.4: a page can only be mapped write-protected when it is made anew.
    fn install_by_copy(&mut self, pfn: Pfn) -> Result<(), UffdError> {
        // Unmapped first: a write that came between the copy and the hole would be lost.
        self.ram.zap(pfn)?;
        self.ram.read(pfn, &mut self.staging)?;
        self.ram.punch(pfn)?;
        match self.uffd.copy_shared(pfn, &self.staging)? {
            Mapped::Now => Ok(()),
            _ => Err(unexpected("UFFDIO_COPY", pfn, libc::EEXIST)),
        }
    }

    /// Lets the guest write a page that it has read-only.
    pub(crate) fn upgrade(&mut self, pfn: Pfn) -> Result<(), UffdError> {
        self.uffd.protect(pfn, false)
    }

    /// From now on a write to the page faults; the alias is a stable snapshot.
    pub(crate) fn downgrade(&mut self, pfn: Pfn) -> Result<(), UffdError> {
        self.trap(pfn)?;
        self.uffd.protect(pfn, true)
    }

    /// From now on any access to the page faults; the alias is a stable snapshot.
    pub(crate) fn revoke(&mut self, pfn: Pfn) -> Result<(), UffdError> {
        self.trap(pfn)?;
        Ok(self.ram.zap(pfn)?)
    }

    /// Lets whoever waits for the page try again.
    pub(crate) fn wake(&mut self, pfn: Pfn) -> Result<(), UffdError> {
        self.uffd.wake(pfn)
    }

    /// Resolves a fault on a page that the guest may `access` already, which is all it asked for:
    /// the kernel had dropped the mapping (reclaim), never made it (own memory trapped before it was
    /// touched), or another fault on the page was answered first.
    pub(crate) fn remap(&mut self, fault: Fault, access: Access) -> Result<(), UffdError> {
        match fault.protected {
            true => self.upgrade(fault.pfn),
            false => self.install(fault.pfn, access),
        }
    }

    /// Puts bytes that came from a peer where [`install`](Self::install) maps them from.
    pub(crate) fn receive(&mut self, pfn: Pfn, bytes: &PageBytes) -> Result<(), UffdError> {
        Ok(self.ram.write(pfn, bytes)?)
    }

    /// Copies the page out of the alias, to be sent.
    pub(crate) fn snapshot(&self, pfn: Pfn, into: &mut PageBytes) -> Result<(), UffdError> {
        Ok(self.ram.read(pfn, into)?)
    }

    fn trap(&mut self, pfn: Pfn) -> Result<(), UffdError> {
        match self.traps.need(pfn) {
            Need::Nothing => Ok(()),
            Need::Chunk(span) => self.uffd.register(span.first, span.pages),
            Need::All(spans) => {
                tracing::warn!(
                    limit = crate::traps::MAX_RUNS,
                    "too many separate parts of this node's memory are shared: trapping all of it"
                );
                spans.iter().try_for_each(|s| self.uffd.register(s.first, s.pages))
            }
        }
    }
}

/// An answer that our own order of calls excludes.
fn unexpected(ioctl: &'static str, pfn: Pfn, errno: i32) -> UffdError {
    UffdError::Ioctl { ioctl, pfn, cause: io::Error::from_raw_os_error(errno) }
}

#[cfg(test)]
#[path = "backing_tests.rs"]
mod tests;
