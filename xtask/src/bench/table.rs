//! What was measured, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::measure::Boot;

/// Kinds of remote faults, as the counters name them.
const KINDS: [&str; 3] = ["read", "write", "upgrade"];

/// The figures as a table.
pub(super) fn of(boots: &[Boot]) -> String {
    let mut text = String::from("\nboot to init              guest s    wall s\n");
    // Writing to a string can't fail.
    for boot in boots {
        let _ = writeln!(text, "  {:22} {:9.2} {:9.2}", boot.name, boot.guest_s, boot.wall_s);
    }
    if let [one, many] = boots {
        let (guest, wall) = (many.guest_s / one.guest_s, many.wall_s / one.wall_s);
        let _ = writeln!(text, "  {:22} {guest:9.2} {wall:9.2}", "times");
    }
    let _ = writeln!(
        text,
        "\nremote faults, boot to power-off\n{:24} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "", "count", "p50 us", "floors", "p99 us", "max us"
    );
    for boot in boots {
        for (node, counters) in &boot.nodes {
            let floor = floor_us(counters);
            if let Some(floor) = floor {
                let label = format!("{} {node} floor", boot.name);
                let _ = writeln!(text, "  {label:22} {:>10} {floor:9.1} {:9.1}", "", 1.0);
            }
            for kind in KINDS {
                let latency = &counters["pages"][kind];
                let count = latency["count"].as_u64().unwrap_or(0);
                if count == 0 {
                    continue;
                }
                let us = |field: &str| latency[field].as_f64().unwrap_or(0.0) / 1e3;
                let label = format!("{} {node} {kind}", boot.name);
                let (p50, p99, max) = (us("p50_ns"), us("p99_ns"), us("max_ns"));
                let floors = floor.map_or("-".to_owned(), |floor| format!("{:.1}", p50 / floor));
                let _ = writeln!(
                    text,
                    "  {label:22} {count:10} {p50:9.1} {floors:>9} {p99:9.1} {max:9.1}"
                );
            }
        }
    }
    text.push_str("floor: 4 KiB asked for and received over the link, measured before the boot\n");
    text
}

/// A node's quickest link, in microseconds for a bare fetch of 4 KiB.
fn floor_us(counters: &Value) -> Option<f64> {
    let links = counters["links"].as_array()?;
    let fetches = links.iter().filter_map(|link| link["fetch_ns"].as_u64());
    fetches.filter(|&fetch| fetch > 0).min().map(|fetch| fetch as f64 / 1e3)
}

/// The figures as JSON: units in the names.
pub(super) fn json(place: &str, boots: &[Boot]) -> Value {
    let boots: Vec<Value> = boots
        .iter()
        .map(|boot| {
            let nodes: Vec<&Value> = boot.nodes.iter().map(|(_, counters)| counters).collect();
            json!({
                "cluster": boot.name,
                "boot_to_init_guest_s": boot.guest_s,
                "boot_to_init_wall_s": boot.wall_s,
                "nodes": nodes,
            })
        })
        .collect();
    json!({ "version": 1, "place": place, "boots": boots })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_shown_beside_the_links_floor() {
        let counters = json!({
            "links": [{ "fetch_ns": 80_000 }, { "fetch_ns": 40_000 }],
            "pages": { "read": { "count": 7, "p50_ns": 60_000, "p99_ns": 90_000, "max_ns": 99_000 } },
        });
        let boot =
            |name: &str, guest_s, nodes| Boot { name: name.into(), guest_s, wall_s: 9.0, nodes };
        let boots = [boot("one", 1.0, vec![]), boot("duo", 1.5, vec![("a".to_owned(), counters)])];
        let table = of(&boots);
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        for line in [
            &["times", "1.50", "1.00"][..],
            &["duo", "a", "floor", "40.0", "1.0"],
            &["duo", "a", "read", "7", "60.0", "1.5", "90.0", "99.0"],
        ] {
            assert!(lines.iter().any(|found| found == line), "no {line:?} in\n{table}");
        }
    }
}
