//! Relative distances: 10 to a node itself, what the cluster file says to another.
//!
//! Spec: ACPI 6.5 5.2.17.

use crate::spec::{self, SlitFixed};
use crate::table;
use pangea_topology::{Cluster, Topology};
use zerocopy::IntoBytes;

/// The SLIT of the cluster, one row per node.
pub(crate) fn slit(cluster: &Cluster, topology: &Topology) -> Vec<u8> {
    let nodes = topology.nodes();
    let mut body = SlitFixed { localities: (nodes.len() as u64).into() }.as_bytes().to_vec();
    for from in nodes {
        body.extend(nodes.iter().map(|to| cluster.links.distance(from.id, to.id)));
    }
    table(spec::SLIT, &body)
}
