//! The few things that only the kernel or the CPU can do: pinning, clocks, fences, futexes.
#![allow(unsafe_code)] // System calls and instructions that std has no safe names for.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Binds the calling thread to one CPU, and sees that it runs there.
pub(crate) fn pin(cpu: u32) -> Result<(), String> {
    if cpu as usize >= libc::CPU_SETSIZE as usize {
        return Err(format!("CPU {cpu}: this program knows {} CPUs", libc::CPU_SETSIZE));
    }
    bind(|other| other == cpu as usize)
        .map_err(|error| format!("can't run on CPU {cpu}: {error}"))?;
    match current() {
        here if here == cpu as i32 => Ok(()),
        here => Err(format!("bound to CPU {cpu}, but running on {here}")),
    }
}

/// Lets the calling thread run on every CPU of its cpuset: `isolcpus=` takes some from what is inherited.
pub(crate) fn unbind() -> Result<(), String> {
    bind(|_| true).map_err(|error| format!("can't ask for all CPUs: {error}"))
}

fn bind(to: impl Fn(usize) -> bool) -> std::io::Result<()> {
    // SAFETY: a cpu_set_t is plain bits, valid when all zero; every CPU set is within it; the kernel
    // reads the set and keeps no pointer to it.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for cpu in (0..libc::CPU_SETSIZE as usize).filter(|cpu| to(*cpu)) {
            libc::CPU_SET(cpu, &mut set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The CPUs that this process may use.
pub(crate) fn allowed() -> Vec<u32> {
    // SAFETY: as in pin(); the kernel writes at most the size that it is given.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return Vec::new();
        }
        (0..libc::CPU_SETSIZE as u32).filter(|cpu| libc::CPU_ISSET(*cpu as usize, &set)).collect()
    }
}

/// The CPU that runs this very line, or -1.
pub(crate) fn current() -> i32 {
    // SAFETY: takes and touches nothing.
    unsafe { libc::sched_getcpu() }
}

/// CLOCK_MONOTONIC or CLOCK_REALTIME, in nanoseconds.
pub(crate) fn clock(id: libc::clockid_t) -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which outlives the call.
    unsafe { libc::clock_gettime(id, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// CLOCK_MONOTONIC, in nanoseconds.
pub(crate) fn monotonic() -> i64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// The time-stamp counter, read after all earlier loads.
pub(crate) fn tsc() -> i64 {
    // SAFETY: neither instruction touches memory; every x86-64 CPU has them, and Linux doesn't
    // set CR4.TSD unless a process asks for it.
    unsafe {
        std::arch::x86_64::_mm_lfence();
        std::arch::x86_64::_rdtsc() as i64
    }
}

/// The instruction itself, where a test's outcome hangs on it.
pub(crate) fn mfence() {
    // SAFETY: orders memory accesses, and does nothing else.
    unsafe { std::arch::asm!("mfence", options(nostack, preserves_flags)) }
}

/// Sleeps while the word has this value, until woken. False: the time ran out.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, time: Duration) -> bool {
    let limit = libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the word and the timespec outlive the call; the kernel only reads them.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &limit) };
    result == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ETIMEDOUT)
}

/// Wakes one sleeper of the word.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the kernel uses the word's address only as a key.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
