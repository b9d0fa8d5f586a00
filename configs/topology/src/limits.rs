//! The limits of a cluster, each with its reason. `Cluster::violations` is the only place that
//! enforces them; the schema and the documentation only cite them.

use crate::layout::MIB;
use std::ops::RangeInclusive;

/// Nodes in a cluster: a set of nodes is one 64-bit word ([`crate::NodeSet`]).
pub const MAX_NODES: usize = 64;

/// vCPUs in a cluster: what stock KVM holds in one VM (`KVM_CAP_MAX_VCPUS` is at least 1,024 since
/// Linux 5.15), and every node's VM holds all of them, its own and the ghosts of the others.
pub const MAX_VCPUS: u32 = 1024;

/// Memory of a cluster in bytes, 16 TiB: with the hole it ends below 2^45, so that 46 physical
/// address bits, which any server CPU has, are enough.
pub const MAX_MEMORY: u64 = 16 << 40;

/// A node's memory is a multiple of 2 MiB: a large page never belongs to two nodes.
pub const MEMORY_ALIGNMENT: u64 = 2 * MIB;

/// The root node's least memory in bytes, 256 MiB: a distribution's kernel and its initramfs are
/// unpacked there, below the ACPI tables.
pub const MIN_ROOT_MEMORY: u64 = 256 * MIB;

/// Bytes in a name of a cluster or a node, so that it fits in tables, file names and metrics.
pub const MAX_NAME: usize = 32;

/// Bytes in a host name (RFC 1123 2.1), and in one of its labels (RFC 1035 2.3.4).
pub const MAX_HOST: usize = 253;
/// See [`MAX_HOST`].
pub const MAX_HOST_LABEL: usize = 63;

/// Bytes of extra command line: Linux on x86 reads 2,047 bytes (`COMMAND_LINE_SIZE`), and half are
/// kept for the defaults.
pub const MAX_COMMAND_LINE: usize = 1024;

/// SLIT distance between different nodes: 10 is a node's own, 255 means unreachable
/// (ACPI 6.5 5.2.17 "System Locality Information Table").
pub const DISTANCE: RangeInclusive<u8> = 11..=254;

/// Latency of a link in nanoseconds, 100 ns to 5 ms: never quicker than local memory, and never more
/// than 65,534 units of 100 ns (ACPI 6.5 5.2.27.4: HMAT entries have 16 bits, and two values are taken).
pub const LATENCY_NS: RangeInclusive<u64> = 100..=5_000_000;

/// Bandwidth of a link in MB/s: an HMAT entry has 16 bits in units of 1 MB/s, and 0 and 65,535 are
/// taken (ACPI 6.5 5.2.27.4).
pub const BANDWIDTH_MBPS: RangeInclusive<u64> = 1..=65_534;

/// Silence after which a peer is lost, in milliseconds, 100 ms to 60 s: shorter would take a host's
/// scheduling hiccup for a death, longer would leave the guest hanging.
pub const PEER_DEADLINE_MS: RangeInclusive<u64> = 100..=60_000;
