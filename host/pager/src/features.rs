//! What the host kernel must offer, found out by asking it, and what to do where it doesn't.
//!
//! ```text
//!   /dev/userfaultfd --refused--> userfaultfd(2) --refused--> Permission: root, chmod, sysctl
//!          | opened                     | opened
//!          +------------- UFFDIO_API ---+--EINVAL--> ask for each feature alone: which is missing
//! ```
//!
//! Spec: ioctl_userfaultfd(2) "UFFDIO_API"; include/uapi/linux/userfaultfd.h "UFFD_FEATURE_*".

use crate::error::{RamError, UffdError};
use crate::ram::GuestRam;
use crate::uffd::{self, Mapped, Uffd};
use pangea_topology::{Gpa, NodeId, PAGE_SIZE, Pfn, RamRange};
use pangea_wire::Access;
use std::io;
use userfaultfd::{Error, FeatureFlags, UffdBuilder};
use userfaultfd_sys as sys;

/// A feature that the pager can't do without.
struct Required {
    bit: u64,
    name: &'static str,
    since: &'static str,
}

/// All are in Linux 5.19 and later; the project's floor is 6.1.
const REQUIRED: [Required; 4] = [
    required("UFFD_FEATURE_MISSING_SHMEM", sys::UFFD_FEATURE_MISSING_SHMEM, "4.11"),
    required("UFFD_FEATURE_PAGEFAULT_FLAG_WP", sys::UFFD_FEATURE_PAGEFAULT_FLAG_WP, "5.7"),
    required("UFFD_FEATURE_MINOR_SHMEM", sys::UFFD_FEATURE_MINOR_SHMEM, "5.14"),
    required("UFFD_FEATURE_WP_HUGETLBFS_SHMEM", sys::UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "5.19"),
];

const fn required(name: &'static str, bit: u64, since: &'static str) -> Required {
    Required { bit, name, since }
}

/// How a page is mapped read-only for the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SharedInstall {
    /// By UFFDIO_CONTINUE with write protection: the memfd's page is mapped in place. Linux 6.4.
    Continue,
    /// By UFFDIO_COPY with write protection: the page is freed and made anew from a copy. Linux 5.19.
    Copy,
}

impl SharedInstall {
    /// The best way that this kernel has, found by trying it on a scratch page.
    pub fn probe() -> Result<SharedInstall, UffdError> {
        let page = RamRange { base: Gpa(0), len: PAGE_SIZE, node: NodeId::ROOT, file_offset: 0 };
        let scratch = GuestRam::new(&[page])?;
        let uffd = Uffd::open(&scratch)?;
        uffd.register(Pfn(0), 1)?;
        scratch.touch(Pfn(0))?;
        match uffd.map(Pfn(0), Access::Read) {
            Ok(Mapped::Now) => Ok(SharedInstall::Continue),
            Ok(_) => Err(RamError::NotRam { pfn: Pfn(0) }.into()),
            Err(UffdError::Ioctl { cause, .. }) if cause.raw_os_error() == Some(libc::EINVAL) => {
                Ok(SharedInstall::Copy)
            }
            Err(e) => Err(e),
        }
    }
}

/// Opens a non-blocking userfaultfd with every required feature, kernel-mode faults included.
pub(crate) fn open() -> Result<userfaultfd::Uffd, UffdError> {
    let all = REQUIRED.iter().fold(0, |bits, r| bits | r.bit);
    match open_with(all) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Err(missing(e)),
        Err(e) if is_refusal(&e) => Err(UffdError::Permission { cause: e }),
        Err(e) => Err(UffdError::Open { cause: e.to_string() }),
        Ok(fd) => Ok(fd),
    }
}

fn open_with(features: u64) -> io::Result<userfaultfd::Uffd> {
    let features = FeatureFlags::from_bits_retain(features);
    let opened = UffdBuilder::new()
        .close_on_exec(true)
        .non_blocking(true)
        .user_mode_only(false)
        .require_features(features)
        .create();
    match opened {
        Ok(fd) => Ok(fd),
        // The device is there but not for this user; the call may be (CAP_SYS_PTRACE, the sysctl).
        Err(Error::OpenDevUserfaultfd(refused)) => {
            uffd::by_system_call(features).map_err(|e| if is_refusal(&e) { refused } else { e })
        }
        Err(Error::SystemError(errno)) => Err(io::Error::from_raw_os_error(errno as i32)),
        Err(other) => Err(io::Error::other(other.to_string())),
    }
}

fn is_refusal(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

/// The kernel says only that some feature isn't there: find the first.
fn missing(refusal: io::Error) -> UffdError {
    let lacking =
        |r: &&Required| open_with(r.bit).is_err_and(|e| e.raw_os_error() == Some(libc::EINVAL));
    match REQUIRED.iter().find(lacking) {
        Some(r) => UffdError::Feature { feature: r.name, since: r.since },
        None => UffdError::Open { cause: refusal.to_string() },
    }
}
