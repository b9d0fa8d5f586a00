//! The userfaultfd: opens it, registers guest memory, reads faults, and maps, protects and wakes
//! pages. The one place that knows this kernel interface's errnos.
//!
//! The `userfaultfd` crate opens, registers and reads. The four ioctls below are our own because
//! the crate's CONTINUE and COPY can't ask for a write-protected page, and installing a Shared page
//! without that protection is silent incoherence.
//!
//! ```text
//!   UFFDIO_CONTINUE      map what the memfd holds            EFAULT: the memfd has no such page yet
//!   UFFDIO_COPY          new page in the memfd, and map it   EEXIST: something is there already
//!   UFFDIO_WRITEPROTECT  on: writes trap; off: they don't
//!   UFFDIO_WAKE          let whoever waits try again
//!   all: EAGAIN with some bytes done: go on from there; ENOENT, ESRCH: mapping or process gone
//! ```
//!
//! Spec: Linux include/uapi/linux/userfaultfd.h, ioctl_userfaultfd(2),
//! Documentation/admin-guide/mm/userfaultfd.rst. A [`Uffd`] keeps its [`GuestRam`] alive and takes
//! pages, not addresses: it can reach nothing but the guest's mapping.
#![allow(unsafe_code)] // ioctls, and one fd taken over from a system call.

use crate::error::{RamError, UffdError};
use crate::features;
use crate::ram::{GuestRam, Hva, PageBytes};
use pangea_topology::{PAGE_SIZE, Pfn};
use pangea_wire::Access;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use userfaultfd::{Event, EventBuffer, FaultKind, FeatureFlags, ReadWrite, RegisterMode};
use userfaultfd_sys::{
    self as sys, uffdio_api, uffdio_continue, uffdio_copy, uffdio_range, uffdio_writeprotect,
};

/// How often in a row the kernel may say "again" without any progress. It does so only while the
/// address space is being changed by a fork or remap that waits for us, which we never ask for.
const MAX_IDLE_RETRIES: u32 = 1_000;

/// What became of a request to map a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mapped {
    /// It is mapped now, and whoever waited for it was woken.
    Now,
    /// A page was mapped or present already; nobody was woken.
    Already,
    /// The memfd holds no such page (CONTINUE only).
    NoPage,
}

/// A page that some CPU or thread waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) pfn: Pfn,
    pub(crate) access: Access,
    /// The page is mapped, but write-protected; otherwise it isn't mapped.
    pub(crate) protected: bool,
}

/// One userfaultfd over one [`GuestRam`].
pub(crate) struct Uffd {
    fd: userfaultfd::Uffd,
    ram: GuestRam,
}

impl Uffd {
    /// Opens one with everything the pager requires. Never for user-mode faults only: KVM's own
    /// accesses to guest memory must fault too.
    pub(crate) fn open(ram: &GuestRam) -> Result<Uffd, UffdError> {
        let fd = features::open()?;
        Ok(Uffd { fd, ram: ram.clone() })
    }

    /// From now on accesses to these pages of the guest's mapping fault to us if the page is
    /// unmapped, or on a write if it is protected. What is mapped stays so.
    pub(crate) fn register(&self, first: Pfn, pages: u64) -> Result<(), UffdError> {
        let at = self.ram.hva(first)?;
        let last = self.ram.hva(Pfn(first.0 + pages.max(1) - 1))?;
        let len = (last.0 + PAGE_SIZE).wrapping_sub(at.0);
        if len != pages * PAGE_SIZE {
            return Err(RamError::NotRam { pfn: Pfn(first.0 + pages) }.into());
        }
        let mode = RegisterMode::MISSING | RegisterMode::MINOR | RegisterMode::WRITE_PROTECT;
        self.fd
            .register_with_mode(at.0 as *mut _, len as usize, mode)
            .map(drop)
            .map_err(|e| UffdError::Register { first, pages, cause: e.to_string() })
    }

    /// Hands each waiting fault to `each`, up to the buffer's size; how many there were.
    pub(crate) fn read(
        &self,
        buffer: &mut EventBuffer,
        mut each: impl FnMut(Fault),
    ) -> Result<usize, UffdError> {
        let failed = |cause: String| UffdError::Read { cause };
        let events = self.fd.read_events(buffer).map_err(|e| failed(e.to_string()))?;
        let mut count = 0;
        for event in events {
            let Event::Pagefault { kind, rw, addr, .. } =
                event.map_err(|e| failed(e.to_string()))?
            else {
                continue; // Other kinds are sent only to those who ask for them.
            };
            let pfn = self.ram.pfn_at(Hva(addr as u64));
            let pfn = pfn.ok_or_else(|| failed(format!("{addr:p} is not guest memory")))?;
            let protected = kind == FaultKind::WriteProtected;
            let write = protected || rw == ReadWrite::Write;
            let access = if write { Access::Write } else { Access::Read };
            each(Fault { pfn, access, protected });
            count += 1;
        }
        Ok(count)
    }

    /// Maps the page that the memfd holds, write-protected for `Read` (Linux 6.4), and wakes.
    pub(crate) fn map(&self, pfn: Pfn, access: Access) -> Result<Mapped, UffdError> {
        let mode = if access == Access::Read { sys::UFFDIO_CONTINUE_MODE_WP } else { 0 };
        let at = self.ram.hva(pfn)?;
        let mut arg = uffdio_continue { range: page(at), mode, mapped: 0 };
        self.fill("UFFDIO_CONTINUE", pfn, || {
            // SAFETY: `arg` is the struct that this ioctl takes; it maps pages only inside our own
            // registration of the guest's mapping.
            let errno = unsafe { ioctl(self.as_raw_fd(), CONTINUE, &mut arg) };
            (errno, arg.mapped)
        })
    }

    /// Puts a new page with these bytes into the memfd, maps it write-protected, and wakes.
    pub(crate) fn copy_shared(&self, pfn: Pfn, bytes: &PageBytes) -> Result<Mapped, UffdError> {
        let at = self.ram.hva(pfn)?;
        let src = bytes.as_ptr() as u64;
        let mode = sys::UFFDIO_COPY_MODE_WP;
        let mut arg = uffdio_copy { dst: at.0, src, len: PAGE_SIZE, mode, copy: 0 };
        self.fill("UFFDIO_COPY", pfn, || {
            // SAFETY: `src` points to a page that lives through this call and is only read; the
            // target is a page of our registration, which nothing borrows by reference.
            let errno = unsafe { ioctl(self.as_raw_fd(), COPY, &mut arg) };
            (errno, arg.copy)
        })
    }

    /// Writes to the page trap (`true`), or no longer do (`false`, and whoever waits is woken).
    pub(crate) fn protect(&self, pfn: Pfn, on: bool) -> Result<(), UffdError> {
        let mode = if on { sys::UFFDIO_WRITEPROTECT_MODE_WP } else { 0 };
        let mut arg = uffdio_writeprotect { range: page(self.ram.hva(pfn)?), mode };
        // SAFETY: `arg` is the struct that this ioctl takes; protection changes no contents.
        let done = || unsafe { ioctl(self.as_raw_fd(), WRITEPROTECT, &mut arg) };
        plain("UFFDIO_WRITEPROTECT", pfn, done)
    }

    /// Lets whoever waits for the page try its access again.
    pub(crate) fn wake(&self, pfn: Pfn) -> Result<(), UffdError> {
        let mut arg = page(self.ram.hva(pfn)?);
        // SAFETY: `arg` is the struct that this ioctl takes; it changes no memory.
        let done = || unsafe { ioctl(self.as_raw_fd(), WAKE, &mut arg) };
        plain("UFFDIO_WAKE", pfn, done)
    }

    /// The policy for the two ioctls that map a page. `request` gives errno (0: fine) and the
    /// kernel's count of bytes done.
    fn fill(
        &self,
        ioctl: &'static str,
        pfn: Pfn,
        mut request: impl FnMut() -> (i32, i64),
    ) -> Result<Mapped, UffdError> {
        for _ in 0..MAX_IDLE_RETRIES {
            match request() {
                (0, _) => return Ok(Mapped::Now),
                (libc::EEXIST, _) => return Ok(Mapped::Already),
                (libc::EFAULT, _) if ioctl == "UFFDIO_CONTINUE" => return Ok(Mapped::NoPage),
                // Partly done, of one page: all of it.
                (libc::EAGAIN, done) if done >= PAGE_SIZE as i64 => return Ok(Mapped::Now),
                (libc::EAGAIN, _) => {}
                (errno, _) => return Err(refused(ioctl, pfn, errno)),
            }
        }
        Err(refused(ioctl, pfn, libc::EAGAIN))
    }
}

impl AsRawFd for Uffd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// The policy for ioctls that either work or don't.
fn plain(ioctl: &'static str, pfn: Pfn, mut request: impl FnMut() -> i32) -> Result<(), UffdError> {
    for _ in 0..MAX_IDLE_RETRIES {
        match request() {
            0 => return Ok(()),
            libc::EAGAIN => {}
            errno => return Err(refused(ioctl, pfn, errno)),
        }
    }
    Err(refused(ioctl, pfn, libc::EAGAIN))
}

fn refused(ioctl: &'static str, pfn: Pfn, errno: i32) -> UffdError {
    let cause = io::Error::from_raw_os_error(errno);
    match errno {
        libc::ENOENT | libc::ESRCH => UffdError::Gone { ioctl, pfn, cause },
        _ => UffdError::Ioctl { ioctl, pfn, cause },
    }
}

/// The system call, for a user who may not open /dev/userfaultfd but has the right to this one.
pub(crate) fn by_system_call(features: FeatureFlags) -> io::Result<userfaultfd::Uffd> {
    // SAFETY: the call takes flags and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just opened and belongs to nobody else.
    let fd = unsafe { userfaultfd::Uffd::from_raw_fd(fd as RawFd) };
    let mut arg = uffdio_api { api: sys::UFFD_API, features: features.bits(), ioctls: 0 };
    // SAFETY: `arg` is the struct that this ioctl takes.
    match unsafe { ioctl(fd.as_raw_fd(), API, &mut arg) } {
        0 => Ok(fd),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Runs an ioctl; 0 or its errno.
///
/// # Safety
/// `request` must take a pointer to a `T` and leave it a valid `T`, and what it does to memory must
/// be sound for the caller.
unsafe fn ioctl<T>(fd: RawFd, request: u64, arg: &mut T) -> i32 {
    // SAFETY: by this function's own condition.
    if unsafe { libc::ioctl(fd, request as _, std::ptr::from_mut(arg)) } == 0 {
        return 0;
    }
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

// Linux include/uapi/linux/userfaultfd.h, "UFFDIO_*" made of type, number and size.
const WAKE: u64 = request(READ, sys::_UFFDIO_WAKE, size_of::<uffdio_range>());
const COPY: u64 = request(READ | WRITE, sys::_UFFDIO_COPY, size_of::<uffdio_copy>());
const WRITEPROTECT: u64 =
    request(READ | WRITE, sys::_UFFDIO_WRITEPROTECT, size_of::<uffdio_writeprotect>());
const CONTINUE: u64 = request(READ | WRITE, sys::_UFFDIO_CONTINUE, size_of::<uffdio_continue>());
const API: u64 = request(READ | WRITE, sys::_UFFDIO_API, size_of::<uffdio_api>());
const _: () = assert!(WAKE == 0x8010_AA02 && COPY == 0xC028_AA03);
const _: () = assert!(WRITEPROTECT == 0xC018_AA06 && CONTINUE == 0xC020_AA07);
const _: () = assert!(API == 0xC018_AA3F);

// include/uapi/asm-generic/ioctl.h, "_IOC".
const WRITE: u64 = 1;
const READ: u64 = 2;

const fn request(direction: u64, number: u64, size: usize) -> u64 {
    direction << 30 | (size as u64) << 16 | (sys::UFFDIO as u64) << 8 | number
}

fn page(at: Hva) -> uffdio_range {
    uffdio_range { start: at.0, len: PAGE_SIZE }
}
