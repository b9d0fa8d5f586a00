//! The userfaultfd interface of Linux, as constants and layouts.
//!
//! The `userfaultfd` crate gets these from bindgen, which needs libclang on every machine that
//! builds. The interface is small and, being Linux's, fixed: here it is written out. Names and
//! types are the ones that bindgen makes of the header, because that crate compiles against them.
//!
//! Spec: Linux 6.1 include/uapi/linux/userfaultfd.h, whose order is kept.
#![allow(non_camel_case_types)] // C's names.

/// The ioctls' type number.
pub const UFFDIO: u8 = 0xAA;
/// The type number of /dev/userfaultfd's only ioctl.
pub const USERFAULTFD_IOC: u32 = 0xAA;
/// The API's name, in `uffdio_api`.
pub const UFFD_API: u64 = 0xAA;

/// Number of UFFDIO_REGISTER.
pub const _UFFDIO_REGISTER: u64 = 0x00;
/// Number of UFFDIO_UNREGISTER.
pub const _UFFDIO_UNREGISTER: u64 = 0x01;
/// Number of UFFDIO_WAKE.
pub const _UFFDIO_WAKE: u64 = 0x02;
/// Number of UFFDIO_COPY.
pub const _UFFDIO_COPY: u64 = 0x03;
/// Number of UFFDIO_ZEROPAGE.
pub const _UFFDIO_ZEROPAGE: u64 = 0x04;
/// Number of UFFDIO_WRITEPROTECT.
pub const _UFFDIO_WRITEPROTECT: u64 = 0x06;
/// Number of UFFDIO_CONTINUE.
pub const _UFFDIO_CONTINUE: u64 = 0x07;
/// Number of UFFDIO_API.
pub const _UFFDIO_API: u64 = 0x3F;

/// `struct uffd_msg`: one event.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uffd_msg {
    /// Which: UFFD_EVENT_*.
    pub event: u8,
    /// Zero.
    pub reserved1: u8,
    /// Zero.
    pub reserved2: u16,
    /// Zero.
    pub reserved3: u32,
    /// By event.
    pub arg: uffd_msg_arg,
}
const _: () = assert!(size_of::<uffd_msg>() == 32);

/// What a [`uffd_msg`] carries.
#[repr(C)]
#[derive(Clone, Copy)]
pub union uffd_msg_arg {
    /// UFFD_EVENT_PAGEFAULT.
    pub pagefault: uffd_msg_pagefault,
    /// UFFD_EVENT_FORK.
    pub fork: uffd_msg_fork,
    /// UFFD_EVENT_REMAP.
    pub remap: uffd_msg_remap,
    /// UFFD_EVENT_REMOVE and UFFD_EVENT_UNMAP.
    pub remove: uffd_msg_remove,
    /// Room for events to come.
    pub reserved: [u64; 3],
}

/// A thread waits for a page.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uffd_msg_pagefault {
    /// UFFD_PAGEFAULT_FLAG_*.
    pub flags: u64,
    /// Where, rounded down to the page.
    pub address: u64,
    /// With UFFD_FEATURE_THREAD_ID: who.
    pub feat: uffd_msg_feat,
}

/// What optional features add to a page fault.
#[repr(C)]
#[derive(Clone, Copy)]
pub union uffd_msg_feat {
    /// The thread's id.
    pub ptid: u32,
}

/// The process forked.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uffd_msg_fork {
    /// The child's userfaultfd.
    pub ufd: u32,
}

/// A range moved.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uffd_msg_remap {
    /// From here.
    pub from: u64,
    /// To here.
    pub to: u64,
    /// So many bytes.
    pub len: u64,
}

/// A range was dropped or unmapped.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uffd_msg_remove {
    /// First byte.
    pub start: u64,
    /// Byte after the last.
    pub end: u64,
}

/// A thread waits for a page.
pub const UFFD_EVENT_PAGEFAULT: u8 = 0x12;
/// The process forked.
pub const UFFD_EVENT_FORK: u8 = 0x13;
/// mremap moved a range.
pub const UFFD_EVENT_REMAP: u8 = 0x14;
/// madvise dropped a range.
pub const UFFD_EVENT_REMOVE: u8 = 0x15;
/// munmap took a range away.
pub const UFFD_EVENT_UNMAP: u8 = 0x16;

/// The access was a write.
pub const UFFD_PAGEFAULT_FLAG_WRITE: u64 = 1 << 0;
/// The page is mapped, but write-protected.
pub const UFFD_PAGEFAULT_FLAG_WP: u64 = 1 << 1;
/// The page is in the page cache, but not mapped.
pub const UFFD_PAGEFAULT_FLAG_MINOR: u64 = 1 << 2;

/// `struct uffdio_api`: the handshake.
#[repr(C)]
pub struct uffdio_api {
    /// [`UFFD_API`].
    pub api: u64,
    /// Asked for; then: what the kernel has.
    pub features: u64,
    /// The ioctls that the descriptor takes, a bit each.
    pub ioctls: u64,
}
const _: () = assert!(size_of::<uffdio_api>() == 24);

/// Write-protect faults on anonymous memory (Linux 5.7).
pub const UFFD_FEATURE_PAGEFAULT_FLAG_WP: u64 = 1 << 0;
/// [`UFFD_EVENT_FORK`] is reported.
pub const UFFD_FEATURE_EVENT_FORK: u64 = 1 << 1;
/// [`UFFD_EVENT_REMAP`] is reported.
pub const UFFD_FEATURE_EVENT_REMAP: u64 = 1 << 2;
/// [`UFFD_EVENT_REMOVE`] is reported.
pub const UFFD_FEATURE_EVENT_REMOVE: u64 = 1 << 3;
/// Missing pages of hugetlbfs.
pub const UFFD_FEATURE_MISSING_HUGETLBFS: u64 = 1 << 4;
/// Missing pages of shared memory (Linux 4.11).
pub const UFFD_FEATURE_MISSING_SHMEM: u64 = 1 << 5;
/// [`UFFD_EVENT_UNMAP`] is reported.
pub const UFFD_FEATURE_EVENT_UNMAP: u64 = 1 << 6;
/// SIGBUS instead of events.
pub const UFFD_FEATURE_SIGBUS: u64 = 1 << 7;
/// Page faults name their thread.
pub const UFFD_FEATURE_THREAD_ID: u64 = 1 << 8;
/// Minor faults on hugetlbfs (Linux 5.13).
pub const UFFD_FEATURE_MINOR_HUGETLBFS: u64 = 1 << 9;
/// Minor faults on shared memory (Linux 5.14).
pub const UFFD_FEATURE_MINOR_SHMEM: u64 = 1 << 10;
/// Addresses aren't rounded (Linux 5.18).
pub const UFFD_FEATURE_EXACT_ADDRESS: u64 = 1 << 11;
/// Write protection of hugetlbfs and shared memory (Linux 5.19).
pub const UFFD_FEATURE_WP_HUGETLBFS_SHMEM: u64 = 1 << 12;

/// `struct uffdio_range`: of this process's addresses.
#[repr(C)]
pub struct uffdio_range {
    /// First byte.
    pub start: u64,
    /// How many.
    pub len: u64,
}
const _: () = assert!(size_of::<uffdio_range>() == 16);

/// `struct uffdio_register`
#[repr(C)]
pub struct uffdio_register {
    /// What to register.
    pub range: uffdio_range,
    /// UFFDIO_REGISTER_MODE_*.
    pub mode: u64,
    /// The ioctls that the range takes, a bit each.
    pub ioctls: u64,
}
const _: () = assert!(size_of::<uffdio_register>() == 32);

/// Trap accesses to missing pages.
pub const UFFDIO_REGISTER_MODE_MISSING: u64 = 1 << 0;
/// Trap writes to protected pages.
pub const UFFDIO_REGISTER_MODE_WP: u64 = 1 << 1;
/// Trap accesses to pages that are in the page cache only.
pub const UFFDIO_REGISTER_MODE_MINOR: u64 = 1 << 2;

/// `struct uffdio_copy`
#[repr(C)]
pub struct uffdio_copy {
    /// To a registered range.
    pub dst: u64,
    /// From anywhere.
    pub src: u64,
    /// Bytes.
    pub len: u64,
    /// UFFDIO_COPY_MODE_*.
    pub mode: u64,
    /// Bytes done, or minus an errno.
    pub copy: i64,
}
const _: () = assert!(size_of::<uffdio_copy>() == 40);

/// Don't wake whoever waits.
pub const UFFDIO_COPY_MODE_DONTWAKE: u64 = 1 << 0;
/// Map the page write-protected.
pub const UFFDIO_COPY_MODE_WP: u64 = 1 << 1;

/// `struct uffdio_zeropage`
#[repr(C)]
pub struct uffdio_zeropage {
    /// Where.
    pub range: uffdio_range,
    /// UFFDIO_ZEROPAGE_MODE_*.
    pub mode: u64,
    /// Bytes done, or minus an errno.
    pub zeropage: i64,
}
const _: () = assert!(size_of::<uffdio_zeropage>() == 32);

/// Don't wake whoever waits.
pub const UFFDIO_ZEROPAGE_MODE_DONTWAKE: u64 = 1 << 0;

/// `struct uffdio_writeprotect`
#[repr(C)]
pub struct uffdio_writeprotect {
    /// Where.
    pub range: uffdio_range,
    /// UFFDIO_WRITEPROTECT_MODE_*.
    pub mode: u64,
}
const _: () = assert!(size_of::<uffdio_writeprotect>() == 24);

/// Protect; without it: unprotect.
pub const UFFDIO_WRITEPROTECT_MODE_WP: u64 = 1 << 0;
/// Don't wake whoever waits.
pub const UFFDIO_WRITEPROTECT_MODE_DONTWAKE: u64 = 1 << 1;

/// `struct uffdio_continue`
#[repr(C)]
pub struct uffdio_continue {
    /// Where.
    pub range: uffdio_range,
    /// UFFDIO_CONTINUE_MODE_*.
    pub mode: u64,
    /// Bytes done, or minus an errno.
    pub mapped: i64,
}
const _: () = assert!(size_of::<uffdio_continue>() == 32);

/// Don't wake whoever waits.
pub const UFFDIO_CONTINUE_MODE_DONTWAKE: u64 = 1 << 0;
/// Map the page write-protected (Linux 6.4; not in the 6.1 header).
pub const UFFDIO_CONTINUE_MODE_WP: u64 = 1 << 1;

/// Flag of userfaultfd(2): faults of user mode only.
pub const UFFD_USER_MODE_ONLY: u32 = 1;
