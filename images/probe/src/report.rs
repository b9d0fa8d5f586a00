//! What the guest sees of itself, as facts that a test compares with the cluster file.

use crate::args::Args;
use crate::kmsg;
use crate::machine::{self, Machine, text};
use crate::{Outcome, cpu};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;

const NODES: &str = "/sys/devices/system/node";
const TABLES: &str = "/sys/firmware/acpi/tables";
const CLOCKS: &str = "/sys/devices/system/clocksource/clocksource0";
/// Kernel messages about what the ACPI tables told, and about time.
const TOPICS: [&str; 10] =
    ["SRAT", "SLIT", "HMAT", "hmat", "NUMA", "clocksource", "x2apic", "tsc:", "kvm-clock", "smp:"];
/// What HMAT becomes in sysfs.
const PERFORMANCE: [&str; 4] =
    ["read_latency", "write_latency", "read_bandwidth", "write_bandwidth"];

pub(crate) fn run(_args: &Args, machine: &Machine) -> Outcome {
    println!("kernel {}", text("/proc/sys/kernel/osrelease"));
    println!("cmdline {}", text("/proc/cmdline"));
    println!("uptime {}", text("/proc/uptime"));
    println!(
        "clocksource {} of {}",
        text(&format!("{CLOCKS}/current_clocksource")),
        text(&format!("{CLOCKS}/available_clocksource"))
    );
    cpus(machine)?;
    let present = present(&text("/proc/zoneinfo"));
    println!("nodes {}", machine::nodes().len());
    for node in machine::nodes() {
        let dir = format!("{NODES}/node{node}");
        println!(
            "node {node} cpus {} distance {} present-pages {} memtotal-kib {}",
            empty_as_dash(text(&format!("{dir}/cpulist"))),
            text(&format!("{dir}/distance")),
            present.get(&node).unwrap_or(&0),
            memtotal(&text(&format!("{dir}/meminfo"))),
        );
        performance(node);
    }
    tables()?;
    let messages = kmsg::read();
    for line in messages.iter().flatten() {
        if TOPICS.iter().any(|topic| line.contains(topic)) {
            println!("dmesg {line}");
        }
    }
    kmsg::complaints(&messages);
    Ok(())
}

fn cpus(machine: &Machine) -> Outcome {
    let apic_ids = apic_ids(&text("/proc/cpuinfo"));
    println!("cpus {}", apic_ids.len());
    for (cpu, apic) in &apic_ids {
        match machine.node_of(*cpu) {
            Some(node) => println!("cpu {cpu} apic {apic} node {node}"),
            None => println!("cpu {cpu} apic {apic} not-ours"),
        }
    }
    // Each CPU that is there must run a thread.
    for cpu in machine.cpus() {
        cpu::pin(cpu)?;
    }
    machine.first_cpu().and_then(cpu::pin)
}

/// CPU -> initial APIC ID, from /proc/cpuinfo.
fn apic_ids(cpuinfo: &str) -> BTreeMap<u32, u32> {
    let mut ids = BTreeMap::new();
    let mut cpu = None;
    for (key, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        match (key.trim(), value.trim().parse::<u32>()) {
            ("processor", Ok(number)) => cpu = Some(number),
            ("apicid", Ok(id)) => ids.extend(cpu.map(|cpu| (cpu, id))),
            _ => {}
        }
    }
    ids
}

/// Node -> pages that exist, holes left out: `present` summed over its zones.
fn present(zoneinfo: &str) -> BTreeMap<u32, u64> {
    let mut pages = BTreeMap::new();
    let mut node = None;
    for line in zoneinfo.lines() {
        if let Some(rest) = line.strip_prefix("Node ") {
            node = rest.split(',').next().and_then(|number| number.trim().parse::<u32>().ok());
        } else if let (Some(node), Some(count)) = (node, line.trim().strip_prefix("present ")) {
            *pages.entry(node).or_default() += count.trim().parse::<u64>().unwrap_or(0);
        }
    }
    pages
}

/// `Node 0 MemTotal:  1000 kB` -> 1000.
fn memtotal(meminfo: &str) -> u64 {
    let line = meminfo.lines().find(|line| line.contains("MemTotal:")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Latency (ns) and bandwidth (MB/s) from the best initiators, of any class and of CPUs.
fn performance(node: u32) {
    for class in ["access0", "access1"] {
        let dir = format!("{NODES}/node{node}/{class}/initiators");
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut from: Vec<u32> =
            names.filter_map(|name| name.strip_prefix("node")?.parse().ok()).collect();
        from.sort_unstable();
        let values = PERFORMANCE.map(|name| format!("{name} {}", text(&format!("{dir}/{name}"))));
        println!("node {node} {class} initiators {from:?} {}", values.join(" "));
    }
}

fn tables() -> Outcome {
    let Ok(entries) = fs::read_dir(TABLES) else {
        println!("acpi none");
        return Ok(());
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    for path in files {
        let bytes =
            fs::read(&path).map_err(|error| format!("can't read {}: {error}", path.display()))?;
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!("acpi {name} bytes {} sha256 {hash}", bytes.len());
    }
    Ok(())
}

fn empty_as_dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apic_ids_are_those_of_their_cpu() {
        let text = "processor\t: 0\nmodel : 1\napicid\t\t: 0\ninitial apicid\t: 0\n\n\
                    processor\t: 1\napicid\t\t: 256\n";
        assert_eq!(apic_ids(text), [(0, 0), (1, 256)].into());
    }

    #[test]
    fn present_pages_are_summed_over_zones() {
        let text = "Node 0, zone      DMA\n  pages free     1\n        spanned  4095\n        \
                    present  3998\n        managed  3840\nNode 0, zone    DMA32\n        \
                    present  100\nNode 1, zone   Normal\n        present  7\n";
        assert_eq!(present(text), [(0, 4098), (1, 7)].into());
        assert_eq!(memtotal("Node 1 MemTotal:        2048 kB\nNode 1 MemFree: 1 kB"), 2048);
    }
}
