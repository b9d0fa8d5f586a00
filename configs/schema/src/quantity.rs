//! Numbers with units, read strictly: `512 MiB`, `20 us`, `1000 MB/s`. Whole numbers in decimal, one of
//! the units exactly as written, at most one space in between.

use crate::nearest::list;
use pangea_topology::units::{BANDWIDTH_UNITS, MEMORY_UNITS, TIME_UNITS};

/// What was wrong, and what to do.
pub(crate) type Refusal = (String, String);

/// Units and what each stands for.
type Units = [(&'static str, u64)];

/// A whole number.
pub(crate) fn number(text: &str, what: &str) -> Result<u64, Refusal> {
    let help = || "write it in decimal digits".to_owned();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err((format!("{what} is a whole number"), help()));
    }
    text.parse().map_err(|_| (format!("{what} is far over any limit"), help()))
}

/// Bytes of memory; zero needs no unit.
pub(crate) fn memory(text: &str) -> Result<u64, Refusal> {
    if text == "0" { Ok(0) } else { with_unit(text, &MEMORY_UNITS, "512 MiB") }
}

/// Nanoseconds; `example` is for errors.
pub(crate) fn time(text: &str, example: &str) -> Result<u64, Refusal> {
    with_unit(text, &TIME_UNITS, example)
}

/// MB/s.
pub(crate) fn bandwidth(text: &str) -> Result<u64, Refusal> {
    with_unit(text, &BANDWIDTH_UNITS, "1000 MB/s")
}

fn with_unit(text: &str, units: &Units, example: &str) -> Result<u64, Refusal> {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let help = format!("the units are {}: `{example}`", list(&names));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let unit = rest.strip_prefix(' ').unwrap_or(rest);
    if number.is_empty() {
        return Err(("a whole number with a unit belongs here".into(), help));
    }
    if unit.is_empty() {
        return Err((format!("`{number}` has no unit"), help));
    }
    if unit.starts_with(['.', ',', '_']) {
        let title = "a whole number belongs before the unit";
        return Err((title.into(), format!("use a smaller unit; {help}")));
    }
    let Some((_, size)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err((format!("`{}` isn't a unit here", unit), help));
    };
    let value = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*size));
    value.ok_or_else(|| ("this is far over any limit".into(), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_exactly() {
        assert_eq!(memory("512 MiB"), Ok(512 << 20));
        assert_eq!(memory("512MiB"), Ok(512 << 20));
        assert_eq!(memory("16 TiB"), Ok(16 << 40));
        assert_eq!(memory("0"), Ok(0));
        assert_eq!(time("20 us", ""), Ok(20_000));
        assert_eq!(time("60 s", ""), Ok(60_000_000_000));
        assert_eq!(bandwidth("12 GB/s"), Ok(12_000));
        assert_eq!(number("1024", "it"), Ok(1024));
    }

    #[test]
    fn anything_else_is_refused() {
        let bad = [
            "",
            " ",
            "512",
            "MiB",
            "512  MiB",
            "512 mib",
            "512 MB",
            "512 M",
            "1.5 GiB",
            "1_024 MiB",
            "-1 MiB",
            "+1 MiB",
            "0x10 MiB",
            "512 MiB ",
            " 512 MiB",
            "99999999999 TiB",
            "99999999999999999999 KiB",
            "１ MiB",
        ];
        for text in bad {
            assert!(memory(text).is_err(), "{text:?}");
        }
        for text in ["", "-1", "1.0", "0x1", "1e3", "99999999999999999999"] {
            assert!(number(text, "it").is_err(), "{text:?}");
        }
    }
}
