//! The guest's RAM as this node holds it: one memfd, mapped twice.
//!
//! ```text
//!            memfd "pangea-ram": every RAM range of the map, packed densely, nothing populated
//!            +--------------------+--------------------+----------------
//!            | range 0            | range 1            | ...
//!            +--------------------+--------------------+----------------
//!   guest    ^ one mapping per range: KVM memslots, the loader, devices; the pager traps it
//!   alias    ^ one mapping of it all: only the pager's thread touches it, never trapped
//! ```
//!
//! A page that has no mapping on the guest's side, or a write-protected one, can't change, so what
//! the alias then shows is a stable snapshot: that is what goes on the wire, and where a page that
//! comes off the wire is put before the guest can see it.
//!
//! Units: [`Pfn`] for pages; [`Hva`] is an address in this process and never leaves this room
//! except for KVM's memslots, which take theirs from [`GuestRam::guest`].
#![allow(unsafe_code)] // memfd_create and madvise have no safe wrapper in our crates.

use crate::error::RamError;
use pangea_topology::{Gpa, PAGE_SIZE, Pfn, RamRange};
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use vm_memory::{
    FileOffset, GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion, VolatileMemory,
    VolatileSlice,
};
use vmm_sys_util::fallocate::{FallocateMode, fallocate};

/// [`PAGE_SIZE`] as a length in memory.
pub const PAGE_BYTES: usize = PAGE_SIZE as usize;

/// One page's bytes.
pub type PageBytes = [u8; PAGE_BYTES];

/// An address in this process: where the guest's mapping of a page lies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Hva(pub(crate) u64);

/// All of the guest's RAM: the memfd and its two mappings. Clones share them.
#[derive(Clone)]
pub struct GuestRam(Arc<Inner>);

struct Inner {
    memory: GuestMemoryMmap,
    alias: MmapRegion,
    file: Arc<File>,
    places: Vec<Place>,
}

/// Where one RAM range lies: in the guest, in this process, in the memfd.
struct Place {
    first: Pfn,
    pages: u64,
    hva: u64,
    offset: u64,
}

impl GuestRam {
    /// Maps the ranges of a map ([`Topology::ram`](pangea_topology::Topology::ram)), unpopulated.
    pub fn new(ranges: &[RamRange]) -> Result<GuestRam, RamError> {
        check(ranges)?;
        let total: u64 = ranges.iter().map(|r| r.len).sum();
        let file = Arc::new(memfd(total).map_err(|cause| RamError::Memfd { len: total, cause })?);
        let region = |base: Gpa, offset: u64, len: u64| {
            MmapRegion::<()>::from_file(FileOffset::from_arc(file.clone(), offset), len as usize)
                .map_err(|e| RamError::Map { base, len, cause: e.to_string() })
                .inspect(settle)
        };
        let alias = region(Gpa(0), 0, total)?;
        let mut regions = Vec::with_capacity(ranges.len());
        let mut places = Vec::with_capacity(ranges.len());
        for r in ranges {
            let mapping = region(r.base, r.file_offset, r.len)?;
            places.push(Place {
                first: r.base.pfn(),
                pages: r.len / PAGE_SIZE,
                hva: mapping.as_ptr() as u64,
                offset: r.file_offset,
            });
            regions.push(
                GuestRegionMmap::new(mapping, GuestAddress(r.base.0)).ok_or(RamError::Range {
                    base: r.base,
                    len: r.len,
                    offset: r.file_offset,
                })?,
            );
        }
        let memory = GuestMemoryMmap::from_regions(regions).map_err(|e| RamError::Map {
            base: Gpa(0),
            len: total,
            cause: e.to_string(),
        })?;
        Ok(GuestRam(Arc::new(Inner { memory, alias, file, places })))
    }

    /// The guest's mapping, one region per RAM range: for KVM memslots, loaders and devices. Once a
    /// pager runs on it an access may wait for another node.
    pub fn guest(&self) -> &GuestMemoryMmap {
        &self.0.memory
    }

    /// Where the guest's mapping of a page lies in this process.
    pub(crate) fn hva(&self, pfn: Pfn) -> Result<Hva, RamError> {
        let (place, index) = self.place(pfn)?;
        Ok(Hva(place.hva + index * PAGE_SIZE))
    }

    /// Which page an address of the guest's mapping belongs to.
    pub(crate) fn pfn_at(&self, at: Hva) -> Option<Pfn> {
        // A handful of ranges (two per node at most), not sorted by address here.
        self.0.places.iter().find_map(|p| {
            let index = at.0.checked_sub(p.hva)? / PAGE_SIZE;
            (index < p.pages).then(|| Pfn(p.first.0 + index))
        })
    }

    /// Copies a page out of the alias. Meaningful while the guest can't write the page.
    pub(crate) fn read(&self, pfn: Pfn, into: &mut PageBytes) -> Result<(), RamError> {
        self.alias(pfn)?.copy_to(&mut into[..]);
        Ok(())
    }

    /// Copies a page into the alias: what the guest sees once the page is mapped for it.
    pub(crate) fn write(&self, pfn: Pfn, bytes: &PageBytes) -> Result<(), RamError> {
        self.alias(pfn)?.copy_from(&bytes[..]);
        Ok(())
    }

    /// Makes sure that the memfd has the page, zeroed if it is new.
    pub(crate) fn touch(&self, pfn: Pfn) -> Result<(), RamError> {
        self.alias(pfn)?.copy_to(&mut [0u8; 1]);
        Ok(())
    }

    /// Frees the page in the memfd: both mappings lose it and its bytes are gone.
    pub(crate) fn punch(&self, pfn: Pfn) -> Result<(), RamError> {
        let (place, index) = self.place(pfn)?;
        let offset = place.offset + index * PAGE_SIZE;
        fallocate(&*self.0.file, FallocateMode::PunchHole, true, offset, PAGE_SIZE)
            .map_err(|e| RamError::Advise { what: "fallocate(PUNCH_HOLE)", pfn, cause: e.into() })
    }

    /// Takes the page out of the guest's mapping, KVM's included; its bytes stay in the memfd.
    /// When this returns, no CPU of this host can read or write it except through the alias.
    pub(crate) fn zap(&self, pfn: Pfn) -> Result<(), RamError> {
        let at = self.hva(pfn)?;
        // SAFETY: the hazard is dropping memory that Rust relies on. `hva` proves that the page is
        // part of the guest's mapping, which is shared, file-backed and never borrowed by
        // reference: all see it through vm-memory's volatile accessors or as a guest.
        let done = unsafe { libc::madvise(at.0 as *mut _, PAGE_BYTES, libc::MADV_DONTNEED) };
        if done == 0 {
            return Ok(());
        }
        let cause = io::Error::last_os_error();
        Err(RamError::Advise { what: "madvise(MADV_DONTNEED)", pfn, cause })
    }

    fn place(&self, pfn: Pfn) -> Result<(&Place, u64), RamError> {
        let after = self.0.places.partition_point(|p| p.first <= pfn);
        let place = after.checked_sub(1).and_then(|i| self.0.places.get(i));
        place
            .map(|p| (p, pfn.0 - p.first.0))
            .filter(|&(p, index)| index < p.pages)
            .ok_or(RamError::NotRam { pfn })
    }

    fn alias(&self, pfn: Pfn) -> Result<VolatileSlice<'_>, RamError> {
        let (place, index) = self.place(pfn)?;
        let offset = (place.offset + index * PAGE_SIZE) as usize;
        self.0.alias.get_slice(offset, PAGE_BYTES).map_err(|_| RamError::NotRam { pfn })
    }
}

/// Sorted, apart from each other, whole pages, packed densely in the file.
fn check(ranges: &[RamRange]) -> Result<(), RamError> {
    let (mut end, mut packed) = (0u64, 0u64);
    for r in ranges {
        let whole = r.len > 0 && (r.base.0 | r.len) % PAGE_SIZE == 0;
        let next = r.base.0.checked_add(r.len);
        match next {
            Some(next) if whole && r.base.0 >= end && r.file_offset == packed => end = next,
            _ => return Err(RamError::Range { base: r.base, len: r.len, offset: r.file_offset }),
        }
        packed += r.len;
    }
    Ok(())
}

fn memfd(len: u64) -> io::Result<File> {
    // SAFETY: the name is a C string literal; the call touches no memory of ours.
    let fd = unsafe { libc::memfd_create(c"pangea-ram".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just opened and belongs to nobody else.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(len)?;
    Ok(file)
}

/// Advice that keeps others' hands off the mapping; a kernel that lacks one of them does without.
/// - DONTFORK: a child would hold pages that we believe revoked.
/// - DONTDUMP: writing a core file would fault on pages that nobody serves any more, and hang.
/// - NOHUGEPAGE: coherence is per 4 KiB; freeing one page out of a huge one can fail.
fn settle(region: &MmapRegion) {
    for advice in [libc::MADV_DONTFORK, libc::MADV_DONTDUMP, libc::MADV_NOHUGEPAGE] {
        // SAFETY: pointer and size describe a live mapping; none of these changes its contents.
        if unsafe { libc::madvise(region.as_ptr().cast(), region.size(), advice) } != 0 {
            let cause = io::Error::last_os_error();
            tracing::debug!(advice, %cause, "advice on the guest's RAM not taken");
        }
    }
}
