//! The pattern for several MCUs in `docker/`: read by linters, as nothing here can pull the images it begins from.

use std::process::Command;

use cau_tests::{python, root};

/// Runs a linter that came with the Python of the kit.
fn lint(program: &str, arguments: &[&str]) {
    let out = Command::new(python().with_file_name(program)).args(arguments).current_dir(root()).output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e}; ./x test installs it"));
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn the_compose_file_and_the_dockerfile_are_well_formed() {
    lint("check-jsonschema", &["--builtin-schema", "vendor.compose-spec", "docker/compose.yml"]);
    lint("hadolint", &["docker/Dockerfile"]);
}

#[test]
fn every_configuration_of_the_compose_file_is_one_the_server_takes() {
    let compose = std::fs::read_to_string(root().join("docker/compose.yml")).expect("compose.yml");
    let mounted = |line: &str| Some(line.trim().strip_prefix("- ./")?.split(':').next()?.to_owned());
    let files: Vec<String> =
        compose.lines().filter_map(mounted).filter(|file| file.starts_with("config/")).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let path = root().join("docker").join(&file);
        let out = Command::new(cau_tests::cau()).args(["check-config", "--config"]).arg(path).output();
        let out = out.expect("cau check-config");
        assert!(out.status.success(), "{file}: {}", String::from_utf8_lossy(&out.stderr));
    }
}
