//! SLIT and HMAT: what Linux's `slit_valid` and its HMAT driver accept.

use super::Finding;
use super::walk::{Body, Cell};
use crate::spec::{
    HmatFixed, MEMORY_PROXIMITY, MemoryProximity, SYSTEM_LOCALITY, SlitFixed, SystemLocality,
};
use pangea_topology::Topology;

/// One row and column per node, 10 on the diagonal and nowhere else below 11, symmetric.
pub(super) fn slit(slit: Body<'_>, topology: &Topology) -> Result<(), Finding> {
    let nodes = topology.nodes().len();
    let found = slit.at::<SlitFixed>(0)?.localities.get();
    if found != nodes as u64 {
        return Err(broken("SLIT", 0, 0, found, "the rows are not as many as the nodes"));
    }
    let matrix = slit.slice(size_of::<SlitFixed>(), nodes * nodes)?;
    let at = |from: usize, to: usize| matrix.get(from * nodes + to).copied().unwrap_or(0);
    for from in 0..nodes {
        for to in 0..nodes {
            let value = at(from, to);
            let rule = match value {
                _ if value != at(to, from) => "it is another the other way",
                _ if from == to && value != 10 => "a node's distance to itself must be 10",
                _ if from != to && !(11..=254).contains(&value) => "it must be 11 to 254",
                _ => continue,
            };
            return Err(broken("SLIT", from as u32, to as u32, u64::from(value), rule));
        }
    }
    Ok(())
}

/// Every structure whole; only nodes of the map; no entry that means "nothing is known".
pub(super) fn hmat(hmat: Body<'_>, topology: &Topology) -> Result<(), Finding> {
    for (kind, part) in hmat.wide_structures(size_of::<HmatFixed>())? {
        match kind {
            MEMORY_PROXIMITY => proximity(part, topology)?,
            SYSTEM_LOCALITY => locality(part, topology)?,
            _ => {}
        }
    }
    Ok(())
}

fn proximity(part: Body<'_>, topology: &Topology) -> Result<(), Finding> {
    let at: &MemoryProximity = part.at(0)?;
    let (from, to) = (at.initiator.get(), at.memory.get());
    let has_ram = topology.nodes().get(to as usize).is_some_and(|n| !n.ram.is_empty());
    if has_ram {
        return Ok(());
    }
    Err(broken("HMAT", from, to, u64::from(at.flags.get()), "its target has no memory"))
}

fn locality(part: Body<'_>, topology: &Topology) -> Result<(), Finding> {
    let base = part.at::<SystemLocality>(0)?.base_unit.get();
    let known = |node: u32| (node as usize) < topology.nodes().len();
    for Cell { from, to, entry } in part.matrix()?.into_iter().flatten() {
        // The product is what Linux computes in 32 bits.
        let value = u64::from(entry).saturating_mul(base);
        let rule = match entry {
            _ if !known(from) || !known(to) => "there is no such node",
            0 | 0xFFFF => "entries 0 and 65535 mean that nothing is known",
            _ if value > u64::from(u32::MAX) => "Linux drops what exceeds 32 bits",
            _ => continue,
        };
        return Err(broken("HMAT", from, to, value, rule));
    }
    Ok(())
}

fn broken(table: &str, from: u32, to: u32, value: u64, rule: &'static str) -> Finding {
    Finding::Distance { table: table.to_owned(), from, to, value, rule }
}
