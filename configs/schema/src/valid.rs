//! From the raw shape to a [`Cluster`]: every value understood, every default filled in. All that is
//! wrong is collected; the limits come after, for they mean nothing where a value is missing.

use crate::nearest::{list, nearest};
use crate::pairs;
use crate::quantity::{self, Refusal};
use crate::raw::{RawCluster, RawGuest, RawLink, RawNode, Scalar};
use crate::report::Problem;
use crate::spans::Spans;
use pangea_topology::limits::DISTANCE;
use pangea_topology::{Boot, Cluster, Failure, Guest, Link, Node, Os};
use serde_saphyr::Spanned;

/// What has been understood so far: places, and problems.
pub(crate) struct Reading<'t> {
    pub(crate) spans: Spans<'t>,
    pub(crate) problems: Vec<Problem>,
}

/// The cluster and the places of its fields.
pub(crate) fn cluster(
    text: &str,
    raw: Spanned<RawCluster>,
) -> Result<(Cluster, Spans<'_>), Vec<Problem>> {
    let mut reading = Reading { spans: Spans::new(text), problems: Vec::new() };
    reading.spans.put("", &raw);
    let raw = raw.value;
    // Its value was looked at before the file was read as a whole.
    reading.required("version", raw.version, "write `version: 1` as the first line");
    let name = reading.required("name", raw.name, "give the cluster a name: `name: duo`");
    let guest = reading.guest(raw.guest.unwrap_or_default());
    let nodes = reading.nodes(raw.nodes);
    let links = pairs::links(&mut reading, raw.links.unwrap_or_default(), &nodes);
    let failure = reading.failure(raw.failure.unwrap_or_default().peer_deadline);
    if reading.problems.is_empty() {
        Ok((Cluster { name, guest, nodes, links, failure }, reading.spans))
    } else {
        Err(reading.problems)
    }
}

impl<'t> Reading<'t> {
    /// Something is wrong with a value.
    pub(crate) fn refuse<T>(&mut self, value: &Spanned<T>, label: String, why: Refusal) {
        let (title, help) = why;
        self.problems.push(Problem::new(title, self.spans.of(value), label, help));
    }

    /// A value that must be there; empty if it isn't.
    fn required(&mut self, path: &str, value: Scalar, help: &str) -> String {
        if let Some(value) = value {
            self.spans.put(path, &value);
            return value.value;
        }
        let key = path.rsplit('.').next().unwrap_or(path);
        let title = format!("`{key}` is missing or empty");
        let place = self.spans.get(path);
        self.problems.push(Problem::new(title, place, "it belongs here", help));
        String::new()
    }

    /// A value that may be left out, understood by `read`.
    pub(crate) fn optional<T>(
        &mut self,
        path: &str,
        value: Scalar,
        read: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let value = value?;
        self.spans.put(path, &value);
        read(&value.value)
            .map_err(|why| self.refuse(&value, format!("`{}`", value.value), why))
            .ok()
    }

    fn guest(&mut self, raw: RawGuest) -> Guest {
        let path = |text: &str| Ok(text.into());
        Guest {
            os: self.optional("guest.os", raw.os, os).unwrap_or_default(),
            boot: self.optional("guest.boot", raw.boot, boot).unwrap_or_default(),
            kernel: self.optional("guest.kernel", raw.kernel, path),
            initrd: self.optional("guest.initrd", raw.initrd, path),
            command_line: self
                .optional("guest.command-line", raw.command_line, |text| Ok(text.to_owned()))
                .unwrap_or_default(),
        }
    }

    fn nodes(&mut self, raw: Option<Spanned<Vec<Spanned<RawNode>>>>) -> Vec<Node> {
        let Some(raw) = raw else {
            let help =
                "list at least one: `- { name: a, address: 127.0.0.1, vcpus: 1, memory: 512 MiB }`";
            self.required("nodes", None, help);
            return Vec::new();
        };
        self.spans.put("nodes", &raw);
        let nodes = raw.value.into_iter().enumerate();
        nodes.map(|(i, node)| self.node(&format!("nodes[{i}]"), node)).collect()
    }

    fn node(&mut self, path: &str, raw: Spanned<RawNode>) -> Node {
        self.spans.put(path, &raw);
        let (raw, at) = (raw.value, |key: &str| format!("{path}.{key}"));
        let name = self.required(&at("name"), raw.name, "give the node a name: `name: a`");
        let help = "where its peers reach it: `address: 192.168.1.20`";
        let address = self.required(&at("address"), raw.address, help);
        let help = "say how many: `vcpus: 1`; a memory-only node has `vcpus: 0`";
        let vcpus = self.understood(&at("vcpus"), raw.vcpus, help, |text| {
            let n = quantity::number(text, "the number of vCPUs")?;
            u32::try_from(n).map_err(|_| {
                ("the number of vCPUs is far over any limit".into(), "choose fewer".into())
            })
        });
        let help = "say how much: `memory: 512 MiB`; a CPU-only node has `memory: 0`";
        let memory = self.understood(&at("memory"), raw.memory, help, quantity::memory);
        Node { name, address, vcpus, memory }
    }

    /// A value that must be there, understood by `read`.
    fn understood<T: Default>(
        &mut self,
        path: &str,
        value: Scalar,
        help: &str,
        read: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> T {
        if value.is_none() {
            self.required(path, None, help);
        }
        self.optional(path, value, read).unwrap_or_default()
    }

    /// A link: what the file says of it, and the rest from `base`.
    pub(crate) fn link(&mut self, path: &str, raw: RawLink, base: Link) -> Link {
        let at = |key: &str| format!("{path}.{key}");
        let distance = self.optional(&at("distance"), raw.distance, distance);
        let latency =
            self.optional(&at("latency"), raw.latency, |text| quantity::time(text, "20 us"));
        let bandwidth = self.optional(&at("bandwidth"), raw.bandwidth, quantity::bandwidth);
        Link {
            distance: distance.unwrap_or(base.distance),
            latency_ns: latency.unwrap_or(base.latency_ns),
            bandwidth_mbps: bandwidth.unwrap_or(base.bandwidth_mbps),
        }
    }

    fn failure(&mut self, raw: Scalar) -> Failure {
        let deadline = self.optional("failure.peer-deadline", raw, |text| {
            match quantity::time(text, "800 ms")? {
                ns if ns.is_multiple_of(1_000_000) => Ok(ns / 1_000_000),
                _ => Err(("a deadline is whole milliseconds".into(), "write it in `ms`".into())),
            }
        });
        deadline.map_or_else(Failure::default, |peer_deadline_ms| Failure { peer_deadline_ms })
    }
}

fn os(text: &str) -> Result<Os, Refusal> {
    word(text, "a guest's `os`", &[(Os::Linux.name(), Os::Linux)])
}

fn boot(text: &str) -> Result<Boot, Refusal> {
    word(text, "a guest's `boot`", &[(Boot::Direct.name(), Boot::Direct)])
}

/// One of a few words.
fn word<T: Copy>(text: &str, what: &str, words: &[(&'static str, T)]) -> Result<T, Refusal> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let help = match nearest(text, &names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "remove the key to use the default".into(),
    };
    Err((format!("{what} can be {}", list(&names)), help))
}

/// A distance; what fits in its byte is held to the limits with everything else.
fn distance(text: &str) -> Result<u8, Refusal> {
    let n = quantity::number(text, "a distance")?;
    let limit = format!("a distance is {} to {}", DISTANCE.start(), DISTANCE.end());
    u8::try_from(n).map_err(|_| (limit, "20 is the default to another node".into()))
}
