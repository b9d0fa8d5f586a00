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
    text.push_str("\nremote faults                 count    p50 us    p99 us    max us\n");
    for boot in boots {
        for (node, counters) in &boot.nodes {
            for kind in KINDS {
                let latency = &counters["pages"][kind];
                let count = latency["count"].as_u64().unwrap_or(0);
                if count == 0 {
                    continue;
                }
                let us = |field: &str| latency[field].as_f64().unwrap_or(0.0) / 1e3;
                let label = format!("{} {node} {kind}", boot.name);
                let (p50, p99, max) = (us("p50_ns"), us("p99_ns"), us("max_ns"));
                let _ = writeln!(text, "  {label:22} {count:10} {p50:9.1} {p99:9.1} {max:9.1}");
            }
        }
    }
    text
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
