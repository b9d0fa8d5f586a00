//! What a link was measured to be.

use pangea_topology::NodeId;
use std::fmt;
use std::net::SocketAddr;

/// What a link is good for: the time that one 4 KiB fetch takes over it, measured (p50).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Tier {
    /// Under 100 us.
    HighPerformance,
    /// 100 us to under 300 us.
    MediumPerformance,
    /// 300 us to 500 us.
    Standard,
    /// Over 500 us.
    Basic,
}

/// What was measured between this node and one other, once both lanes were up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkReport {
    /// The other node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where the link goes: the other end's address and port.
    pub address: SocketAddr,
    /// Round trip of 64 bytes, p50.
    pub rtt_ns: u64,
    /// Round trip of 64 bytes, the best seen.
    pub rtt_min_ns: u64,
    /// 64 bytes there, 64 and a page back: p50.
    pub fetch_ns: u64,
    /// The tier that this fetch is in.
    pub tier: Tier,
    /// The other node's CLOCK_REALTIME minus ours.
    pub skew_ns: i64,
    /// How far `skew_ns` can be off: half of the round trip that it was measured with.
    pub skew_uncertainty_ns: u64,
}

impl Tier {
    /// The tier of a link with this p50 of a 4 KiB fetch.
    pub const fn of_fetch(ns: u64) -> Tier {
        match ns {
            0..100_000 => Tier::HighPerformance,
            100_000..300_000 => Tier::MediumPerformance,
            300_000..=500_000 => Tier::Standard,
            _ => Tier::Basic,
        }
    }

    /// What would raise it; `None` at the top.
    pub const fn advice(self) -> Option<&'static str> {
        match self {
            Tier::HighPerformance => None,
            Tier::MediumPerformance => Some(
                "under 100 us: 10 Gbit/s or faster ports on one switch, interrupt coalescing off \
                 (ethtool -C DEV rx-usecs 0), deep idle states off",
            ),
            Tier::Standard => Some(
                "under 300 us: both nodes on one switch, no Wi-Fi or tunnel between them, adaptive \
                 interrupt coalescing off (ethtool -C DEV adaptive-rx off rx-usecs 0)",
            ),
            Tier::Basic => Some(
                "up to 500 us: a wired path without routers or tunnels, and a free core on each node \
                 for the runtime's threads",
            ),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::HighPerformance => "HighPerformance",
            Tier::MediumPerformance => "MediumPerformance",
            Tier::Standard => "Standard",
            Tier::Basic => "Basic",
        })
    }
}

/// One line for the log, with what would raise the tier.
impl fmt::Display for LinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LinkReport { name, address, tier, .. } = self;
        write!(f, "node {name} at {address}: {tier} (4 KiB in {}, ", Micros(self.fetch_ns))?;
        write!(f, "round trip {}, best {}), ", Micros(self.rtt_ns), Micros(self.rtt_min_ns))?;
        let sign = if self.skew_ns < 0 { '-' } else { '+' };
        write!(f, "clock {sign}{} ", Micros(self.skew_ns.unsigned_abs()))?;
        write!(f, "within {}", Micros(self.skew_uncertainty_ns))?;
        if let Some(advice) = tier.advice() {
            write!(f, "; for {advice}")?;
        }
        Ok(())
    }
}

/// Nanoseconds, shown as microseconds with one digit: the scale that tiers are defined in.
pub(crate) struct Micros(pub(crate) u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} us", self.0 / 1000, self.0 % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_begin_and_end_where_the_design_says() {
        let cases = [
            (0, Tier::HighPerformance),
            (99_999, Tier::HighPerformance),
            (100_000, Tier::MediumPerformance),
            (299_999, Tier::MediumPerformance),
            (300_000, Tier::Standard),
            (500_000, Tier::Standard),
            (500_001, Tier::Basic),
        ];
        for (ns, tier) in cases {
            assert_eq!(Tier::of_fetch(ns), tier, "{ns} ns");
            assert_eq!(tier.advice().is_none(), tier == Tier::HighPerformance);
        }
    }

    #[test]
    fn a_report_is_one_line() {
        let mut report = LinkReport {
            node: NodeId(1),
            name: "b".into(),
            address: SocketAddr::from(([10, 0, 0, 2], 50051)),
            rtt_ns: 18_250,
            rtt_min_ns: 12_000,
            fetch_ns: 22_400,
            tier: Tier::HighPerformance,
            skew_ns: -3_100,
            skew_uncertainty_ns: 6_000,
        };
        assert_eq!(
            report.to_string(),
            "node b at 10.0.0.2:50051: HighPerformance (4 KiB in 22.4 us, round trip 18.2 us, \
             best 12.0 us), clock -3.1 us within 6.0 us"
        );
        report.tier = Tier::Basic;
        assert!(report.to_string().contains("; for up to 500 us: a wired path"));
    }
}
