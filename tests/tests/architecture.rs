//! The plan of the house as a test: edges point down the floors (docs/ARCHITECTURE.md).
#![expect(clippy::expect_used, reason = "a test that panics has failed")]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

const FLOORS: &[(&str, u8)] = &[
    ("cau-model", 0),
    ("cau-sip", 0),
    ("cau-rtp", 0),
    ("cau-codec", 0),
    ("cau-netem", 0),
    ("cau-drive", 1),
    ("cau-mixer", 1),
    ("cau-cascade", 1),
    ("cau-store", 1),
    ("cau-conference", 2),
    ("cau-load", 2),
    ("cau-control", 3),
    ("cau-server", 4),
];

/// Edges that would be downward but are still forbidden.
const STRANGERS: &[(&str, &str)] =
    &[("cau-sip", "cau-mixer"), ("cau-mixer", "cau-sip"), ("cau-control", "cau-sip")];

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata")
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

/// Edges between our crates that reach the built program (test-only helpers may look sideways).
fn edges(metadata: &Metadata) -> Vec<(String, String)> {
    let mut edges = Vec::new();
    for package in metadata.packages.iter().filter(|p| floor(&p.name).is_some()) {
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            if dependency.name.starts_with("cau-") {
                edges.push((package.name.to_string(), dependency.name.clone()));
            }
        }
    }
    edges
}

#[test]
fn every_crate_has_a_floor() {
    let crates: Vec<String> = metadata()
        .packages
        .iter()
        .filter(|p| p.manifest_path.components().any(|c| c.as_str() == "crates"))
        .map(|p| p.name.to_string())
        .collect();
    assert_eq!(crates.len(), FLOORS.len(), "{crates:?}");
    for name in crates {
        assert!(floor(&name).is_some(), "{name} stands on no floor");
    }
}

#[test]
fn edges_point_down_the_floors() {
    let edges = edges(&metadata());
    assert!(edges.len() > 10, "the edges were not found: {edges:?}");
    for (from, to) in edges {
        assert!(floor(&from) > floor(&to), "{from} must not know {to}");
        assert!(
            !STRANGERS.contains(&(from.as_str(), to.as_str())),
            "{from} and {to} must not know each other"
        );
    }
}

#[test]
fn model_knows_no_crate_of_ours() {
    assert!(edges(&metadata()).iter().all(|(from, _)| from != "cau-model"));
}

#[test]
fn unsafe_code_lives_in_codec_only() {
    for package in
        metadata().packages.iter().filter(|p| floor(&p.name).is_some() && p.name.as_str() != "cau-codec")
    {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("manifest");
        let inherits =
            manifest.split("[lints]").nth(1).is_some_and(|l| l.trim_start().starts_with("workspace = true"));
        assert!(inherits, "{} does not inherit the workspace's lints", package.name);
    }
}
