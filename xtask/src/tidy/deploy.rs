//! What is shipped: `deploy/` can be applied, and names the image that `just image` builds.
//!
//! In: the kustomizations below `deploy/`, the Deployment, `justfile`, `Containerfile`, the pins of version and
//! toolchain. Out: each resource of a kustomization that kubectl would not read, each manifest that no
//! kustomization names, each object with a name of the AWS Load Balancer Controller's, each pin that differs.
//! Always: a kustomization reads its own folder and those below; kubectl refuses files of any other. That
//! the program knows the Deployment's flags is a test of `elbow`.

use std::collections::BTreeSet;

use saphyr::{LoadableYamlNode, Yaml};

use super::{Finding, SourceFile};

const FOLDER: &str = "deploy/";
const FILE: &str = "kustomization.yaml";
const DEPLOYMENT: &str = "deploy/controller/deployment.yaml";
const REPOSITORY: &str = "ghcr.io/elbow-project/elbow:";
const COMPILER: &str = "docker.io/library/rust:";

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = kustomizations(files);
    findings.extend(names(files));
    findings.extend(images(files));
    findings.extend(toolchains(files));
    findings
}

fn kustomizations(files: &[SourceFile]) -> Vec<Finding> {
    let known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut findings = Vec::new();
    let mut named = BTreeSet::new();
    let below = |file: &&SourceFile| file.path.starts_with(FOLDER) && file.has_extension("yaml");
    for file in files.iter().filter(below) {
        let Some(folder) = file.path.strip_suffix(FILE) else {
            continue;
        };
        let resources = match resources(&file.text) {
            Ok(resources) => resources,
            Err(message) => {
                findings.push(Finding::whole(&file.path, message));
                continue;
            }
        };
        for resource in resources {
            let path = format!("{folder}{resource}");
            let inner = format!("{path}/{FILE}");
            if resource.starts_with("..") {
                let message = format!("{resource}: kubectl reads no file outside of the folder");
                findings.push(Finding::whole(&file.path, message));
            } else if known.contains(path.as_str()) {
                named.insert(path);
            } else if known.contains(inner.as_str()) {
                named.insert(inner);
            } else {
                let message = format!("{resource} is neither a file nor a kustomization");
                findings.push(Finding::whole(&file.path, message));
            }
        }
    }
    for file in files.iter().filter(below) {
        // The outermost is for users to name.
        if !named.contains(&file.path) && file.path != format!("{FOLDER}{FILE}") {
            findings.push(Finding::whole(&file.path, "no kustomization names it"));
        }
    }
    findings
}

fn resources(text: &str) -> Result<Vec<String>, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    let resources = documents
        .first()
        .and_then(|document| document.as_mapping_get("resources"))
        .and_then(Yaml::as_vec)
        .ok_or("has no resources")?;
    let names = resources
        .iter()
        .filter_map(|name| Some(name.as_str()?.to_owned()));
    Ok(names.collect())
}

/// Objects have names of their own: whoever removes the AWS Load Balancer Controller's chart must not remove
/// them, and whoever applies them must not change what it uses. The lease is no object of ours.
fn names(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with(FOLDER)) {
        for (index, line) in file.text.lines().enumerate() {
            if line.contains("ame: aws-load-balancer-") {
                let message = "a name of the AWS Load Balancer Controller's";
                findings.push(Finding::at(&file.path, index + 1, message));
            }
        }
    }
    findings
}

/// The version of the workspace is that of the image, where it is built and where it is run.
fn images(files: &[SourceFile]) -> Vec<Finding> {
    let version = value_of(files, "Cargo.toml", "version = ");
    let mut findings = Vec::new();
    for place in [DEPLOYMENT, "justfile"] {
        findings.extend(same(files, place, REPOSITORY, version));
    }
    findings
}

/// The image is compiled by the toolchain that everything else is.
fn toolchains(files: &[SourceFile]) -> Vec<Finding> {
    let channel = value_of(files, "rust-toolchain.toml", "channel = ");
    let mut findings = same(files, "Containerfile", COMPILER, channel);
    findings.extend(same(files, "Containerfile", "RUSTUP_TOOLCHAIN=", channel));
    findings
}

/// The quoted value of the first line that begins so.
fn value_of<'a>(files: &'a [SourceFile], path: &str, begin: &str) -> Option<&'a str> {
    let file = files.iter().find(|file| file.path == path)?;
    let line = file
        .text
        .lines()
        .find_map(|line| line.strip_prefix(begin))?;
    Some(line.trim_matches('"'))
}

/// What follows `before` in a file, up to a white space, a quote or a dash, is `wanted`, and it is there.
fn same(files: &[SourceFile], path: &str, before: &str, wanted: Option<&str>) -> Vec<Finding> {
    let text = files
        .iter()
        .find(|file| file.path == path)
        .map_or("", |file| &file.text);
    let found: Vec<&str> = text
        .split(before)
        .skip(1)
        .filter_map(|rest| rest.split([' ', '\n', '"', '\'', '-']).next())
        .collect();
    if found.is_empty() {
        return vec![Finding::whole(path, format!("does not have {before}"))];
    }
    let wanted = wanted.unwrap_or("(no pin)");
    found
        .iter()
        .filter(|found| **found != wanted)
        .map(|found| Finding::whole(path, format!("{before}{found}, where {wanted} is pinned")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[track_caller]
    fn check_row(found: &[Finding], expected: &[&str]) {
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_kustomization_names_what_is_there_and_all_of_it() {
        let outer = |resources: &str| {
            let text = format!("kind: Kustomization\nresources: [{resources}]\n");
            vec![
                file("deploy/kustomization.yaml", &text),
                file(
                    "deploy/controller/kustomization.yaml",
                    "resources: [a.yaml]\n",
                ),
                file("deploy/controller/a.yaml", "kind: A\n"),
            ]
        };
        let with = |resources: &str| kustomizations(&outer(resources));
        check_row(&with("controller"), &[]);
        let unnamed = "deploy/controller/kustomization.yaml: no kustomization names it";
        check_row(&with(""), &[unnamed]);
        check_row(&with("controller, b.yaml"), &["b.yaml is neither"]);
        check_row(
            &with("controller, ../a.yaml"),
            &["../a.yaml: kubectl reads no"],
        );
        let broken = [file("deploy/kustomization.yaml", "resources: [\n")];
        assert_eq!(kustomizations(&broken).len(), 1);
        let empty = [file("deploy/kustomization.yaml", "kind: Kustomization\n")];
        check_row(&kustomizations(&empty), &["has no resources"]);
    }

    #[test]
    fn no_object_has_the_name_of_one_of_lbcs() {
        let with = |name: &str| {
            let text = format!("metadata:\n  name: {name}\n");
            names(&[file("deploy/controller/webhook.yaml", &text)])
        };
        check_row(&with("elbow-webhook"), &[]);
        check_row(
            &with("aws-load-balancer-webhook"),
            &["webhook.yaml:2: a name of"],
        );
    }

    #[test]
    fn an_image_has_the_version_of_the_program() {
        let with = |version: &str| {
            images(&[
                file("Cargo.toml", "[workspace.package]\nversion = \"0.2.0\"\n"),
                file(DEPLOYMENT, &format!("image: {REPOSITORY}{version}\n")),
                file("justfile", &format!("image tag=\"{REPOSITORY}0.2.0\":\n")),
            ])
        };
        check_row(&with("0.2.0"), &[]);
        check_row(&with("0.1.0"), &["0.1.0, where 0.2.0 is pinned"]);
        check_row(&images(&[]), &["does not have", "does not have"]);
    }

    #[test]
    fn an_image_is_compiled_by_our_toolchain() {
        let with = |tag: &str| {
            let containerfile =
                format!("FROM {COMPILER}{tag} AS build\nENV RUSTUP_TOOLCHAIN=1.95.0\n");
            toolchains(&[
                file("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\n"),
                file("Containerfile", &containerfile),
            ])
        };
        check_row(&with("1.95.0-slim-bookworm"), &[]);
        check_row(&with("1.94.0-slim-bookworm"), &["1.94.0, where 1.95.0"]);
    }
}
