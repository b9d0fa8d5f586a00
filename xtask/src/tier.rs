//! The tiers of tests: what each is, where it runs, and what may not be skipped.
//!
//! A test belongs to a tier by the name of its binary: `tests/kvm_*.rs`, `tests/image_*.rs` and
//! `tests/lab_*.rs`; all others are `unit`. A tier runs as a whole or not at all, so a test may take for granted what
//! its tier needs, and must fail without it.

use pangea_boot::machine::{self, Kvm};

use crate::setup::Need;

/// Tiers, comma-separated, that must run: one that can't is then a failure, not a skip.
const REQUIRE: &str = "PANGEA_REQUIRE";

/// A kind of test by what it needs from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tier {
    /// Format, lints, docs, pure code, golden files, simulation; real page faults
    Unit,
    /// Our own small guests on /dev/kvm
    Kvm,
    /// Guest images in stock QEMU
    Image,
    /// A stock Debian or Ubuntu guest over several nodes, on KVM inside QEMU
    Lab,
}

impl Tier {
    /// All of them, quickest first.
    pub(crate) const ALL: [Self; 4] = [Self::Unit, Self::Kvm, Self::Image, Self::Lab];

    /// Its word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Kvm => "kvm",
            Self::Image => "image",
            Self::Lab => "lab",
        }
    }

    /// What is in it.
    pub(crate) fn content(self) -> &'static str {
        match self {
            Self::Unit => "format, lints, docs, pure code, golden files, simulation, page faults",
            Self::Kvm => "our own small guests on /dev/kvm",
            Self::Image => "guest images in stock QEMU",
            Self::Lab => "a stock Debian or Ubuntu guest over several nodes, on KVM inside QEMU",
        }
    }

    /// The packages that it takes.
    pub(crate) fn needs(self) -> &'static [Need] {
        match self {
            Self::Unit => &[Need::Cc, Need::Freestanding, Need::Iasl, Need::Cpio],
            Self::Kvm => &[Need::Cc, Need::Freestanding],
            Self::Image => &[Need::Cc, Need::Qemu],
            Self::Lab => &[Need::Cc, Need::Iasl, Need::Qemu],
        }
    }

    /// Does an integration test belong to it?
    pub(crate) fn has(self, test: &str) -> bool {
        let named = |tier: Self| test.starts_with(&format!("{}_", tier.name()));
        match self {
            Self::Unit => ![Self::Kvm, Self::Image, Self::Lab].into_iter().any(named),
            tier => named(tier),
        }
    }

    /// Why this machine can't run it, whatever is installed.
    pub(crate) fn obstacle(self, kvm: &Kvm) -> Option<String> {
        match self {
            Self::Kvm if !kvm.runs_own_guests() => Some(kvm.to_string()),
            Self::Kvm if machine::userfaultfd().is_none() => {
                Some("this user may not trap the kernel's page faults".to_owned())
            }
            // The lab has a kernel of its own.
            Self::Unit | Self::Kvm | Self::Image | Self::Lab => None,
        }
    }

    /// Does the environment say that it must run?
    pub(crate) fn required(self) -> bool {
        std::env::var(REQUIRE).is_ok_and(|tiers| tiers.split(',').any(|tier| tier == self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_in_one_tier() {
        let table = [
            ("kvm_ghost", "kvm"),
            ("image_guest", "image"),
            ("lab_duo", "lab"),
            ("lab", "unit"),
            ("kvmalike", "unit"),
        ];
        for (test, tier) in table {
            let tiers = Tier::ALL.map(|tier| (tier.has(test), tier.name()));
            let tiers: Vec<_> =
                tiers.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
            assert_eq!(tiers, [tier], "{test}");
        }
    }
}
