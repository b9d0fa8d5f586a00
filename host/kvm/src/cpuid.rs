//! What the guest may know of its CPUs: what all hosts have in common, less what would act behind
//! our back, with a topology that ends at each node.
//!
//! - A feature is offered if every node has it ([`agree`]); what can't be masked, the maker of the
//!   CPU, must be the same. Model names and cache sizes are the root node's.
//! - Caches and packages never span nodes: Linux would otherwise take all nodes for one last-level
//!   cache domain and move tasks between them as if it cost nothing.
//! - KVM's paravirtual features that act on other vCPUs act on ghosts, so they are masked; so is
//!   whatever waits for a store by watching a cache line, because a store on another node isn't seen
//!   there.
//!
//! Leaves: Intel SDM vol. 2 "CPUID", AMD APM vol. 3 appendix E, KVM: Documentation/virt/kvm/x86/
//! cpuid.rst.

use crate::KvmError;
use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};
use pangea_topology::{ApicId, NodeId, Topology};
use pangea_wire::CpuidEntry;

/// Leaf 1 ECX: MONITOR, VMX, x2APIC, TSC deadline timer, hypervisor present.
const MONITOR: u32 = 1 << 3;
const VMX: u32 = 1 << 5;
const X2APIC: u32 = 1 << 21;
const TSC_DEADLINE: u32 = 1 << 24;
const HYPERVISOR: u32 = 1 << 31;
/// Leaf 1 EDX: several logical CPUs in a package.
const HTT: u32 = 1 << 28;
/// Leaf 7 ECX: UMONITOR, UMWAIT, TPAUSE.
const WAITPKG: u32 = 1 << 5;
/// Leaf 7 ECX: five levels of page tables. Each level is one more page that every node's CPUs need at once
/// (`pangea-dsm`'s hold tells why), and four levels reach 64 TiB.
const LA57: u32 = 1 << 16;
/// Leaf 0x80000001 ECX: SVM, MONITORX.
const SVM: u32 = 1 << 2;
const MONITORX: u32 = 1 << 29;
/// Leaf 0x80000007 EDX: invariant TSC. The counters of two hosts aren't one, and with this bit Linux
/// would rather trust them than kvmclock.
const INVARIANT_TSC: u32 = 1 << 8;
/// Leaf 6 EAX: the LAPIC timer always runs. Nothing else there belongs to a guest.
const ARAT: u32 = 1 << 2;

/// Extended topology, old and new: made here for each CPU, never taken from a host.
const TOPOLOGY_LEAVES: [u32; 2] = [0xb, 0x1f];

/// KVM_CPUID_FEATURES that are right across nodes:
/// kvmclock old and new (0, 3) and its stable flag (24), no I/O delay (1), hypercalls for IPIs (11:
/// they go through the APIC map and so reach ghosts), 15-bit MSI destinations (15). Masked: async
/// page faults (4, 10, 14), steal time (5), PV EOI (6), PV unhalt (7), PV TLB flush (9), poll control
/// (12), PV yield (13), and whatever comes later.
const KVM_FEATURES: u32 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 11 | 1 << 15 | 1 << 24;
const KVM_SIGNATURE: u32 = 0x4000_0000;
const KVM_FEATURE_LEAF: u32 = 0x4000_0001;

/// The CPUID of the whole machine, less what differs from CPU to CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpuid(Vec<CpuidEntry>);

/// What this host can offer, as sent to the root node.
pub fn offer(supported: &CpuId) -> Vec<CpuidEntry> {
    let entries = supported.as_slice().iter().map(|e| CpuidEntry {
        function: e.function,
        index: e.index,
        flags: e.flags,
        eax: e.eax,
        ebx: e.ebx,
        ecx: e.ecx,
        edx: e.edx,
    });
    entries.filter(|e| !TOPOLOGY_LEAVES.contains(&e.function)).map(policy).collect()
}

/// What all nodes have: `offers[0]` is the root node's. Errors name the node that can't take part.
pub fn agree(topology: &Topology, offers: &[(NodeId, Vec<CpuidEntry>)]) -> Result<Cpuid, KvmError> {
    let Some(((_, root), others)) = offers.split_first() else {
        return Ok(Cpuid(Vec::new()));
    };
    for (node, theirs) in others {
        if vendor(theirs) != vendor(root) {
            return Err(KvmError::Vendor {
                node: *node,
                theirs: vendor(theirs),
                ours: vendor(root),
            });
        }
    }
    let agreed: Vec<_> = root
        .iter()
        .filter_map(|entry| {
            others.iter().try_fold(*entry, |entry, (_, theirs)| {
                Some(intersect(entry, *find(theirs, entry.function, entry.index)?))
            })
        })
        .collect();
    check_address_bits(topology, &agreed)?;
    Ok(Cpuid(agreed))
}

impl Cpuid {
    /// As agreed by the root node, received over a link.
    pub fn from_entries(entries: Vec<CpuidEntry>) -> Cpuid {
        Cpuid(entries)
    }

    /// To be sent to the other nodes.
    pub fn entries(&self) -> &[CpuidEntry] {
        &self.0
    }

    /// One CPU's own: its APIC ID, and its place in its node.
    pub(crate) fn of(&self, topology: &Topology, cpu: ApicId) -> CpuId {
        let place = Place::of(topology, cpu);
        let highest = find(&self.0, 0, 0).map_or(0, |e| e.eax);
        let entries: Vec<_> = (self.0.iter().map(|e| place.put(*e)))
            .chain(place.topology(highest))
            .map(|e| kvm_cpuid_entry2 {
                function: e.function,
                index: e.index,
                flags: e.flags,
                eax: e.eax,
                ebx: e.ebx,
                ecx: e.ecx,
                edx: e.edx,
                ..Default::default()
            })
            .collect();
        CpuId::from_entries(&entries).unwrap_or_else(|_| CpuId::new(0).expect("no entries fit"))
    }
}

/// A CPU's place, as far as CPUID tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    apic_id: u32,
    /// CPUs of a package share the bits of their APIC ID above this many.
    shift: u32,
}

impl Place {
    /// A package is the largest aligned power of two of APIC IDs that no node boundary cuts, for
    /// software finds packages by shifting the APIC ID.
    fn of(topology: &Topology, cpu: ApicId) -> Place {
        let bounds = topology
            .nodes()
            .iter()
            .flat_map(|node| [node.apic_ids.start, node.apic_ids.end])
            .fold(0, |bits, bound| bits | bound);
        // At least one CPU exists, so `bounds` isn't 0.
        Place { apic_id: cpu.0, shift: bounds.trailing_zeros().min(16) }
    }

    fn put(self, mut e: CpuidEntry) -> CpuidEntry {
        let package = 1u32 << self.shift;
        match e.function {
            1 => {
                let id = self.apic_id.min(0xff);
                e.ebx = e.ebx & 0xffff | package.min(0xff) << 16 | id << 24;
                e.edx = if package > 1 { e.edx | HTT } else { e.edx & !HTT };
            }
            // Deterministic cache parameters, Intel and AMD: a cache of level 3 or above is shared by
            // the package, others by nobody.
            4 | 0x8000_001d => {
                let level = e.eax >> 5 & 7;
                let sharing = if level >= 3 { package - 1 } else { 0 };
                e.eax = e.eax & !(0xfff << 14) | sharing << 14;
                if e.function == 4 {
                    e.eax = e.eax & !(0x3f << 26) | (package - 1).min(0x3f) << 26;
                }
            }
            // AMD size identifiers: cores of the package, bits of the APIC ID that number them.
            0x8000_0008 => e.ecx = (package - 1).min(0xff) | self.shift << 12,
            0x8000_001e => {
                e.eax = self.apic_id;
                e.ebx = self.apic_id & (package - 1) & 0xff;
                e.ecx = 0;
            }
            _ => {}
        }
        e
    }
}

impl Place {
    /// The extended topology leaves up to the highest basic leaf: sub-leaf 0 is threads (one a core),
    /// 1 is cores of the package, 2 ends the list.
    fn topology(self, highest: u32) -> impl Iterator<Item = CpuidEntry> {
        let levels = [(0, 1, 1), (self.shift, 1u32 << self.shift, 2), (0, 0, 0)];
        TOPOLOGY_LEAVES.into_iter().filter(move |leaf| *leaf <= highest).flat_map(move |function| {
            (0u32..).zip(levels).map(move |(index, (eax, ebx, kind))| CpuidEntry {
                function,
                index,
                flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                eax,
                ebx,
                ecx: index | kind << 8,
                edx: self.apic_id,
            })
        })
    }
}

/// What no guest of several nodes may see, whatever the host has.
fn policy(mut e: CpuidEntry) -> CpuidEntry {
    let none = CpuidEntry { eax: 0, ebx: 0, ecx: 0, edx: 0, ..e };
    match (e.function, e.index) {
        // x2APIC IDs are told by leaf 0xb, so it must be in range.
        (0, _) => e.eax = e.eax.max(0xb),
        (1, _) => {
            e.ecx = e.ecx & !(MONITOR | VMX) | X2APIC | TSC_DEADLINE | HYPERVISOR;
        }
        (6, _) => e = CpuidEntry { eax: e.eax & ARAT, ..none },
        (7, 0) => e.ecx &= !(WAITPKG | LA57),
        // MONITOR, performance counters, TSC frequency, SGX, trace, SVM: the host's own business.
        (5 | 0xa | 0x12 | 0x14 | 0x15 | 0x16 | 0x8000_000a, _) => e = none,
        (0x8000_0001, _) => e.ecx &= !(SVM | MONITORX),
        (0x8000_0007, _) => e.edx &= !INVARIANT_TSC,
        (KVM_SIGNATURE, _) => e.eax = KVM_FEATURE_LEAF,
        (KVM_FEATURE_LEAF, _) => e = CpuidEntry { eax: e.eax & KVM_FEATURES, ..none },
        _ => {}
    }
    e
}

/// Feature bits that two hosts share; sizes and names are the first's.
fn intersect(a: CpuidEntry, b: CpuidEntry) -> CpuidEntry {
    let all = CpuidEntry {
        eax: a.eax & b.eax,
        ebx: a.ebx & b.ebx,
        ecx: a.ecx & b.ecx,
        edx: a.edx & b.edx,
        ..a
    };
    match (a.function, a.index) {
        // The highest leaf of each range, and of leaf 7.
        (0 | 0x8000_0000, _) => CpuidEntry { eax: a.eax.min(b.eax), ..a },
        (7, 0) => CpuidEntry { eax: a.eax.min(b.eax), ..all },
        (1, _) => CpuidEntry { ecx: all.ecx, edx: all.edx, ..a },
        (6 | KVM_FEATURE_LEAF | 0x8000_0021, _) => all,
        (7, _) => all,
        (0xd, 0) => CpuidEntry { eax: all.eax, edx: all.edx, ..a },
        (0xd, 1) => CpuidEntry { eax: all.eax, ecx: all.ecx, edx: all.edx, ..a },
        (0x8000_0001, _) => CpuidEntry { ecx: all.ecx, edx: all.edx, ..a },
        (0x8000_0007, _) => CpuidEntry { edx: all.edx, ..a },
        // Physical and linear address bits: the least.
        (0x8000_0008, _) => {
            let bits = |shift: u32| (a.eax >> shift & 0xff).min(b.eax >> shift & 0xff) << shift;
            CpuidEntry { eax: bits(0) | bits(8) | bits(16), ebx: all.ebx, ..a }
        }
        _ => a,
    }
}

fn check_address_bits(topology: &Topology, agreed: &[CpuidEntry]) -> Result<(), KvmError> {
    let end = topology.ram().last().map_or(0, |range| range.base.0 + range.len);
    let needed = u64::BITS - end.saturating_sub(1).leading_zeros();
    let bits = find(agreed, 0x8000_0008, 0).map_or(36, |e| e.eax & 0xff);
    if needed > bits {
        return Err(KvmError::AddressBits { end, needed, bits });
    }
    Ok(())
}

fn find(entries: &[CpuidEntry], function: u32, index: u32) -> Option<&CpuidEntry> {
    entries.iter().find(|e| {
        let indexed = e.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX != 0;
        e.function == function && (!indexed || e.index == index)
    })
}

fn vendor(entries: &[CpuidEntry]) -> String {
    let Some(leaf) = find(entries, 0, 0) else { return String::new() };
    let bytes: Vec<u8> =
        [leaf.ebx, leaf.edx, leaf.ecx].into_iter().flat_map(u32::to_le_bytes).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
