//! Everything that nodes say to each other except pages: interrupts, device accesses, clocks, the
//! CPU features they agree on, starting and stopping.
//!
//! ```text
//! peer          | transport                      root node <-> others
//! --------------+------------------------------------------------------------------
//! start-up      | Linked                         CpuidOffer, CpuidAgreed, Clock, Ready, Start
//! running       | Heartbeat                      Interrupt, Access, AccessDone, EndOfInterrupt, IoapicRoutes
//! end           |                                Stop
//! ```
//!
//! `Linked` and `Heartbeat` are the transport's own; all others are passed on to the node. The byte
//! form is postcard's, so the order of variants and fields is part of the protocol: a change there
//! raises [`crate::PROTOCOL`].

use crate::{MAX_NODES, WireError};
use pangea_topology::{ApicId, Gpa, NodeId};
use serde::{Deserialize, Serialize};

/// CPUID entries in one message: what KVM itself accepts (`KVM_MAX_CPUID_ENTRIES`).
pub const MAX_CPUID_ENTRIES: usize = 256;
/// Bytes of text in a [`ControlMessage::Stop`].
pub const MAX_TEXT: usize = 1024;
/// Bytes in a name: of a cluster, a node, a CPU's vendor or model.
pub const MAX_NAME: usize = 64;
/// Pins of the I/O APIC, one route each.
pub const IOAPIC_PINS: usize = 24;

/// What errors call these messages.
const FRAME: &str = "control message";

/// One message on a control lane.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ControlMessage {
    /// I am alive. Sent and taken by the transport.
    Heartbeat {
        /// Counts up from 1 on each lane.
        seq: u64,
    },
    /// All my links are up. Sent and taken by the transport, once, during start-up.
    Linked,
    /// An interrupt for a vCPU of the receiving node.
    Interrupt(Interrupt),
    /// A vCPU of the sender touched a device that the receiver has; answered by `AccessDone` with
    /// the same token.
    Access {
        /// The sender's name for the access: unique while it is outstanding.
        token: u64,
        /// The vCPU that waits.
        cpu: ApicId,
        /// What it did.
        op: AccessOp,
    },
    /// A device access is over.
    AccessDone {
        /// The token of the `Access`.
        token: u64,
        /// What was read, little-endian; zeros after a write.
        data: [u8; 8],
    },
    /// A vCPU of the sender ended a level-triggered interrupt.
    EndOfInterrupt {
        /// The vCPU.
        cpu: ApicId,
        /// The vector that it ended.
        vector: u8,
    },
    /// The I/O APIC's redirection entries, as the guest wrote them at the root node.
    IoapicRoutes([u64; IOAPIC_PINS]),
    /// The CPUID that the sender's KVM can give its vCPUs.
    CpuidOffer {
        /// As `KVM_GET_SUPPORTED_CPUID` lists it.
        entries: Vec<CpuidEntry>,
        /// The CPU's vendor string, such as `GenuineIntel`; at most [`MAX_NAME`] bytes.
        vendor: String,
        /// The CPU's brand string; at most [`MAX_NAME`] bytes.
        model: String,
    },
    /// The CPUID that all vCPUs of the cluster will have.
    CpuidAgreed {
        /// What every node can give.
        entries: Vec<CpuidEntry>,
    },
    /// The root node's clocks, all read at one moment.
    Clock {
        /// The guest's kvmclock at that moment, in ns: 0.
        kvmclock_ns: u64,
        /// The host's CLOCK_REALTIME, in ns since 1970.
        realtime_ns: u64,
        /// The root host's TSC at that moment, in ticks: where the guest's is 0.
        tsc: u64,
        /// The guest's TSC frequency.
        tsc_khz: u32,
    },
    /// My vCPUs and memory are set up.
    Ready,
    /// Run.
    Start,
    /// The cluster ends.
    Stop {
        /// Why.
        kind: StopKind,
        /// Why, in words; at most [`MAX_TEXT`] bytes.
        text: String,
    },
}

/// An interrupt on its way to a vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Interrupt {
    /// The vCPU that it is for.
    pub to: ApicId,
    /// What it is.
    pub kind: InterruptKind,
}

/// What an interrupt is: Intel SDM 3A 12.6.1 "Interrupt Command Register (ICR)", delivery mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum InterruptKind {
    /// An ordinary vector.
    Fixed {
        /// The vector.
        vector: u8,
    },
    /// A non-maskable interrupt.
    Nmi,
    /// INIT: the vCPU goes back to waiting for start-up.
    Init,
    /// SIPI: the vCPU starts in real mode at `vector << 12`.
    Startup {
        /// The page to start in.
        vector: u8,
    },
}

/// What a vCPU did to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum AccessOp {
    /// IN.
    PortIn {
        /// The port.
        port: u16,
        /// 1, 2 or 4 bytes.
        size: u8,
    },
    /// OUT.
    PortOut {
        /// The port.
        port: u16,
        /// 1, 2 or 4 bytes.
        size: u8,
        /// What was written, in the low `size` bytes.
        value: u32,
    },
    /// A load from a device's memory.
    MmioRead {
        /// Where.
        gpa: Gpa,
        /// 1 to 8 bytes.
        len: u8,
    },
    /// A store to a device's memory.
    MmioWrite {
        /// Where.
        gpa: Gpa,
        /// 1 to 8 bytes.
        len: u8,
        /// What was stored, in the first `len` bytes.
        data: [u8; 8],
    },
}

/// One leaf of CPUID, as in KVM's `struct kvm_cpuid_entry2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // The fields are the registers that their names say.
pub struct CpuidEntry {
    pub function: u32,
    pub index: u32,
    pub flags: u32,
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

/// Why a cluster ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum StopKind {
    /// The guest powered itself off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
    /// Someone at a node asked for it: Ctrl-C, SIGTERM.
    User,
    /// A node was lost.
    PeerLost {
        /// The node.
        node: NodeId,
        /// How long it had been silent, in ms.
        silent_ms: u64,
    },
    /// The sender can't go on.
    Fault,
}

impl ControlMessage {
    /// A `Stop` whose text is cut at [`MAX_TEXT`] bytes.
    pub fn stop(kind: StopKind, text: &str) -> ControlMessage {
        let mut end = text.len().min(MAX_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        ControlMessage::Stop { kind, text: text.get(..end).unwrap_or_default().to_owned() }
    }

    /// The limits that the types alone don't carry; asked by both encoder and decoder.
    pub(crate) fn check(&self) -> Result<(), WireError> {
        match self {
            ControlMessage::Access { op, .. } => match *op {
                AccessOp::PortIn { size, .. } | AccessOp::PortOut { size, .. } => {
                    expect(matches!(size, 1 | 2 | 4), "size", size, "1, 2 or 4 bytes")
                }
                AccessOp::MmioRead { len, .. } | AccessOp::MmioWrite { len, .. } => {
                    expect((1..=8).contains(&len), "len", len, "1 to 8 bytes")
                }
            },
            ControlMessage::CpuidOffer { entries, vendor, model } => {
                within("entries", entries.len(), MAX_CPUID_ENTRIES, "entries")?;
                within("vendor", vendor.len(), MAX_NAME, "bytes")?;
                within("model", model.len(), MAX_NAME, "bytes")
            }
            ControlMessage::CpuidAgreed { entries } => {
                within("entries", entries.len(), MAX_CPUID_ENTRIES, "entries")
            }
            ControlMessage::Stop { kind, text } => {
                if let StopKind::PeerLost { node, .. } = kind {
                    expect(node.0 < MAX_NODES, "node", node.0, "a node below 64")?;
                }
                within("text", text.len(), MAX_TEXT, "bytes")
            }
            ControlMessage::Heartbeat { .. }
            | ControlMessage::Linked
            | ControlMessage::Interrupt(_)
            | ControlMessage::AccessDone { .. }
            | ControlMessage::EndOfInterrupt { .. }
            | ControlMessage::IoapicRoutes(_)
            | ControlMessage::Clock { .. }
            | ControlMessage::Ready
            | ControlMessage::Start => Ok(()),
        }
    }
}

fn expect(
    holds: bool,
    field: &'static str,
    value: u8,
    expected: &'static str,
) -> Result<(), WireError> {
    if holds {
        Ok(())
    } else {
        Err(WireError::Field { frame: FRAME, field, value: value.into(), expected })
    }
}

fn within(
    field: &'static str,
    len: usize,
    limit: usize,
    unit: &'static str,
) -> Result<(), WireError> {
    if len <= limit {
        Ok(())
    } else {
        Err(WireError::TooLong { frame: FRAME, field, len, limit, unit })
    }
}
