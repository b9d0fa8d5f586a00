//! MADT and SRAT: every CPU once, each in its node; the RAM ranges of the map and no others.

use super::walk::Body;
use super::{Finding, walk::same};
use crate::spec::{
    AFFINITY_ENABLED, LOCAL_X2APIC, LocalX2apic, MEMORY_AFFINITY, MadtFixed, MemoryAffinity,
    PROCESSOR_ENABLED, SratFixed, X2APIC_AFFINITY, X2apicAffinity,
};
use pangea_topology::{ApicId, E820Kind, Gpa, Topology};
use std::collections::BTreeMap;

/// The MADT has each CPU once, enabled, with its `_UID`.
pub(super) fn processors(madt: Body<'_>, topology: &Topology) -> Result<(), Finding> {
    let mut found = BTreeMap::new();
    for (kind, entry) in madt.structures(size_of::<MadtFixed>())? {
        if kind == LOCAL_X2APIC {
            let cpu: &LocalX2apic = entry.at(0)?;
            let id = cpu.x2apic_id.get();
            let text = format!("uid {}, flags {}", cpu.uid.get(), cpu.flags.get());
            once(&mut found, "APIC", id, text)?;
        }
    }
    let expected = |id: u32| format!("uid {id}, flags {PROCESSOR_ENABLED}");
    cpus("APIC", &found, topology, expected)
}

/// The SRAT has each CPU once, in its node, and exactly the map's RAM, which covers all that e820
/// tells as RAM.
pub(super) fn domains(srat: Body<'_>, topology: &Topology) -> Result<(), Finding> {
    let (mut found, mut ranges) = (BTreeMap::new(), Vec::new());
    for (kind, entry) in srat.structures(size_of::<SratFixed>())? {
        match kind {
            X2APIC_AFFINITY => {
                let cpu: &X2apicAffinity = entry.at(0)?;
                let (id, node) = (cpu.x2apic_id.get(), cpu.proximity_domain.get());
                once(&mut found, "SRAT", id, node_text(node, cpu.flags.get()))?;
            }
            MEMORY_AFFINITY => ranges.push(*entry.at::<MemoryAffinity>(0)?),
            _ => {}
        }
    }
    let node_of = |id: u32| topology.node_of(ApicId(id)).map_or(u32::MAX, |n| u32::from(n.0));
    cpus("SRAT", &found, topology, |id| node_text(node_of(id), AFFINITY_ENABLED))?;
    memory(&ranges, topology)
}

fn memory(ranges: &[MemoryAffinity], topology: &Topology) -> Result<(), Finding> {
    let text = |base: u64, bytes: u64, node: u32, flags: u32| {
        format!("{base:#x} + {bytes:#x}, {}", node_text(node, flags))
    };
    let found: Vec<String> = ranges
        .iter()
        .map(|r| text(r.base.get(), r.bytes.get(), r.proximity_domain.get(), r.flags.get()))
        .collect();
    let expected = topology.ram().iter();
    let expected: Vec<String> =
        expected.map(|r| text(r.base.0, r.len, u32::from(r.node.0), AFFINITY_ENABLED)).collect();
    let none = "none".to_owned();
    for index in 0..found.len().max(expected.len()) {
        let (f, e) = (found.get(index).unwrap_or(&none), expected.get(index).unwrap_or(&none));
        same(f, e, |_, _| Finding::Memory { index, expected: e.clone(), found: f.clone() })?;
    }
    covers(ranges, topology)
}

/// Linux gives up on an SRAT that leaves RAM of the e820 map without a node.
fn covers(ranges: &[MemoryAffinity], topology: &Topology) -> Result<(), Finding> {
    for (index, ram) in topology.e820().iter().filter(|e| e.kind != E820Kind::Reserved).enumerate()
    {
        let (mut at, end) = (ram.base.0, ram.base.0 + ram.len);
        for range in ranges {
            let base = range.base.get();
            if base <= at {
                at = at.max(base.saturating_add(range.bytes.get()));
            }
        }
        if at < end {
            let expected = format!("e820 memory {} + {:#x} in some node", ram.base, ram.len);
            let found = format!("in none from {} on", Gpa(at));
            return Err(Finding::Memory { index, expected, found });
        }
    }
    Ok(())
}

fn node_text(node: u32, flags: u32) -> String {
    format!("node {node}, flags {flags}")
}

fn once(
    found: &mut BTreeMap<u32, String>,
    table: &str,
    apic_id: u32,
    text: String,
) -> Result<(), Finding> {
    match found.insert(apic_id, text.clone()) {
        None => Ok(()),
        Some(first) => Err(Finding::Cpu {
            table: table.to_owned(),
            apic_id,
            expected: "there once".to_owned(),
            found: format!("there as {first} and as {text}"),
        }),
    }
}

/// Exactly the map's CPUs, each as expected.
fn cpus(
    table: &str,
    found: &BTreeMap<u32, String>,
    topology: &Topology,
    expected: impl Fn(u32) -> String,
) -> Result<(), Finding> {
    let none = "none".to_owned();
    let known = 0..topology.vcpus();
    for apic_id in known.clone().chain(found.keys().copied().filter(|id| !known.contains(id))) {
        let found = found.get(&apic_id).unwrap_or(&none).clone();
        let expected = if known.contains(&apic_id) { expected(apic_id) } else { none.clone() };
        if found != expected {
            return Err(Finding::Cpu { table: table.to_owned(), apic_id, expected, found });
        }
    }
    Ok(())
}
