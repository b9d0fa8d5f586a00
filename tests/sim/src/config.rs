//! A run's shape: everything that a seed doesn't decide.

use crate::Violation;
use crate::rng::Rng;

/// What [`crate::run`] simulates. The same value always gives the same run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Decides everything else: homes, delays, programs.
    pub seed: u64,
    /// Nodes, 1 to 16.
    pub nodes: u8,
    /// Pages, 1 to 4096; their homes are spread over the nodes by the seed.
    pub pages: u64,
    /// vCPUs per node, 1 to 64.
    pub vcpus: u32,
    /// The first so many pages are what each access walks through, and must be writable all at once
    /// (as a guest's page tables must under nested paging); 0 to 64 and at most all pages.
    pub walk: u64,
    /// Accesses of all vCPUs together, up to 100 million.
    pub steps: u64,
    /// Does a node crash on the way? What others see must be right until the end all the same.
    pub crash: bool,
}

impl Config {
    /// The usual mix: 2 to 4 nodes, few to many pages and vCPUs, as the seed has it.
    pub fn of_seed(seed: u64) -> Config {
        let mut rng = Rng::new(seed ^ 0x5348_4150_4500_0000);
        let (nodes, pages) = (rng.between(2, 4) as u8, rng.magnitude(1, 32));
        let vcpus = rng.between(1, 4) as u32;
        let walk = if rng.chance(1, 3) { rng.between(2, 12).min(pages) } else { 0 };
        let crash = rng.chance(1, 8);
        Config { seed, nodes, pages, vcpus, walk, steps: 1_000, crash }
    }

    /// The command that repeats this run.
    pub fn command(&self) -> String {
        let Config { seed, nodes, pages, vcpus, walk, steps, crash } = self;
        format!(
            "cargo xtask sim --seed {seed} --nodes {nodes} --pages {pages} --vcpus {vcpus} \
             --walk {walk} --steps {steps} --crash {crash}"
        )
    }

    pub(crate) fn check(&self) -> Result<(), Violation> {
        let limits = [
            ("nodes", u64::from(self.nodes), 1, 16),
            ("pages", self.pages, 1, 4096),
            ("vcpus", u64::from(self.vcpus), 1, 64),
            ("walk", self.walk, 0, self.pages.min(64)),
            ("steps", self.steps, 0, 100_000_000),
        ];
        for (field, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(Violation::Config { field, value, least, most });
            }
        }
        Ok(())
    }
}
