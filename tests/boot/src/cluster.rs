//! All nodes of a cluster on one machine: what is started, and what came of it.
//!
//! Two ways to run it: [`crate::native`], as processes of this machine, and in the lab by
//! [`ClusterRun::lab`], as processes of the lab host, where every address of the cluster file is
//! an address of the loopback device.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use pangea_topology::Cluster;

use crate::lab::{ConsoleIo, Lab, LabError, LabOptions, LabOutcome};

/// Memory of the lab host beside that of the guest, in MiB.
const LAB_HOST_MIB: u64 = 1024;
/// The least and the most memory that a lab host gets, in MiB.
const LAB_MIB: std::ops::RangeInclusive<u64> = 2048..=65_536;

/// A cluster about to run.
#[derive(Debug, Clone, Copy)]
pub struct ClusterRun<'a> {
    /// The `pangea` program.
    pub program: &'a Path,
    /// The bundle's directory.
    pub bundle: &'a Path,
    /// What the bundle was built from.
    pub cluster: &'a Cluster,
    /// Further arguments of each `pangea node`.
    pub arguments: &'a [String],
}

/// What came of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOutcome {
    /// Its name.
    pub name: String,
    /// Its exit code, as `pangea node` defines them; none if a signal ended it.
    pub exit_code: Option<i32>,
    /// Its counters as JSON, if it came to write them.
    pub stats: Option<String>,
}

/// The exit code of the whole: the first node's that isn't 0, in the file's order, 1 for one that a
/// signal ended.
pub fn exit_code(nodes: &[NodeOutcome]) -> i32 {
    let codes = nodes.iter().map(|node| node.exit_code.unwrap_or(1));
    codes.into_iter().find(|code| *code != 0).unwrap_or(0)
}

/// What a line of a node's log begins with.
pub fn log_prefix(name: &str) -> String {
    format!("[{name}] ")
}

impl ClusterRun<'_> {
    /// A lab with everything in it, and the script for [`Lab::run`]. Memory is chosen here.
    pub fn lab(&self, options: LabOptions) -> Result<(Lab, String), LabError> {
        let guest: u64 = self.cluster.nodes.iter().map(|node| node.memory >> 20).sum();
        // Each page may be on every node of two at once; more is rare.
        let wanted = guest.saturating_mul(2).saturating_add(LAB_HOST_MIB);
        let memory_mib = wanted.clamp(*LAB_MIB.start(), *LAB_MIB.end());
        let options = LabOptions { memory_mib: memory_mib as u32, ..options };
        let lab = Lab::new(options)
            .program(self.program, "/lab/pangea")?
            .directory(self.bundle, "/lab/bundle")?;
        Ok((lab, self.script()))
    }

    /// Runs the cluster in a lab made by [`ClusterRun::lab`].
    pub fn run_in(
        &self,
        (lab, script): (Lab, String),
        console: ConsoleIo,
    ) -> Result<(Vec<NodeOutcome>, LabOutcome), LabError> {
        let outcome = lab.run(&script, console)?;
        let nodes = self.cluster.nodes.iter().map(|node| outcome_of(&node.name, &outcome.files));
        Ok((nodes.collect(), outcome))
    }

    /// What the lab host runs: a process for each node, its log with its name, its exit code in
    /// `/out/NAME.code`. Ends when all have ended; SIGTERM asks them to.
    fn script(&self) -> String {
        let mut script = String::from(HEAD);
        let names = addresses(self.cluster);
        for (address, names) in &names.by_address {
            // The loopback device has all of 127.0.0.0/8 already.
            if !address.is_loopback() {
                let _ = writeln!(script, "ip addr add {address} dev lo");
            }
            if !names.is_empty() {
                let _ = writeln!(script, "echo '{address} {}' >>/etc/hosts", names.join(" "));
            }
        }
        let arguments: Vec<String> = self.arguments.iter().map(|word| quoted(word)).collect();
        for node in &self.cluster.nodes {
            let name = quoted(&node.name);
            let _ = writeln!(script, "node {name} {}", arguments.join(" "));
        }
        let _ = writeln!(script, "await {}", self.cluster.nodes.len());
        script
    }
}

/// Functions of the script. A node that fails takes the others with it, after the time that they
/// have to find out and say so by themselves.
const HEAD: &str = r#"export NO_COLOR=1 RUST_BACKTRACE=1
mkdir -p /etc
exec 3<&0
trap 'busybox killall -q -TERM pangea' TERM
node() {
    name=$1
    shift
    busybox mkfifo "/run/$name.log"
    while IFS= read -r line; do echo "[$name] $line"; done <"/run/$name.log" >&2 &
    {
        sh -c 'echo $$ >"/run/$1.pid"; name=$1; shift
            exec /lab/pangea node --bundle /lab/bundle --node "$name" --stats-json "/out/$name.json" "$@"' \
            sh "$name" "$@" <&3 2>"/run/$name.log"
        code=$?
        echo $code >"/out/$name.code"
        [ $code = 0 ] || { sleep 10; busybox killall -q -TERM pangea; } &
    } &
}
await() {
    while [ "$(ls /out | grep -c '\.code$')" -lt "$1" ]; do sleep 0.2; done
    sleep 0.2
}
"#;

fn outcome_of(name: &str, files: &BTreeMap<String, Vec<u8>>) -> NodeOutcome {
    let text = |suffix| {
        let content = files.get(&format!("{name}.{suffix}"))?;
        Some(String::from_utf8_lossy(content).into_owned())
    };
    // A shell tells a process that a signal ended by a code of 128 and more, save our own 130.
    let code = text("code").and_then(|code| code.trim().parse::<i32>().ok());
    let exit_code = code.filter(|code| *code < 128 || *code == 130);
    NodeOutcome { name: name.to_owned(), exit_code, stats: text("json") }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Addresses {
    by_address: BTreeMap<IpAddr, Vec<String>>,
}

/// Addresses that the machine must have, with the host names that must lead to them.
fn addresses(cluster: &Cluster) -> Addresses {
    let mut addresses = Addresses::default();
    let mut names: Vec<&str> = Vec::new();
    for node in &cluster.nodes {
        match node.address.parse::<IpAddr>() {
            Ok(address) => drop(addresses.by_address.entry(address).or_default()),
            Err(_) => names.push(&node.address),
        }
    }
    names.sort_unstable();
    names.dedup();
    // A network of the loopback device's for names: 127.1.0.1 and up.
    for (name, number) in names.into_iter().zip(1_u16..) {
        let [high, low] = number.to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(127, 1, high, low));
        addresses.by_address.entry(address).or_default().push(name.to_owned());
    }
    addresses
}

/// One word for a shell.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn node(name: &str, exit_code: Option<i32>) -> NodeOutcome {
        NodeOutcome { name: name.to_owned(), exit_code, stats: None }
    }

    #[test]
    fn the_first_failure_in_the_files_order_is_the_whole() {
        let table = [
            (vec![Some(0), Some(0)], 0),
            (vec![Some(0), Some(3)], 3),
            (vec![Some(3), Some(1)], 3),
            (vec![Some(0), None], 1),
            (vec![], 0),
        ];
        for (codes, whole) in table {
            let nodes: Vec<_> = codes.iter().map(|code| node("a", *code)).collect();
            assert_eq!(exit_code(&nodes), whole, "{codes:?}");
        }
    }

    #[test]
    fn a_node_that_a_signal_ended_has_no_code() {
        let files = |code: &str| BTreeMap::from([("b.code".to_owned(), code.as_bytes().to_vec())]);
        let table = [("0\n", Some(0)), ("3\n", Some(3)), ("130\n", Some(130)), ("137\n", None)];
        for (text, code) in table {
            assert_eq!(outcome_of("b", &files(text)), node("b", code));
        }
        assert_eq!(outcome_of("a", &files("0")), node("a", None));
    }

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
