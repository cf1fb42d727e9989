//! Programs that checks need and that a fresh machine does not have.
//!
//! In: the target folder. Out: the path of a program of the version that is written down here.
//! Always: nothing is installed outside the target folder; a version that is there is not installed
//! again; another version beside it does no harm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::command::{cargo, succeed};

/// A cargo command from crates.io.
pub(super) struct CargoTool {
    name: &'static str,
    /// Raised on purpose, with a look at what changed: every machine checks by the same version.
    version: &'static str,
    /// Features, when not the default ones: fewer make a shorter build.
    features: Option<&'static str>,
}

pub(super) const NEXTEST: CargoTool = CargoTool {
    name: "cargo-nextest",
    version: "0.9.151",
    // Without the updater of itself.
    features: Some("default-no-update"),
};

pub(super) const DENY: CargoTool = CargoTool {
    name: "cargo-deny",
    version: "0.20.2",
    features: None,
};

impl CargoTool {
    /// The program, built and installed below `target` first where it is missing.
    ///
    /// The build takes the debug profile: the tools run for seconds, and are built on each new machine.
    pub(super) fn path(&self, root: &Path, target: &Path) -> anyhow::Result<PathBuf> {
        let home = target
            .join("tools")
            .join(format!("{}-{}", self.name, self.version));
        let program = home
            .join("bin")
            .join(self.name)
            .with_extension(std::env::consts::EXE_EXTENSION);
        if program.exists() {
            return Ok(program);
        }
        let mut install = cargo(root);
        install
            .args(["install", "--locked", "--debug", self.name])
            .args(["--version", self.version, "--root"])
            .arg(&home)
            // Apart from our own build: the two would share nothing and rebuild each other's crates.
            .env("CARGO_TARGET_DIR", build_folder(target))
            // Nobody debugs the tools; without its information they build and link faster.
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        if let Some(features) = self.features {
            install.args(["--no-default-features", "--features", features]);
        }
        succeed(&mut install).with_context(|| format!("cannot install {}", self.name))?;
        Ok(program)
    }
}

/// Installs all cargo tools that are missing, then drops what their builds left behind: 1.4 GB that
/// nobody needs again, beside a build of ours that needs the room. One build folder for all of them
/// compiles what they share once.
pub(super) fn install(root: &Path, target: &Path) -> anyhow::Result<()> {
    for tool in [&NEXTEST, &DENY] {
        tool.path(root, target)?;
    }
    let left_over = build_folder(target);
    if left_over.exists() {
        fs::remove_dir_all(&left_over)
            .with_context(|| format!("cannot remove {}", left_over.display()))?;
    }
    Ok(())
}

fn build_folder(target: &Path) -> PathBuf {
    target.join("tools/build")
}

/// A Python interpreter that has the packages of `requirements`, in a virtual environment below
/// `target`. The environment is brought up to date when the file's contents change.
pub(super) fn python(target: &Path, requirements: &Path) -> anyhow::Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let environment = target.join("tools/python");
    let python = environment.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    let installed = environment.join("elbow-requirements.txt");
    if python.exists() && fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    succeed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )
    .context(
        "cannot make a virtual environment; Debian has its part of Python in `python3-venv`",
    )?;
    succeed(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(requirements),
    )
    .context("cannot install the Python packages of the tests")?;
    // Written last: an installation that was cut off is done again.
    fs::write(&installed, wanted)
        .with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(python)
}
