//! Do this node's vCPUs do anything? KVM tells of each whether it sleeps in HLT.
//!
//! Spec: Documentation/virt/kvm/api.rst, 4.133 KVM_GET_STATS_FD (Linux 5.14); the statistic `blocking`
//! came with 5.17. What the file's layout is, the file says itself, in fields of native byte order.
#![allow(unsafe_code)] // One ioctl, and the file that it opens.

use crate::Cpu;
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use vmm_sys_util::ioctl::ioctl;
use vmm_sys_util::ioctl_io_nr;

ioctl_io_nr!(KVM_GET_STATS_FD, kvm_bindings::KVMIO, 0xce);

/// The statistic: 1 while the vCPU sleeps until an interrupt comes.
const BLOCKING: &[u8] = b"blocking";
/// Bytes of a descriptor before its name.
const DESCRIPTOR: u64 = 16;

/// What KVM tells about the vCPUs of this node; cheap to ask, from any thread.
pub struct Activity {
    /// Each vCPU's statistics, and where in them `blocking` is.
    blocking: Vec<(File, u64)>,
}

impl Activity {
    /// Of these vCPUs; none where KVM doesn't tell.
    pub(crate) fn of<'a>(cpus: impl Iterator<Item = &'a Cpu>) -> Option<Activity> {
        let blocking = cpus.map(open).collect::<io::Result<Option<Vec<_>>>>();
        match blocking {
            Ok(blocking) => blocking.map(|blocking| Activity { blocking }),
            Err(cause) => {
                tracing::debug!(%cause, "KVM doesn't tell which vCPUs sleep");
                None
            }
        }
    }

    /// Do all of them sleep? A moment later it may be otherwise.
    pub fn all_sleep(&self) -> bool {
        self.blocking.iter().all(|(stats, at)| {
            let mut value = [0; 8];
            stats.read_exact_at(&mut value, *at).is_ok() && u64::from_ne_bytes(value) == 1
        })
    }
}

/// The vCPU's statistics, and the offset of `blocking`; none if this kernel has no such statistic.
fn open(cpu: &Cpu) -> io::Result<Option<(File, u64)>> {
    // SAFETY: the call takes no argument and touches no memory of ours.
    let fd = unsafe { ioctl(&cpu.fd, KVM_GET_STATS_FD()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just opened and belongs to nobody else.
    let stats = unsafe { File::from_raw_fd(fd) };
    let field = |at: u64| {
        let mut bytes = [0; 4];
        stats.read_exact_at(&mut bytes, at).map(|()| u64::from(u32::from_ne_bytes(bytes)))
    };
    let (name_size, count, descriptors, data) = (field(4)?, field(8)?, field(16)?, field(20)?);
    let mut name = vec![0; name_size as usize];
    for index in 0..count {
        let at = descriptors + index * (DESCRIPTOR + name_size);
        stats.read_exact_at(&mut name, at + DESCRIPTOR)?;
        if name.split(|&byte| byte == 0).next() == Some(BLOCKING) {
            let offset = data + field(at + 8)?;
            return Ok(Some((stats, offset)));
        }
    }
    Ok(None)
}
