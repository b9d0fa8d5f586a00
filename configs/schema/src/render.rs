//! The expanded configuration: a cluster as a file again, with every default written out. It parses
//! back to the same cluster.

use crate::VERSION;
use pangea_topology::units::{Bytes, Mbps, Nanos};
use pangea_topology::{Cluster, Link, NodeId};
use std::fmt::{self, Write};

/// The cluster as the text of a cluster file.
pub fn expanded(cluster: &Cluster) -> String {
    let mut out = String::new();
    // Writing to a String never fails.
    let _ = write(&mut out, cluster);
    out
}

fn write(out: &mut String, cluster: &Cluster) -> fmt::Result {
    writeln!(out, "version: {VERSION}\nname: {}", scalar(&cluster.name))?;

    let guest = &cluster.guest;
    writeln!(out, "guest:\n  os: {}\n  boot: {}", guest.os.name(), guest.boot.name())?;
    for (key, path) in [("kernel", &guest.kernel), ("initrd", &guest.initrd)] {
        match path {
            Some(path) => writeln!(out, "  {key}: {}", quoted(&path.to_string_lossy()))?,
            None => writeln!(out, "  # {key}: the distribution's")?,
        }
    }
    writeln!(out, "  command-line: {}", quoted(&guest.command_line))?;

    writeln!(out, "nodes:")?;
    for node in &cluster.nodes {
        let (name, address) = (scalar(&node.name), scalar(&node.address));
        writeln!(out, "  - name: {name}\n    address: {address}\n    vcpus: {}", node.vcpus)?;
        match node.memory {
            0 => writeln!(out, "    memory: 0")?,
            bytes => writeln!(out, "    memory: {}", Bytes(bytes.into()))?,
        }
    }

    writeln!(out, "links:\n  default:")?;
    link(out, "    ", cluster.links.default_link())?;
    if !cluster.links.pairs().is_empty() {
        writeln!(out, "  pairs:")?;
    }
    for pair in cluster.links.pairs() {
        let name = |id: NodeId| cluster.nodes.get(id.index()).map_or("", |n| n.name.as_str());
        let [a, b] = pair.between.map(|id| scalar(name(id)));
        writeln!(out, "    - between: [{a}, {b}]")?;
        link(out, "      ", pair.link)?;
    }
    let deadline = cluster.failure.peer_deadline_ms.saturating_mul(1_000_000);
    writeln!(out, "failure:\n  peer-deadline: {}", Nanos(deadline))
}

/// The keys of a link, each so far in.
fn link(out: &mut String, indent: &str, link: Link) -> fmt::Result {
    let Link { distance, latency_ns, bandwidth_mbps } = link;
    writeln!(out, "{indent}distance: {distance}")?;
    writeln!(out, "{indent}latency: {}", Nanos(latency_ns))?;
    writeln!(out, "{indent}bandwidth: {}", Mbps(bandwidth_mbps))
}

/// A name or address: as it is where YAML can't take it for anything else.
fn scalar(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    let special = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let number = text.parse::<f64>().is_ok();
    if word && !number && !special.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// In double quotes, with YAML's escapes (YAML 1.2.2 5.7 "Escaped Characters").
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out.push('"');
    out
}
