//! Quantities as people write them: `512 MiB`, `20 us`, `1000 MB/s`. The one place that formats them;
//! each is written in the largest unit that holds it exactly, so that it reads back the same.

use std::fmt;

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u128);

/// Nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nanos(pub u64);

/// MB/s, 10^6 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mbps(pub u64);

/// Units of memory in the cluster file, and their bytes.
pub const MEMORY_UNITS: [(&str, u64); 4] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
/// Units of time in the cluster file, and their nanoseconds.
pub const TIME_UNITS: [(&str, u64); 4] =
    [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
/// Units of bandwidth in the cluster file, and their MB/s.
pub const BANDWIDTH_UNITS: [(&str, u64); 2] = [("MB/s", 1), ("GB/s", 1_000)];

/// The value in the largest unit that holds it exactly, or in the smallest one, called `least`.
fn exact(
    f: &mut fmt::Formatter<'_>,
    value: u128,
    units: &[(&str, u64)],
    least: &str,
) -> fmt::Result {
    let fits = |&&(_, size): &&(&str, u64)| value != 0 && value.is_multiple_of(u128::from(size));
    match units.iter().rev().find(fits) {
        Some((unit, size)) => write!(f, "{} {unit}", value / u128::from(*size)),
        None => write!(f, "{value} {least}"),
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        exact(f, self.0, &MEMORY_UNITS, "B")
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        exact(f, self.0.into(), &TIME_UNITS, "ns")
    }
}

impl fmt::Display for Mbps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        exact(f, self.0.into(), &BANDWIDTH_UNITS, "MB/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_take_the_largest_exact_unit() {
        let bytes = [0, 512, 1 << 20, 1536 << 20, 1 << 30, 3 << 40].map(|b| Bytes(b).to_string());
        assert_eq!(bytes, ["0 B", "512 B", "1 MiB", "1536 MiB", "1 GiB", "3 TiB"]);
        let nanos = [100, 20_000, 1_500_000, 60_000_000_000].map(|n| Nanos(n).to_string());
        assert_eq!(nanos, ["100 ns", "20 us", "1500 us", "60 s"]);
        assert_eq!([1_000, 1_250].map(|m| Mbps(m).to_string()), ["1 GB/s", "1250 MB/s"]);
    }
}
