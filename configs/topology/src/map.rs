//! The guest-physical map: where each node's memory and vCPUs lie. A pure function of the cluster.
//!
//! ```text
//! node a (1 GiB)   node b (2 GiB)                  node c
//! |----------------|--------------|     hole     |--------|------ ...
//! 0                1G             2G             4G       5G         guest-physical
//! |----------------|--------------|--------|------ ...
//! 0                1G             2G       3G                        offset in the backing file
//! ```
//!
//! RAM is laid out in node order from 0 and jumps from 2 GiB to 4 GiB, so one node may have two
//! ranges; the backing file has no hole. APIC IDs follow the same order.

use crate::layout::{ACPI_LEN, HIGH_RAM_BASE, LOW_RAM_END};
use crate::{ApicId, Cluster, E820Entry, Gpa, NodeId, PAGE_SIZE, Pfn, e820};
use std::ops::Range;

/// The map of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    name: String,
    nodes: Vec<NodeMap>,
    ram: Vec<RamRange>,
    e820: Vec<E820Entry>,
    acpi: Gpa,
}

/// What of the machine belongs to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeMap {
    /// The node, which is also its proximity domain.
    pub id: NodeId,
    /// Its name in the cluster file.
    pub name: String,
    /// The APIC IDs of its vCPUs; empty for a memory-only node.
    pub apic_ids: Range<u32>,
    /// Its memory, ascending: none for a CPU-only node, two ranges where the hole lies in between.
    pub ram: Vec<RamRange>,
}

/// Contiguous RAM whose home is one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamRange {
    /// First address.
    pub base: Gpa,
    /// Bytes, a multiple of 2 MiB.
    pub len: u64,
    /// Home node.
    pub node: NodeId,
    /// Where it begins in the file that backs all RAM densely, in bytes.
    pub file_offset: u64,
}

impl RamRange {
    /// The address after the last.
    pub const fn end(&self) -> Gpa {
        Gpa(self.base.0 + self.len)
    }

    /// Its pages.
    pub const fn pages(&self) -> Range<u64> {
        self.base.0 / PAGE_SIZE..self.end().0 / PAGE_SIZE
    }

    /// Does the address lie in it?
    pub const fn contains(&self, gpa: Gpa) -> bool {
        self.base.0 <= gpa.0 && gpa.0 - self.base.0 < self.len
    }
}

impl NodeMap {
    /// Bytes of memory whose home is here.
    pub fn memory(&self) -> u64 {
        self.ram.iter().map(|r| r.len).sum()
    }
}

impl Topology {
    /// Lays the cluster out.
    ///
    /// # Panics
    /// If the cluster breaks a limit: only a cluster whose [`Cluster::check`] passed has a map.
    pub fn of(cluster: &Cluster) -> Topology {
        if let Err(violation) = cluster.check() {
            panic!("no map for an unchecked cluster: {violation}");
        }
        let (mut nodes, mut ram) = (Vec::new(), Vec::new());
        let (mut apic_id, mut offset) = (0, 0);
        for (id, node) in (0..).map(NodeId).zip(&cluster.nodes) {
            let own = place(id, offset, node.memory);
            let apic_ids = apic_id..apic_id + node.vcpus;
            apic_id = apic_ids.end;
            offset += node.memory;
            ram.extend_from_slice(&own);
            nodes.push(NodeMap { id, name: node.name.clone(), apic_ids, ram: own });
        }
        let acpi = Gpa(ram[0].end().0 - ACPI_LEN);
        let e820 = e820::of(&ram, acpi);
        Topology { name: cluster.name.clone(), nodes, ram, e820, acpi }
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes in file order; the first is the root node.
    pub fn nodes(&self) -> &[NodeMap] {
        &self.nodes
    }

    /// A node by its name.
    pub fn node_named(&self, name: &str) -> Option<&NodeMap> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// All RAM, sorted by address.
    pub fn ram(&self) -> &[RamRange] {
        &self.ram
    }

    /// Bytes of all RAM: the length of the file that backs it.
    pub fn memory(&self) -> u64 {
        self.ram.iter().map(|r| r.len).sum()
    }

    /// The map as the guest's firmware tables tell it, sorted, without overlap.
    pub fn e820(&self) -> &[E820Entry] {
        &self.e820
    }

    /// Where the ACPI tables lie, and the bytes that are theirs: the end of the root node's first range.
    pub fn acpi(&self) -> (Gpa, u64) {
        (self.acpi, ACPI_LEN)
    }

    /// The RAM range that holds the page; `None`: not RAM.
    pub fn range_of(&self, pfn: Pfn) -> Option<&RamRange> {
        let gpa = Gpa(pfn.0.checked_mul(PAGE_SIZE)?);
        let after = self.ram.partition_point(|r| r.base <= gpa);
        self.ram[..after].last().filter(|r| r.contains(gpa))
    }

    /// The page's home node; `None`: not RAM.
    pub fn home(&self, pfn: Pfn) -> Option<NodeId> {
        self.range_of(pfn).map(|r| r.node)
    }

    /// Where the page begins in the backing file; `None`: not RAM.
    pub fn file_offset(&self, pfn: Pfn) -> Option<u64> {
        self.range_of(pfn).map(|r| r.file_offset + (pfn.gpa().0 - r.base.0))
    }

    /// vCPUs of the whole machine; their APIC IDs are 0 to this.
    pub fn vcpus(&self) -> u32 {
        self.nodes.last().map_or(0, |n| n.apic_ids.end)
    }

    /// The node that runs the vCPU; `None`: there is no such vCPU.
    pub fn node_of(&self, cpu: ApicId) -> Option<NodeId> {
        let at = self.nodes.partition_point(|n| n.apic_ids.end <= cpu.0);
        self.nodes.get(at).map(|n| n.id)
    }
}

/// A node's share of the dense file, as guest-physical ranges: cut at the hole, moved above it.
fn place(node: NodeId, offset: u64, len: u64) -> Vec<RamRange> {
    let low = LOW_RAM_END.0;
    let mut ranges = Vec::new();
    let below = len.min(low.saturating_sub(offset));
    if below > 0 {
        ranges.push(RamRange { base: Gpa(offset), len: below, node, file_offset: offset });
    }
    if len > below {
        let file_offset = offset + below;
        let base = Gpa(HIGH_RAM_BASE.0 + (file_offset - low));
        ranges.push(RamRange { base, len: len - below, node, file_offset });
    }
    ranges
}
