//! Pages bound to a node, shared between threads as atomic words.
#![allow(unsafe_code)] // mmap, mbind, and views of the mapping.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Bytes in a page.
pub(crate) const PAGE: usize = 4096;
/// The highest node number that a policy mask of one word can name.
const MAX_NODE: u32 = 63;

// <linux/mempolicy.h>
const MPOL_BIND: libc::c_int = 2;
const MPOL_MF_STRICT: libc::c_uint = 1;
const MPOL_F_NODE: libc::c_ulong = 1;
const MPOL_F_ADDR: libc::c_ulong = 2;

/// Zeroed 4 KiB pages that lie on one node until they are dropped.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: all access goes through atomics (the views below), for which sharing is what they're for.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps `count` pages wherever the kernel puts them.
    pub(crate) fn anywhere(count: usize) -> Result<Pages, String> {
        let len = count.max(1) * PAGE;
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address that the kernel chooses; it overlaps nothing.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, kind, -1, 0) };
        let failed = start == libc::MAP_FAILED;
        match NonNull::new(start.cast()).filter(|_| !failed) {
            Some(start) => Ok(Pages { start, len }),
            None => Err(format!("can't map {len} bytes: {}", std::io::Error::last_os_error())),
        }
    }

    /// Maps `count` pages on a node, touches each, and asks the kernel where they are.
    pub(crate) fn on(node: u32, count: usize) -> Result<Pages, String> {
        if node > MAX_NODE {
            return Err(format!("node {node}: this program binds memory to nodes 0 to {MAX_NODE}"));
        }
        let pages = Pages::anywhere(count)?;
        let mask: libc::c_ulong = 1 << node;
        // SAFETY: both calls name exactly our own mapping; the kernel reads one word of mask (it
        // wants the number of bits plus one), which outlives the call.
        let bound = unsafe {
            libc::madvise(pages.start.as_ptr().cast(), pages.len, libc::MADV_NOHUGEPAGE);
            libc::syscall(
                libc::SYS_mbind,
                pages.start.as_ptr(),
                pages.len,
                MPOL_BIND,
                &mask,
                u64::from(MAX_NODE) + 2,
                MPOL_MF_STRICT,
            )
        };
        // A kernel without NUMA, or a sandbox without mbind, still has node 0.
        if bound != 0 && node != 0 {
            let error = std::io::Error::last_os_error();
            return Err(format!("can't bind {count} pages to node {node}: {error}"));
        }
        pages.words().iter().step_by(PAGE / 8).for_each(|word| word.store(0, Relaxed));
        match pages.node() {
            Some(found) if found != node => {
                Err(format!("memory bound to node {node} lies on node {found}"))
            }
            _ => Ok(pages),
        }
    }

    /// The node of the first page; None where the kernel has no memory policies.
    fn node(&self) -> Option<u32> {
        let mut node: libc::c_int = -1;
        // SAFETY: the kernel writes one int, and looks up an address of our own mapping.
        let result = unsafe {
            libc::syscall(
                libc::SYS_get_mempolicy,
                &mut node,
                std::ptr::null_mut::<libc::c_ulong>(),
                0,
                self.start.as_ptr(),
                MPOL_F_NODE | MPOL_F_ADDR,
            )
        };
        if result == 0 { u32::try_from(node).ok() } else { None }
    }

    /// The pages as words of eight bytes.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, initialised (zeroed by the kernel), lives as long
        // as self, and is only ever accessed by atomics; every bit pattern is valid.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len / 8) }
    }

    /// The pages as words of four bytes, as futexes are.
    pub(crate) fn halves(&self) -> &[AtomicU32] {
        // SAFETY: as in words().
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len / 4) }
    }

    /// The pages as bytes.
    pub(crate) fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: as in words().
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: our own mapping, once; the views borrow self, so none is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
