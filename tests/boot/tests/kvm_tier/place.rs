//! Where the tier runs: the program, the guest, bundles, and the turn to use the ports.

use crate::nodes::Node;
use pangea_boot::prepare;
use pangea_bundle::{GuestFiles, Input};
use pangea_manifest::Source;
use pangea_topology::Topology;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a node opens, and what for.
const DEVICES: [&str; 2] = ["/dev/kvm", "/dev/userfaultfd"];

/// Holds the turn until it is dropped.
pub(crate) struct Place {
    program: PathBuf,
    guest: PathBuf,
    directory: TempDir,
    _turn: File,
}

/// A bundle of our own guest.
pub(crate) struct Bundle<'a> {
    place: &'a Place,
    path: PathBuf,
    /// Its nodes' names.
    pub(crate) nodes: Vec<String>,
    pub(crate) topology: Topology,
    /// Its id, in hex.
    pub(crate) id: String,
}

impl Place {
    /// # Panics
    /// If a device doesn't open: `cargo xtask test` leaves the tier out on such a machine.
    pub(crate) fn new() -> Place {
        for device in DEVICES {
            let opened = OpenOptions::new().read(true).write(true).open(device);
            drop(opened.unwrap_or_else(|error| panic!("{device} doesn't open: {error}")));
        }
        let turn = std::env::temp_dir().join("pangea-kvm-tier.lock");
        // Another user's will do: it is only locked.
        let turn = File::open(&turn).or_else(|_| File::create(&turn)).unwrap();
        turn.lock().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let program = prepare::program().unwrap();
        let guest = directory.path().join("testguest");
        pangea_images::testguest::build(&workspace(), &guest, &mut |_| {}).unwrap();
        Place { program, guest, directory, _turn: turn }
    }

    /// A file of this test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Builds the bundle of a cluster file whose guest is told `word`.
    pub(crate) fn bundle(&self, cluster: &str, word: &str) -> Bundle<'_> {
        let file = workspace().join(format!("configs/clusters/{cluster}.yaml"));
        let mut cluster_of = pangea_schema::load(&file).unwrap();
        word.clone_into(&mut cluster_of.guest.command_line);
        let source = Source::File("testguest".to_owned());
        let kernel = Input { path: self.guest.clone(), source };
        let path = self.path(&format!("{cluster}-{word}"));
        let guest = GuestFiles { kernel, initrd: None };
        let summary = pangea_bundle::build(&cluster_of, guest, &path, &mut |_| {}).unwrap();
        Bundle {
            place: self,
            path,
            nodes: cluster_of.nodes.iter().map(|node| node.name.clone()).collect(),
            topology: Topology::of(&cluster_of),
            id: summary.id.to_string(),
        }
    }
}

impl Bundle<'_> {
    pub(crate) fn start(&self, node: &str, arguments: &[&str]) -> Node {
        Node::start(&self.place.program, &self.path, node, arguments)
    }

    pub(crate) fn start_all(&self) -> Vec<Node> {
        self.nodes.iter().map(|name| self.start(name, &[])).collect()
    }

    /// Starts all nodes, and waits until their CPUs are at work in each other's memory.
    pub(crate) fn linger(&self) -> Vec<(String, Node)> {
        let nodes: Vec<_> = self.nodes.iter().cloned().zip(self.start_all()).collect();
        nodes[0].1.wait_for_guest("testguest: lingers");
        nodes
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
