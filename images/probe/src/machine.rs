//! The machine as the kernel shows it: which CPUs and memory are on which node.

use crate::cpu;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const NODES: &str = "/sys/devices/system/node";

/// CPUs that this process may use, and nodes with memory.
#[derive(Debug)]
pub(crate) struct Machine {
    /// CPU -> its node.
    cpus: BTreeMap<u32, u32>,
    memory: Vec<u32>,
}

impl Machine {
    pub(crate) fn read() -> Result<Machine, String> {
        cpu::unbind()?;
        let allowed: BTreeSet<u32> = cpu::allowed().into_iter().collect();
        let mut cpus: BTreeMap<u32, u32> = allowed.iter().map(|cpu| (*cpu, 0)).collect();
        for node in nodes() {
            for cpu in list(&format!("{NODES}/node{node}/cpulist")) {
                cpus.entry(cpu).and_modify(|its| *its = node);
            }
        }
        let mut memory = list(&format!("{NODES}/has_memory"));
        if memory.is_empty() {
            // A kernel without NUMA has all its memory on what we call node 0.
            memory.push(0);
        }
        if cpus.is_empty() {
            return Err("the kernel lets this process use no CPU".into());
        }
        Ok(Machine { cpus, memory })
    }

    pub(crate) fn first_cpu(&self) -> Result<u32, String> {
        self.cpus.keys().next().copied().ok_or_else(|| "no CPU is left to run on".into())
    }

    /// All CPUs, lowest first.
    pub(crate) fn cpus(&self) -> Vec<u32> {
        self.cpus.keys().copied().collect()
    }

    /// The node of a CPU.
    pub(crate) fn node_of(&self, cpu: u32) -> Option<u32> {
        self.cpus.get(&cpu).copied()
    }

    /// The nodes with memory.
    pub(crate) fn memory(&self) -> &[u32] {
        &self.memory
    }

    /// The first CPU of each node that has any: (node, CPU).
    pub(crate) fn one_cpu_each(&self) -> Vec<(u32, u32)> {
        let mut first = BTreeMap::new();
        for (cpu, node) in &self.cpus {
            first.entry(*node).or_insert(*cpu);
        }
        first.into_iter().collect()
    }

    /// At most `limit` CPUs, taken from the nodes in turn: what crosses nodes comes first.
    pub(crate) fn spread(&self, limit: usize) -> Vec<u32> {
        let mut by_node: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (cpu, node) in &self.cpus {
            by_node.entry(*node).or_default().push(*cpu);
        }
        let most = by_node.values().map(Vec::len).max().unwrap_or(0);
        let in_turn = (0..most).flat_map(|i| by_node.values().filter_map(move |cpus| cpus.get(i)));
        in_turn.copied().take(limit).collect()
    }
}

/// The nodes that are online.
pub(crate) fn nodes() -> Vec<u32> {
    list(&format!("{NODES}/online"))
}

/// The trimmed text of a small file; empty where there is none.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// A list as the kernel writes it: `0-3,8`.
pub(crate) fn list(path: &str) -> Vec<u32> {
    parse_list(&text(path))
}

fn parse_list(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.trim().parse::<u32>().ok()?..=to.trim().parse::<u32>().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duo() -> Machine {
        Machine { cpus: [(0, 0), (1, 0), (2, 1), (3, 1)].into(), memory: vec![0, 1] }
    }

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("0-2,8"), [0, 1, 2, 8]);
        assert_eq!(parse_list(""), [] as [u32; 0]);
    }

    #[test]
    fn cpus_of_different_nodes_come_first() {
        assert_eq!(duo().spread(3), [0, 2, 1]);
        assert_eq!(duo().one_cpu_each(), [(0, 0), (1, 2)]);
    }
}
