//! What is said at the end: errors, the table of counters, the same as JSON.

use pangea_manifest::Bundle;
use pangea_vmm::Summary;
use serde_json::json;
use std::fmt::Write;

/// `error:`, its causes, `help:` with what to do next.
pub(crate) fn error(error: &anyhow::Error, help: Option<&str>) {
    line("error", &error.to_string());
    for cause in error.chain().skip(1) {
        line("cause", &cause.to_string());
    }
    if let Some(help) = help {
        line("help", help);
    }
}

/// One labelled line on standard error.
pub(crate) fn line(label: &str, text: &str) {
    eprintln!("{label}: {text}");
}

/// The counters for people.
pub(crate) fn table(summary: &Summary, bundle: &Bundle) -> String {
    let mut out = String::new();
    let ran = summary.ran.map_or("never started".to_owned(), |ran| format!("{ran:.1?}"));
    // Writing to a string can't fail.
    let _ = writeln!(out, "cluster {}: {}; ran {ran}", bundle.cluster().name, summary.ending);
    for link in &summary.links {
        let _ = writeln!(out, "{link}");
    }
    let t = summary.traffic;
    let _ = writeln!(
        out,
        "interrupts out {}, in {}; device accesses {}; messages refused {}",
        t.interrupts_out, t.interrupts_in, t.accesses, t.refused
    );
    if let Some(pages) = &summary.pages {
        let _ = writeln!(out, "{pages}");
    }
    out
}

/// The counters for programs.
pub(crate) fn json(summary: &Summary, node: &str) -> String {
    let links: Vec<_> = summary
        .links
        .iter()
        .map(|link| {
            json!({
                "node": link.name,
                "rtt_ns": link.rtt_ns,
                "rtt_min_ns": link.rtt_min_ns,
                "fetch_ns": link.fetch_ns,
                "tier": link.tier.to_string(),
                "skew_ns": link.skew_ns,
                "skew_uncertainty_ns": link.skew_uncertainty_ns,
            })
        })
        .collect();
    let value = json!({
        "version": 1,
        "node": node,
        "ending": summary.ending.to_string(),
        "exit_code": summary.ending.exit_code(),
        "ran_ms": summary.ran.map(|ran| ran.as_millis() as u64),
        "links": links,
        "traffic": summary.traffic,
        "pages": summary.pages,
    });
    format!("{value:#}\n")
}
