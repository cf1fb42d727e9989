//! From paths to what is planned: manifests, what was made up for them, settings.
//!
//! In: `-f` paths and flags. Out: a [`Project`], the same for every command, so that `local`, `plan`,
//! `lint` and `render` speak of the same objects.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use elbow_api::{Diagnostic, NamespacedName, Severity};
use elbow_cluster::{Input, Loaded};
use elbow_model::{AwsCall, CertificateMaterial};
use elbow_translate::Settings;

use crate::args::SettingsArgs;
use crate::findings::Sources;
use crate::settings::{self, Place};
use crate::stand_ins::{self, MadeUp};

/// Whether to make up what the manifests name but do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandIns {
    /// Services, endpoints, node ports and nodes are made up.
    MakeUp,
    /// Nothing is.
    None,
}

/// Manifests, and all that is needed to translate them.
#[derive(Debug)]
pub struct Project {
    /// The manifests; what was made up is in the Snapshot, too.
    pub loaded: Loaded,
    /// What was made up.
    pub made_up: MadeUp,
    /// Where the load balancers are.
    pub place: Place,
    /// How Gateways are translated.
    pub settings: Settings,
}

/// The paths as inputs; `-` is standard input, which is read here, once.
pub fn inputs(paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    let mut stdin = None;
    paths
        .iter()
        .map(|path| {
            if path != Path::new("-") {
                return Ok(Input::path(path));
            }
            anyhow::ensure!(
                stdin.is_none(),
                "`-f -` is given twice; standard input is read once"
            );
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .context("cannot read standard input")?;
            Ok(Input::Stdin(stdin.insert(bytes).clone()))
        })
        .collect()
}

impl Project {
    /// Loads manifests and makes up what is to be made up.
    pub fn load(
        inputs: &[Input],
        args: &SettingsArgs,
        stand_ins: StandIns,
    ) -> anyhow::Result<Self> {
        let mut loaded = elbow_cluster::load(inputs);
        let place = settings::place(args, &loaded.snapshot);
        let mut settings = settings::settings(args, &place)?;
        let storage = &mut settings.bundle_storage;
        storage.get_or_insert_with(|| settings::made_up_storage(args));
        let made_up = match stand_ins {
            StandIns::MakeUp => stand_ins::make_up(&loaded.snapshot, &place.region),
            StandIns::None => MadeUp::default(),
        };
        for object in &made_up.objects {
            loaded.snapshot.apply(object);
        }
        Ok(Self {
            loaded,
            made_up,
            place,
            settings,
        })
    }

    /// Makes up anew what is to be made up, after objects were added.
    pub(crate) fn made_up_again(&mut self, stand_ins: bool) {
        if !stand_ins {
            return;
        }
        let extra = stand_ins::make_up(&self.loaded.snapshot, &self.place.region);
        for object in &extra.objects {
            self.loaded.snapshot.apply(object);
        }
        self.made_up.objects.extend(extra.objects);
        self.made_up.pods.extend(extra.pods);
        self.made_up.node_ports.extend(extra.node_ports);
        for note in extra.notes {
            if !self.made_up.notes.contains(&note) {
                self.made_up.notes.push(note);
            }
        }
    }

    /// What an import takes from the Secret that it names, if the Secret holds that.
    pub fn material(&self, call: &AwsCall) -> Option<CertificateMaterial> {
        material(&self.loaded, call)
    }

    /// Whether something could not be read or is not valid, so that an answer is not about all of it.
    pub fn is_incomplete(&self) -> bool {
        self.loaded
            .diagnostics
            .iter()
            .any(|d| d.severity == Severity::Error)
    }

    /// What the sources and translation found, each with its place; in the order of the places.
    pub fn findings(&self, translation: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut all = self.loaded.diagnostics.clone();
        all.extend(translation.into_iter().map(|d| self.loaded.place(d)));
        all.sort_by(|a, b| (&a.location, a).cmp(&(&b.location, b)));
        all.dedup();
        all
    }
}

/// What an import takes from the Secret that it names, if the Secret holds that.
pub(crate) fn material(loaded: &Loaded, call: &AwsCall) -> Option<CertificateMaterial> {
    let AwsCall::ImportCertificate { content, .. } = call else {
        return None;
    };
    let secret = NamespacedName::new(content.namespace.clone(), content.name.clone());
    let material = loaded.tls_material(&secret)?;
    (material.digest == content.digest).then_some(CertificateMaterial {
        certificate: material.certificate,
        chain: material.chain,
        private_key: material.private_key,
    })
}

impl Sources for Loaded {
    fn text(&self, name: &str) -> Option<&str> {
        Self::text(self, name).map(elbow_cluster::Text::as_str)
    }
}
