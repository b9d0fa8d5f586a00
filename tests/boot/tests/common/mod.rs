//! A cluster booted in the lab, and what came of it.
#![allow(clippy::unwrap_used)]
// Each test binary uses some of it.
#![allow(dead_code)]

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pangea_boot::cluster::{ClusterRun, NodeOutcome};
use pangea_boot::lab::{self, ConsoleIo, LabControl, LabError, LabOptions};
use pangea_boot::{facts, prepare};
use pangea_images::Packages;
use pangea_manifest::Bundle;
use pangea_topology::Cluster;
use tempfile::TempDir;

/// How often a boot is tried that the emulator spoils.
const ATTEMPTS: u32 = 4;
/// How long one boot may take. Most take a minute.
const LIMIT: Duration = Duration::from_secs(900);

/// A cluster of `configs/clusters`, about to boot.
pub(crate) struct Boot {
    pub(crate) cluster: Cluster,
    pub(crate) bundle: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    _directory: TempDir,
}

/// What a boot left.
pub(crate) struct Booted {
    pub(crate) nodes: Vec<NodeOutcome>,
    /// The guest's console.
    pub(crate) console: String,
    /// All nodes' logs, and the lab host's.
    pub(crate) log: String,
    /// What the guest had to report.
    pub(crate) expected: String,
}

impl Boot {
    /// The guest runs the test program with these words, and powers off.
    pub(crate) fn new(cluster: &str, probe: &str) -> Boot {
        let file = prepare::workspace().join(format!("configs/clusters/{cluster}.yaml"));
        let mut cluster = pangea_schema::load(&file).unwrap();
        // The kernel tests its ciphers for a second of emulated time, and nobody here uses them.
        cluster.guest.command_line = format!("quiet cryptomgr.notests pangea.run=\"{probe}\"");
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("bundle");
        let mut packages = Packages::open(&Packages::default_cache()).unwrap();
        prepare::bundle(&cluster, &file, &mut packages, &bundle, &mut |_| {}).unwrap();
        let (program, arguments) = (prepare::program().unwrap(), vec!["--stats".to_owned()]);
        Boot { cluster, bundle, program, arguments, _directory: directory }
    }

    /// Boots it. A boot that the emulator spoilt (see [`lab::doubled_interrupt`]) or that took the emulated
    /// host with it is said, and tried again; what came to a wrong end, or to none, is not.
    ///
    /// `watch` sees each line of the log and may run things in the lab host.
    pub(crate) fn boot(
        &self,
        watch: impl FnMut(&str, &LabControl) + Clone + Send + 'static,
    ) -> Booted {
        for attempt in 1..ATTEMPTS {
            let again = |why: &dyn Display| eprintln!("lab: boot {attempt} again: {why}");
            match self.try_run(watch.clone()) {
                Ok(booted) if lab::doubled_interrupt(&booted.console) => {
                    again(&"the emulator delivered an interrupt twice");
                }
                Err(error @ LabError::Died { .. }) => again(&error),
                booted => return booted.unwrap(),
            }
        }
        self.try_run(watch).unwrap()
    }

    fn try_run(
        &self,
        mut watch: impl FnMut(&str, &LabControl) + Send + 'static,
    ) -> Result<Booted, LabError> {
        let run = ClusterRun {
            program: &self.program,
            bundle: &self.bundle,
            cluster: &self.cluster,
            arguments: &self.arguments,
        };
        let (lab, script) =
            run.lab(LabOptions { timeout: LIMIT, ..LabOptions::default() }).unwrap();
        let control = lab.control();
        let lab = lab.on_log(move |line| {
            eprintln!("{line}");
            watch(line, &control);
        });
        let console = ConsoleIo { input: None, output: Some(Box::new(std::io::stderr())) };
        let (nodes, outcome) = run.run_in((lab, script), console)?;
        Ok(Booted {
            nodes,
            console: String::from_utf8_lossy(&outcome.console).into_owned(),
            log: outcome.log,
            expected: expected(&self.bundle),
        })
    }
}

fn expected(bundle: &Path) -> String {
    facts::expected(&Bundle::open(bundle).unwrap(), bundle).unwrap()
}

impl Booted {
    /// Every node ended with this code.
    pub(crate) fn all_ended_with(&self, code: i32) {
        for node in &self.nodes {
            assert_eq!(node.exit_code, Some(code), "node {}", node.name);
        }
    }

    /// The guest saw exactly what its bundle describes, and its test program passed.
    pub(crate) fn passed(&self) {
        assert_eq!(facts::reported(&self.console), self.expected);
        let verdict = self.console.lines().map(str::trim).find(|line| line.starts_with("probe: "));
        assert_eq!(verdict, Some("probe: passed"));
        self.all_ended_with(0);
    }
}
