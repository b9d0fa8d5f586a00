//! What can go wrong between this room and the kernel: one type, with the ioctl and its object named.

use pangea_topology::{ApicId, NodeId};

/// A KVM call that failed, or hosts that can't make one machine together.
#[derive(Debug, thiserror::Error)]
pub enum KvmError {
    /// `/dev/kvm` doesn't open.
    #[error("cannot open /dev/kvm: {source}")]
    Open {
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// A capability that the runtime needs is missing.
    #[error("this kernel's KVM lacks {name} ({why}); Linux 6.1 or later has it")]
    Capability {
        /// The capability's name in the KVM API.
        name: &'static str,
        /// What it is needed for.
        why: &'static str,
    },
    /// More vCPUs than the kernel allows.
    #[error("the cluster has {wanted} vCPUs, this kernel's KVM allows {limit} in one machine")]
    TooManyVcpus {
        /// vCPUs of the cluster.
        wanted: u32,
        /// KVM_CAP_MAX_VCPUS.
        limit: u32,
    },
    /// An ioctl on the machine failed.
    #[error("{call} failed: {source}")]
    Vm {
        /// The ioctl.
        call: &'static str,
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// An ioctl on a vCPU failed.
    #[error("{call} failed on {cpu}: {source}")]
    Vcpu {
        /// The ioctl.
        call: &'static str,
        /// The vCPU.
        cpu: ApicId,
        /// The kernel's answer.
        source: kvm_ioctls::Error,
    },
    /// The kernel left the guest for a reason that has no continuation.
    #[error("{cpu} stopped: {reason}; rip {rip:#x}, cr3 {cr3:#x}")]
    Dead {
        /// The vCPU.
        cpu: ApicId,
        /// The exit reason.
        reason: String,
        /// Where it was.
        rip: u64,
        /// Its page table.
        cr3: u64,
    },
    /// Two hosts have CPUs of different makers.
    #[error(
        "{node} has CPUs of {theirs:?}, the root node of {ours:?}: one machine can't be made of \
         CPUs of two makers"
    )]
    Vendor {
        /// The node that differs.
        node: NodeId,
        /// Its CPUID vendor string.
        theirs: String,
        /// The root node's.
        ours: String,
    },
    /// The guest needs more physical address bits than a host's CPU has.
    #[error("the map ends at {end:#x}, which needs {needed} address bits; the hosts have {bits}")]
    AddressBits {
        /// One past the highest RAM address.
        end: u64,
        /// Bits needed for it.
        needed: u32,
        /// The least of the hosts.
        bits: u32,
    },
    /// A thread could not be started.
    #[error("cannot start the thread of {cpu}: {source}")]
    Thread {
        /// The vCPU it was for.
        cpu: ApicId,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Private memory for the ghosts' stub could not be had.
    #[error("cannot map {len} bytes for the ghosts' stub: {source}")]
    Stub {
        /// Bytes asked for.
        len: usize,
        /// The reason.
        source: vm_memory::mmap::FromRangesError,
    },
}
