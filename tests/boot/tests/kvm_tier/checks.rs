//! What a run must have left: the guest's lines, a node's counters, its last error.

use pangea_topology::Topology;

/// The guest's console says all that a cluster of this shape must, and passed.
pub(crate) fn console(console: &str, topology: &Topology) {
    let lines: Vec<&str> = console.lines().collect();
    assert_eq!(lines.last(), Some(&"testguest: passed"), "{console}");
    let nodes = topology.nodes();
    let cpus: Vec<(u32, u8)> =
        nodes.iter().flat_map(|node| node.apic_ids.clone().map(|id| (id, node.id.0))).collect();
    let memory: Vec<_> = topology.ram().iter().map(|range| range.node.0).collect();

    let mut expected = Vec::new();
    for range in topology.ram() {
        let (start, end) = (range.base.0, range.base.0 + range.len);
        expected.push(format!("memory {start:#x}-{end:#x}: node {}", range.node.0));
    }
    for (cpu, node) in &cpus {
        expected.push(format!("cpu {cpu}: apic id {cpu}, node {node}"));
        for what in ["pm timer by cpu", "rtc by cpu", "serial interrupts at cpu"] {
            expected.push(format!("{what} {cpu}: "));
        }
        expected.push(format!("cpu {cpu} speaks for itself"));
        for what in ["all but self", "logical destinations"] {
            expected.push(format!("ipi cpu {cpu} to {what}: 20 each"));
        }
    }
    for (cpu, _) in &cpus[1..] {
        for page in ["0x12000", "0x8d000"] {
            expected.push(format!("cpu {cpu} started at {page}: x2apic id {cpu}, cpuid id {cpu}"));
        }
        expected.push(format!("cpu {cpu} restarted 4 times, and answers"));
    }
    for ring in [0, 3] {
        for node in &memory {
            let count = if ring == 0 { 2_000 } else { 200_000 };
            let (cpus, total) = (cpus.len(), cpus.len() * count);
            expected
                .push(format!("xadd in ring {ring} on node {node}: {cpus} x {count} = {total}"));
        }
    }
    let others = |cpu: u32| cpus.iter().map(|(id, _)| *id).filter(move |id| *id != cpu);
    for (from, to) in cpus.iter().flat_map(|(from, _)| others(*from).map(move |to| (from, to))) {
        expected.push(format!("ipi cpu {from} to cpu {to}: 100 pings, 100 pongs"));
        expected.push(format!("nmi cpu {from} to cpu {to}: 20"));
        for (ring, kib) in [(0, 64), (3, 1024)] {
            for node in &memory {
                expected.push(format!(
                    "pattern in ring {ring} cpu {from} to cpu {to} on node {node}: {kib} KiB right"
                ));
                let seen = 20 * memory.len();
                expected.push(format!(
                    "messages in ring {ring} cpu {from} to cpu {to}, data on node {node}: \
                     {seen} seen, none stale"
                ));
            }
        }
    }
    for expected in expected {
        let line = format!("testguest: {expected}");
        let said = lines.iter().any(|said| said.starts_with(&line));
        assert!(said, "the guest doesn't say {line:?}:\n{console}");
    }
    let clock =
        format!("testguest: clock: handed over {} times, never backwards", 100 * cpus.len());
    let skipped = "testguest: clock skipped: no kvmclock";
    assert!(lines.iter().any(|l| l.starts_with(&clock) || *l == skipped), "{console}");
}

/// A node's counters, as JSON: it was one machine, and this node a part of it.
pub(crate) fn counters(json: &str, topology: &Topology, node: usize) {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let number = |path: &str| {
        let number = value.pointer(path).and_then(serde_json::Value::as_u64);
        number.unwrap_or_else(|| panic!("no number {path} in {json}"))
    };
    let sum = |what: &str| -> u64 {
        let nodes = 0..topology.nodes().len();
        nodes.map(|peer| number(&format!("/pages/peers/{peer}/{what}"))).sum()
    };
    let with_cpus = topology.nodes().iter().filter(|node| !node.apic_ids.is_empty()).count();
    let me = &topology.nodes()[node];
    assert_eq!((number("/exit_code"), number("/traffic/refused")), (0, 0), "{json}");
    assert!(sum("pages_in") + sum("pages_out") > 0, "no page came or went: {json}");
    if !me.apic_ids.is_empty() {
        let faults = sum("reads") + sum("writes") + sum("upgrades");
        assert!(faults > 0, "no remote fault: {json}");
    }
    if !me.apic_ids.is_empty() && with_cpus > 1 {
        // Each pair of CPUs sends 200 to and fro, both ways.
        let [out, come] = ["out", "in"].map(|way| number(&format!("/traffic/interrupts_{way}")));
        assert!(out > 200 && come > 200, "interrupts out {out}, in {come}: {json}");
        let accesses = number("/traffic/accesses");
        assert_eq!(accesses > 0, node > 0, "the root node has the devices: {json}");
    }
}

/// The line that says why a node failed, and what follows it.
pub(crate) fn error(log: &str) -> &str {
    log.find("error: ").map_or("", |at| &log[at..])
}
