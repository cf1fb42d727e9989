//! What came of loading manifests.
//!
//! In: objects, texts and diagnostics from the loader. Out: [`Loaded`], which can also say where any
//! field of any object stands, for whoever finds fault with it later.

use std::collections::BTreeMap;
use std::sync::Arc;

use elbow_api::{
    Diagnostic, Kind, NamespacedName, Object, ObjectRef, Snapshot, SourceLocation, TlsMaterial,
};

use crate::node::Node;
use crate::object;
use crate::text::Text;

/// What came of loading manifests.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects that an API server would have accepted.
    pub snapshot: Snapshot,
    /// What it would have refused or warned of, in the order of the texts.
    pub diagnostics: Vec<Diagnostic>,
    /// How many objects were passed over, by kind, since elbow does not use them.
    pub passed_over: BTreeMap<String, usize>,
    texts: BTreeMap<String, Arc<Text>>,
    origins: BTreeMap<ObjectRef, Origin>,
    /// Objects that an earlier reading held, with the text that they were in.
    kept: BTreeMap<ObjectRef, String>,
}

/// Where an object stands.
#[derive(Debug)]
struct Origin {
    source: String,
    root: Node,
}

impl Loaded {
    /// Where an object, or one of its fields, stands. A field is written as in [`Diagnostic::field`];
    /// for one that is not written down the answer is the innermost part of it that is.
    pub fn locate(&self, object: &ObjectRef, field: Option<&str>) -> Option<SourceLocation> {
        let origin = self.origins.get(object)?;
        let text = self.texts.get(&origin.source)?;
        Some(text.locate(origin.root.find(field.unwrap_or_default())))
    }

    /// What an import takes from a Secret, read from its text at this moment; `None` if it is not there
    /// or cannot be imported.
    pub fn tls_material(&self, secret: &NamespacedName) -> Option<TlsMaterial> {
        let object = ObjectRef::new(Kind::Secret, &secret.namespace, &secret.name);
        object::tls_material(&self.origins.get(&object)?.root)
    }

    /// Puts the objects of another reading over these, as if they were applied later.
    pub fn apply(&mut self, other: Self) {
        for object in other.snapshot.objects() {
            self.snapshot.apply(&object);
        }
        self.texts.extend(other.texts);
        self.origins.extend(other.origins);
        self.diagnostics.extend(other.diagnostics);
    }

    /// The name of the text that an object is in, or was in when it was last read.
    pub fn source_of(&self, object: &ObjectRef) -> Option<&str> {
        let origin = self.origins.get(object).map(|origin| &origin.source);
        origin.or_else(|| self.kept.get(object)).map(String::as_str)
    }

    /// Takes over an object of an earlier reading, from a text that cannot be read at the moment.
    pub fn keep(&mut self, object: &Object, source: String) {
        self.snapshot.apply(object);
        self.kept.insert(object.object_ref(), source);
    }

    /// Adds to a diagnostic where its object and field stand, if it does not say so itself.
    #[must_use]
    pub fn place(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        if let (None, Some(object)) = (&diagnostic.location, &diagnostic.object) {
            diagnostic.location = self.locate(object, diagnostic.field.as_deref());
        }
        diagnostic
    }

    /// The text that a [`SourceLocation`] is in, to show its lines. A file that is not text has none.
    pub fn text(&self, source: &str) -> Option<&Text> {
        self.texts.get(source).map(Arc::as_ref)
    }

    /// The texts that were read, by name.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.texts.values().map(Arc::as_ref)
    }

    /// Whether no object of a kind that elbow uses was found, not even a wrong one.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    pub(crate) fn add_text(&mut self, text: Text) -> Arc<Text> {
        let text = Arc::new(text);
        self.texts.insert(text.name().to_owned(), Arc::clone(&text));
        text
    }

    pub(crate) fn add_origin(&mut self, object: ObjectRef, source: &str, root: Node) {
        self.origins.insert(
            object,
            Origin {
                source: source.to_owned(),
                root,
            },
        );
    }
}
