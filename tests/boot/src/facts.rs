//! What a guest must say of itself, computed from its bundle: the lines of the test program's
//! `report`, to be compared with what it said.
//!
//! ```text
//! cpus 2                                     as many as the cluster has
//! cpu 1 apic 1 node 1                        in the order of the APIC IDs
//! node 1 cpus 1 distance 20 10 present-pages 131072
//! node 1 access0 initiators [1] read_latency 100 ...   as HMAT tells, in ns and MB/s
//! acpi SRAT bytes 176 sha256 b61c...         byte for byte the bundle's
//! ```
//! Of the memory only whole pages count, and Linux on x86 never uses the page at 0.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use pangea_manifest::{Bundle, BundleError, files};
use pangea_topology::{E820Kind, NodeId, NodeMap, PAGE_SIZE};
use sha2::{Digest, Sha256};

/// Tables that Linux uses but doesn't show in `/sys/firmware/acpi/tables`.
const UNSEEN: [&str; 2] = ["RSDP", "XSDT"];
/// What the lines that are compared begin with.
const WORDS: [&str; 5] = ["cpus ", "cpu ", "nodes ", "node ", "acpi "];

/// What the guest of a bundle must report, a line each.
pub fn expected(bundle: &Bundle, directory: &Path) -> Result<String, BundleError> {
    let topology = bundle.topology();
    let nodes = topology.nodes();
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(text, "cpus {}", topology.vcpus());
    for node in nodes {
        for cpu in node.apic_ids.clone() {
            let _ = writeln!(text, "cpu {cpu} apic {cpu} node {}", node.id.index());
        }
    }
    let _ = writeln!(text, "nodes {}", nodes.len());
    for node in nodes {
        describe(&mut text, bundle, node);
    }
    for (signature, bytes) in tables(directory)? {
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "acpi {signature} bytes {} sha256 {sum}", bytes.len());
    }
    Ok(text)
}

/// The same lines, of what the guest printed on its console.
pub fn reported(console: &str) -> String {
    let mut text = String::new();
    for line in console.lines().map(str::trim_end) {
        if WORDS.iter().any(|word| line.starts_with(word)) {
            // How much of its memory Linux keeps for itself is its own affair.
            text.push_str(line.split(" memtotal-kib").next().unwrap_or(line));
            text.push('\n');
        }
    }
    text
}

fn describe(text: &mut String, bundle: &Bundle, node: &NodeMap) {
    let links = &bundle.cluster().links;
    let nodes = bundle.topology().nodes();
    let distances: Vec<String> =
        nodes.iter().map(|other| links.distance(node.id, other.id).to_string()).collect();
    let _ = writeln!(
        text,
        "node {} cpus {} distance {} present-pages {}",
        node.id.index(),
        cpulist(node),
        distances.join(" "),
        pages(bundle, node),
    );
    if node.ram.is_empty() {
        return;
    }
    // Linux finds these once, while it boots: class 0 by the tables alone, class 1 by the CPUs that
    // it has started by then.
    let booted = boot_cpus(bundle);
    for (class, cpus) in [("access0", u32::MAX), ("access1", booted)] {
        let from = initiators(bundle, node, cpus);
        let Some(&nearest) = from.first() else { continue };
        let (latency, bandwidth) =
            (links.latency_ns(nearest, node.id), links.bandwidth_mbps(nearest, node.id));
        let from: Vec<usize> = from.iter().map(|node| node.index()).collect();
        let _ = writeln!(
            text,
            "node {} {class} initiators {from:?} read_latency {latency} write_latency {latency} \
             read_bandwidth {bandwidth} write_bandwidth {bandwidth}",
            node.id.index(),
        );
    }
}

/// How many CPUs the guest's kernel starts by itself.
fn boot_cpus(bundle: &Bundle) -> u32 {
    // The last one counts.
    let words = bundle.command_line().rsplit(' ');
    let mut limits = words.filter_map(|word| word.strip_prefix("maxcpus=")?.parse().ok());
    limits.next().unwrap_or(u32::MAX)
}

/// As `/sys/devices/system/node/nodeN/cpulist` has it; the test program writes none as `-`.
fn cpulist(node: &NodeMap) -> String {
    let (first, last) = (node.apic_ids.start, node.apic_ids.end.saturating_sub(1));
    match node.apic_ids.len() {
        0 => "-".to_owned(),
        1 => first.to_string(),
        _ => format!("{first}-{last}"),
    }
}

/// Nodes that are nearest to a node's memory, of those with one of the first `cpus` CPUs: itself if
/// it is one of them.
fn initiators(bundle: &Bundle, node: &NodeMap, cpus: u32) -> Vec<NodeId> {
    let counts = |node: &NodeMap| !node.apic_ids.is_empty() && node.apic_ids.start < cpus;
    if counts(node) {
        return vec![node.id];
    }
    let links = &bundle.cluster().links;
    let mut by_latency: BTreeMap<u64, Vec<NodeId>> = BTreeMap::new();
    for other in bundle.topology().nodes().iter().filter(|other| counts(other)) {
        by_latency.entry(links.latency_ns(other.id, node.id)).or_default().push(other.id);
    }
    by_latency.into_values().next().unwrap_or_default()
}

/// Whole pages of RAM that e820 gives to Linux within a node's ranges.
fn pages(bundle: &Bundle, node: &NodeMap) -> u64 {
    let usable = bundle.topology().e820().iter().filter(|entry| entry.kind == E820Kind::Ram);
    let overlaps = usable.flat_map(|entry| {
        node.ram.iter().map(|ram| {
            let start = entry.base.0.max(ram.base.0).max(PAGE_SIZE).div_ceil(PAGE_SIZE);
            let end = (entry.base.0 + entry.len).min(ram.base.0 + ram.len) / PAGE_SIZE;
            end.saturating_sub(start)
        })
    });
    overlaps.sum()
}

/// The bundle's tables that a guest shows, by signature.
fn tables(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let directory = directory.join(files::ACPI_DIR);
    let read = |path: &Path| {
        std::fs::read(path).map_err(|cause| BundleError::Read { path: path.to_owned(), cause })
    };
    let entries = std::fs::read_dir(&directory)
        .map_err(|cause| BundleError::Read { path: directory.clone(), cause })?;
    let mut tables = BTreeMap::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let signature = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let table = path.extension().is_some_and(|extension| extension == "aml");
        if table && !UNSEEN.contains(&signature.as_str()) {
            tables.insert(signature, read(&path)?);
        }
    }
    Ok(tables)
}
