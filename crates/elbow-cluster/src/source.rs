//! Manifests from folders, files and standard input.
//!
//! In: [`Input`]s. Out: [`Loaded`], what an API server would hold had the manifests been applied to an
//! empty cluster, and a [`Diagnostic`] for everything it would have refused. Always holds: whatever is
//! wrong with a file, a document or an object costs that one and no other, and the order in which the
//! file system lists files leaves no trace. Start at [`load`].

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use elbow_api::{ByteSpan, Diagnostic, Kind, SourceLocation};
use walkdir::{DirEntry, WalkDir};

use crate::loaded::Loaded;
use crate::node::{Data, Node};
use crate::object;
use crate::schema;
use crate::suggest::nearest;
use crate::text::Text;
use crate::validate::Violation;
use crate::yaml::{self, Problem};

/// What standard input is called in diagnostics.
pub const STDIN: &str = "<stdin>";

/// Bytes that a file may have. Kubernetes stores no object of more than 1.5 MiB, so this is hundreds.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Where manifests are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Every `*.yaml`, `*.yml` and `*.json` in a folder and the folders in it. What is hidden (its name
    /// begins with a dot) is passed over.
    Folder(PathBuf),
    /// One file, whatever its name.
    File(PathBuf),
    /// What was read from standard input.
    Stdin(Vec<u8>),
}

impl Input {
    /// The folder or file of that path. A path that does not exist is a folder, and [`load`] says so.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        if path.is_file() {
            Self::File(path)
        } else {
            Self::Folder(path)
        }
    }
}

/// Loads manifests. The result is the same however the file system orders its files.
pub fn load(inputs: &[Input]) -> Loaded {
    let mut loader = Loader::default();
    for input in inputs {
        match input {
            Input::Folder(folder) => loader.folder(folder),
            Input::File(file) => loader.file(file),
            Input::Stdin(bytes) => loader.stdin(bytes),
        }
    }
    loader.nothing_of_use();
    loader.loaded
}

#[derive(Default)]
struct Loader {
    loaded: Loaded,
    /// Files that were read, so that a file given twice does not clash with itself.
    files: BTreeSet<PathBuf>,
    /// Old versions that were spoken of: once is enough.
    deprecated: BTreeSet<(Kind, String)>,
}

/// The kind and version of a document.
#[derive(Clone, Copy)]
struct TypeMeta<'n> {
    api_version: &'n str,
    kind: &'n str,
}

impl Loader {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.loaded.diagnostics.push(diagnostic);
    }

    fn folder(&mut self, folder: &Path) {
        let mut n_files = 0_usize;
        let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        for entry in walk
            .into_iter()
            .filter_entry(|e| e.depth() == 0 || !is_hidden(e))
        {
            match entry {
                Ok(entry) if entry.file_type().is_file() && is_manifest(entry.path()) => {
                    n_files += 1;
                    self.file(entry.path());
                }
                Ok(_) => {}
                Err(error) => {
                    n_files += 1; // Not an empty folder: one that could not be read.
                    let path = error.path().unwrap_or(folder).display().to_string();
                    let reason = match error.io_error() {
                        Some(error) => reason(error),
                        None => "its links go round in a circle".to_owned(),
                    };
                    self.unreadable(&path, &reason);
                }
            }
        }
        if n_files == 0 {
            let message = format!("no manifest is in `{}`", folder.display());
            self.report(
                Diagnostic::warning("no-manifests", message).hint(
                    "files that end in .yaml, .yml or .json are read, in folders of it as well",
                ),
            );
        }
    }

    fn stdin(&mut self, bytes: &[u8]) {
        if bytes.trim_ascii().is_empty() {
            let message = "nothing came from standard input";
            self.report(Diagnostic::warning("no-manifests", message));
        }
        self.bytes(STDIN.to_owned(), bytes);
    }

    /// Says so when there were objects and none is of a kind that elbow uses.
    fn nothing_of_use(&mut self) {
        let n_passed_over: usize = self.loaded.passed_over.values().sum();
        if n_passed_over > 0 && self.loaded.is_empty() {
            let kinds: Vec<_> = self.loaded.passed_over.keys().map(String::as_str).collect();
            let message = format!(
                "nothing here is of a kind that elbow uses: {}",
                kinds.join(", ")
            );
            self.report(Diagnostic::warning("no-objects", message));
        }
    }

    fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        if !self
            .files
            .insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
        {
            return;
        }
        match read(path) {
            Ok(bytes) => self.bytes(name, &bytes),
            Err(error) => self.unreadable(&name, &reason(&error)),
        }
    }

    fn unreadable(&mut self, path: &str, reason: &str) {
        let message = format!("`{path}` cannot be read: {reason}");
        self.report(Diagnostic::error("unreadable", message));
    }

    fn bytes(&mut self, name: String, bytes: &[u8]) {
        if bytes.contains(&0) {
            let hint = if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
                "it looks like UTF-16: save it as UTF-8"
            } else {
                "it looks like a binary file: move it away or give it another ending"
            };
            let location = SourceLocation {
                source: name,
                line: 1,
                column: 1,
                span: ByteSpan::default(),
            };
            self.report(
                Diagnostic::error("not-text", "the file is not text")
                    .hint(hint)
                    .located(location),
            );
            return;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let text = self.loaded.add_text(Text::new(name, text));
                for document in yaml::documents(text.as_str()) {
                    match document {
                        Ok(root) => self.document(&text, root, None),
                        Err(problems) => {
                            for problem in problems {
                                self.problem(&text, problem);
                            }
                        }
                    }
                }
            }
            Err(error) => {
                let start = error.valid_up_to();
                let text = Text::new(name, &String::from_utf8_lossy(bytes));
                let text = self.loaded.add_text(text);
                let span = ByteSpan {
                    start,
                    end: start + char::REPLACEMENT_CHARACTER.len_utf8(),
                };
                let message = format!("`{}` is not UTF-8", text.name());
                let diagnostic = Diagnostic::error("not-text", message);
                self.report(
                    diagnostic
                        .hint("save it as UTF-8")
                        .located(text.locate(span)),
                );
            }
        }
    }

    fn problem(&mut self, text: &Text, problem: Problem) {
        let mut diagnostic =
            Diagnostic::error(problem.code, problem.message).located(text.locate(problem.span));
        diagnostic.hint = problem.hint;
        if let Some((label, span)) = problem.related {
            diagnostic.related.push(elbow_api::diagnostic::Related {
                label: label.to_owned(),
                location: text.locate(span),
            });
        }
        self.report(diagnostic);
    }

    /// Takes in a document, or an item of a list. An item of a typed list may leave out its type.
    fn document(&mut self, text: &Text, root: Node, implied: Option<TypeMeta<'_>>) {
        let Data::Map(_) = root.data else { return };
        let (api_version, kind) = match (root.string("apiVersion"), root.string("kind"), implied) {
            (Some(api_version), Some(kind), _) => (api_version, kind),
            (None, None, Some(implied)) => (implied.api_version, implied.kind),
            (api_version, kind, _) => {
                self.untyped(text, &root, api_version, kind);
                return;
            }
        };
        let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
        let item_kind = kind.strip_suffix("List");
        if let (Some(item_kind), Some(Data::List(_))) =
            (item_kind, root.get("items").map(|n| &n.data))
        {
            let implied = TypeMeta {
                api_version: &api_version,
                kind: item_kind,
            };
            let implied = (!item_kind.is_empty()).then_some(implied);
            for item in into_items(root) {
                self.document(text, item, implied);
            }
            return;
        }
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        match Kind::parse(group, &kind) {
            Some(kind) => self.object(text, root, kind, version),
            None => self.other_kind(text, &root, group, &kind),
        }
    }

    /// A map without a kind or a version. It is passed over, and mentioned if it seems to be an object.
    fn untyped(&mut self, text: &Text, root: &Node, api_version: Option<&str>, kind: Option<&str>) {
        let has = |key| root.get(key).is_some();
        // A Helm chart's Chart.yaml has an apiVersion too, and is no object.
        let missing = match (api_version, kind) {
            (Some(_), None) if has("metadata") || has("spec") => "`kind`",
            (None, Some(_)) if has("metadata") || has("spec") => "`apiVersion`",
            (None, None) if has("metadata") && has("spec") => "`apiVersion` and `kind`",
            _ => return,
        };
        let message = format!("this looks like an object but has no {missing}");
        let location = text.locate(root.mark());
        self.report(Diagnostic::note("not-an-object", message).located(location));
    }

    /// An object of a kind that elbow does not use. It is passed over, and mentioned if its kind seems
    /// to be mistyped.
    fn other_kind(&mut self, text: &Text, root: &Node, group: &str, kind: &str) {
        *self.loaded.passed_over.entry(kind.to_owned()).or_default() += 1;
        let ours = Kind::ALL
            .into_iter()
            .filter(|k| k.group() == group && !group.is_empty());
        if let Some(near) = nearest(kind, ours.map(Kind::as_str)) {
            let message = format!("there is no kind `{kind}` in group `{group}`");
            let location = text.locate(root.find("kind"));
            self.report(
                Diagnostic::warning("unknown-kind", message)
                    .hint(format!("did you mean `{near}`?"))
                    .located(location),
            );
        }
    }

    fn object(&mut self, text: &Text, root: Node, kind: Kind, version: &str) {
        let definition = schema::find(kind);
        let Some((found, schema)) = definition.version(version) else {
            let known: Vec<_> = definition
                .versions
                .iter()
                .map(|v| v.name.as_str())
                .collect();
            let message = format!("there is no version `{version}` of {kind}");
            let mut diagnostic = Diagnostic::error("unknown-version", message)
                .hint(format!("use {}", known.join(" or ")))
                .located(text.locate(root.find("apiVersion")));
            diagnostic.object = object::identify(kind, &root);
            self.report(diagnostic);
            return;
        };
        if let Some(deprecation) = &found.deprecation
            && self.deprecated.insert((kind, found.name.clone()))
        {
            let location = text.locate(root.find("apiVersion"));
            let note = Diagnostic::note("deprecated-version", deprecation.clone());
            self.report(note.located(location));
        }
        let Some(this) = object::identify(kind, &root) else {
            // Without a name there is nothing to call it by, and the check says that.
            for violation in object::read(kind, schema, &root).1 {
                self.violation(text, violation, None);
            }
            return;
        };
        if let Some(first) = self.loaded.locate(&this, Some("metadata.name")) {
            let mut diagnostic =
                Diagnostic::error("duplicate-object", "this object is given twice")
                    .hint("remove one of the two; the first is used")
                    .located(text.locate(root.find("metadata.name")))
                    .on(this);
            diagnostic.related.push(elbow_api::diagnostic::Related {
                label: "first given here".to_owned(),
                location: first,
            });
            self.report(diagnostic);
            return;
        }
        let (object, violations) = object::read(kind, schema, &root);
        for violation in violations {
            self.violation(text, violation, Some(&this));
        }
        if let Some(object) = object {
            self.loaded.snapshot.apply(&object);
        }
        self.loaded.add_origin(this, text.name(), root);
    }

    fn violation(
        &mut self,
        text: &Text,
        violation: Violation,
        object: Option<&elbow_api::ObjectRef>,
    ) {
        let mut diagnostic = Diagnostic::error(violation.code, violation.message)
            .located(text.locate(violation.span));
        diagnostic.severity = violation.severity;
        diagnostic.object = object.cloned();
        diagnostic.hint = violation.hint;
        diagnostic.field = (!violation.field.is_empty()).then_some(violation.field);
        self.report(diagnostic);
    }
}

fn into_items(root: Node) -> Vec<Node> {
    let Data::Map(entries) = root.data else {
        return Vec::new();
    };
    let items = entries
        .into_iter()
        .find(|e| e.key == "items")
        .map(|e| e.value.data);
    if let Some(Data::List(items)) = items {
        items
    } else {
        Vec::new()
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        // Reading a pipe would wait for whoever writes it.
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    if metadata.len() > FILE_BYTES_MAX {
        let message = format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    fs::read(path)
}

/// Why a file cannot be read, without the number of the error.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission is denied".to_owned(),
        _ => error.to_string(),
    }
}
