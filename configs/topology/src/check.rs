//! The limits, enforced: the one place that decides whether a description is a cluster.
//!
//! It finds everything that is wrong, not just the first: a user mends a file once.

use crate::limits::{
    BANDWIDTH_MBPS, DISTANCE, LATENCY_NS, MAX_COMMAND_LINE, MAX_MEMORY, MAX_NODES, MAX_VCPUS,
    MEMORY_ALIGNMENT, MIN_ROOT_MEMORY, PEER_DEADLINE_MS,
};
use crate::units::{Bytes, Mbps, Nanos};
use crate::violation::{Found, quoted};
use crate::{Cluster, Guest, Link, Node, NodeId, Violation, names};
use std::collections::BTreeMap;

impl Cluster {
    /// Is this a cluster? The first thing that speaks against it.
    pub fn check(&self) -> Result<(), Violation> {
        self.violations().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that speaks against this being a cluster, in the order of the file.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Found::default();
        if let Err((limit, help)) = names::name(&self.name) {
            found.add("name", quoted(&self.name), limit, help);
        }
        self.guest.check(&mut found);
        self.check_nodes(&mut found);
        self.check_links(&mut found);
        let deadline = self.failure.peer_deadline_ms;
        if !PEER_DEADLINE_MS.contains(&deadline) {
            let (min, max) = (PEER_DEADLINE_MS.start(), PEER_DEADLINE_MS.end() / 1000);
            found.add(
                "failure.peer-deadline",
                format!("{deadline} ms"),
                format!("a deadline is {min} ms to {max} s"),
                "800 ms, the default, stops the guest within a second of losing a node",
            );
        }
        found.into_violations()
    }

    fn check_nodes(&self, found: &mut Found) {
        let count = self.nodes.len();
        if count == 0 {
            found.add(
                "nodes",
                "no node",
                "a cluster has at least one node",
                "add one: `- { name: a, address: 127.0.0.1, vcpus: 1, memory: 512 MiB }`",
            );
            return;
        }
        if count > MAX_NODES {
            found.add(
                format!("nodes[{MAX_NODES}]"),
                format!("{count} nodes in all, past the limit from here"),
                format!("a cluster has at most {MAX_NODES} nodes"),
                "make fewer, larger nodes",
            );
            return;
        }
        let mut names = BTreeMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            node.check(i, found);
            if let Some(first) = names.insert(&node.name, i) {
                names.insert(&node.name, first);
                found.add(
                    format!("nodes[{i}].name"),
                    quoted(&node.name),
                    "a node's name is its own",
                    "give one of the two another name",
                );
                found.other(format!("nodes[{first}].name"));
            }
        }
        self.check_order(found);
        self.check_totals(found);
    }

    /// A node's place in the file is its number in the guest only where memory-only nodes come last:
    /// Linux numbers proximity domains as it meets them in the SRAT, those of all processors before
    /// those of any memory, whatever the order of the entries (`acpi_numa_init`).
    fn check_order(&self, found: &mut Found) {
        let Some(last) = self.nodes.iter().rposition(|n| n.vcpus > 0) else { return };
        // A first node without vCPUs is refused as the root node.
        for (i, node) in self.nodes.iter().enumerate().take(last).skip(1) {
            if node.vcpus == 0 && node.memory > 0 {
                found.add(
                    format!("nodes[{i}].vcpus"),
                    "0 vCPUs",
                    "nodes without vCPUs are listed last: Linux gives them the last numbers",
                    format!("move it below {}, or give it vCPUs", quoted(&self.nodes[last].name)),
                );
            }
        }
    }

    fn check_totals(&self, found: &mut Found) {
        let limit = u128::from(MAX_VCPUS);
        if let Some((i, vcpus)) = self.past(limit, |n| n.vcpus.into()) {
            found.add(
                format!("nodes[{i}].vcpus"),
                format!("{vcpus} vCPUs in all, past the limit from here"),
                format!("a cluster has at most {MAX_VCPUS} vCPUs"),
                format!("take {} away", vcpus - limit),
            );
        }
        let limit = u128::from(MAX_MEMORY);
        if let Some((i, memory)) = self.past(limit, |n| n.memory.into()) {
            found.add(
                format!("nodes[{i}].memory"),
                format!("{} in all, past the limit from here", Bytes(memory)),
                format!("a cluster has at most {}", Bytes(limit)),
                format!("take {} away", Bytes(memory - limit)),
            );
        }
    }

    /// The node with which a sum over the nodes passes its limit, and the sum over all.
    fn past(&self, limit: u128, part: impl Fn(&Node) -> u128) -> Option<(usize, u128)> {
        let mut sum = 0;
        let first = self.nodes.iter().position(|node| {
            sum += part(node);
            sum > limit
        });
        Some((first?, self.nodes.iter().map(part).sum()))
    }

    fn check_links(&self, found: &mut Found) {
        self.links.default_link().check("links.default", found);
        let mut last: Option<[NodeId; 2]> = None;
        for (i, pair) in self.links.pairs().iter().enumerate() {
            let ([a, b], field) = (pair.between, format!("links.pairs[{i}]"));
            pair.link.check(&field, found);
            let between = format!("{field}.between");
            let value = format!("[{}, {}]", a.0, b.0);
            if let Some(n) = [a, b].into_iter().find(|n| n.index() >= self.nodes.len()) {
                found.add(
                    between,
                    value,
                    format!("there are {} nodes, so no {n}", self.nodes.len()),
                    "name two nodes of this cluster",
                );
            } else if a == b {
                found.add(
                    between,
                    value,
                    "a pair is two different nodes",
                    "name the other node, or remove the pair",
                );
            } else if a > b || last.is_some_and(|l| l >= pair.between) {
                found.add(
                    between,
                    value,
                    "pairs are listed once, lower node first, ascending",
                    "sort them",
                );
            }
            last = Some(pair.between);
        }
    }
}

impl Guest {
    fn check(&self, found: &mut Found) {
        let line = &self.command_line;
        if line.len() > MAX_COMMAND_LINE {
            found.add(
                "guest.command-line",
                format!("{} bytes", line.len()),
                format!("at most {MAX_COMMAND_LINE} bytes are added to the default command line"),
                "shorten it",
            );
        }
        if let Some(odd) = line.chars().find(|c| !matches!(c, ' '..='~')) {
            found.add(
                "guest.command-line",
                format!("{odd:?}"),
                "a command line is printable ASCII on one line",
                "remove that character",
            );
        }
        for (field, path) in [("guest.kernel", &self.kernel), ("guest.initrd", &self.initrd)] {
            if path.as_ref().is_some_and(|p| p.as_os_str().is_empty()) {
                found.add(
                    field,
                    quoted(""),
                    "a path isn't empty",
                    "name a file, or remove the key to use the distribution's",
                );
            }
        }
    }
}

impl Node {
    fn check(&self, i: usize, found: &mut Found) {
        let field = |key: &str| format!("nodes[{i}].{key}");
        if let Err((limit, help)) = names::name(&self.name) {
            found.add(field("name"), quoted(&self.name), limit, help);
        }
        if let Err((limit, help)) = names::address(&self.address) {
            found.add(field("address"), quoted(&self.address), limit, help);
        }
        let memory = Bytes(self.memory.into());
        if !self.memory.is_multiple_of(MEMORY_ALIGNMENT) {
            let units = (self.memory / MEMORY_ALIGNMENT)
                + u64::from(self.memory % MEMORY_ALIGNMENT > MEMORY_ALIGNMENT / 2);
            let near = Bytes(u128::from(units.max(1)) * u128::from(MEMORY_ALIGNMENT));
            found.add(
                field("memory"),
                memory.to_string(),
                format!("memory is a multiple of {}", Bytes(MEMORY_ALIGNMENT.into())),
                format!("the nearest is {near}"),
            );
        }
        if i == 0 && self.vcpus == 0 {
            found.add(
                field("vcpus"),
                "0 vCPUs",
                "the first node is the root node: it has the boot CPU",
                "give it at least 1 vCPU, or put another node first",
            );
        }
        if i == 0 && self.memory < MIN_ROOT_MEMORY {
            let least = Bytes(MIN_ROOT_MEMORY.into());
            found.add(
                field("memory"),
                memory.to_string(),
                format!("the first node is the root node: it needs {least}"),
                format!("give it at least {least}, or put another node first"),
            );
        }
        if i != 0 && self.vcpus == 0 && self.memory == 0 {
            found.add(
                format!("nodes[{i}]"),
                "neither vCPUs nor memory",
                "a node has vCPUs, memory or both",
                "give it some, or remove it",
            );
        }
    }
}

impl Link {
    fn check(&self, field: &str, found: &mut Found) {
        let at = |key: &str| format!("{field}.{key}");
        if !DISTANCE.contains(&self.distance) {
            found.add(
                at("distance"),
                self.distance.to_string(),
                format!("a distance is {} to {}", DISTANCE.start(), DISTANCE.end()),
                "10 is a node's distance to itself, 100 the default to another",
            );
        }
        if !LATENCY_NS.contains(&self.latency_ns) {
            let (min, max) = (Nanos(*LATENCY_NS.start()), Nanos(*LATENCY_NS.end()));
            found.add(
                at("latency"),
                Nanos(self.latency_ns).to_string(),
                format!("a latency is {min} to {max}"),
                "use what a page fetch over this link takes",
            );
        }
        if !BANDWIDTH_MBPS.contains(&self.bandwidth_mbps) {
            let (min, max) = (Mbps(*BANDWIDTH_MBPS.start()), Mbps(*BANDWIDTH_MBPS.end()));
            found.add(
                at("bandwidth"),
                Mbps(self.bandwidth_mbps).to_string(),
                format!("a bandwidth is {min} to {max}"),
                "use what the link carries",
            );
        }
    }
}
