//! Watches that keep a Snapshot equal to what the API server holds.
//!
//! In: which kinds, which namespace, and which Secrets, ConfigMaps and Pods at the time. Out: [`Event`]s.
//! One task owns every watch, so that what it knows of each kind needs no locks; discovery has one of its own.
//!
//! What always holds:
//! - What an object's last `Apply` said and no `Remove` took back is what the API server held when it
//!   was last heard of. After a gap, what disappeared in it is removed, and what did not change is not
//!   said again.
//! - No object is removed because an API server, or a part of it, could not be asked. A kind is given up
//!   only when its resource answers 404 and discovery does not know it either: an API server that has
//!   just started knows no custom resources, and answers 503 until it does.
//! - `Synced` comes once, after every kind was listed or is known to be missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use elbow_api::{Kind, NamespacedName, Object, ObjectRef};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_stream::StreamMap;

use super::discovery::{self, Versions};
use super::error::{chain, unreachable};
use super::kinds::{self, Served};
use super::objects::Unread;

mod backoff;

use backoff::Backoff;

/// A change of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is new, or is no longer what it was.
    Apply(Object),
    /// It is gone.
    Remove(ObjectRef),
}

/// Something that a watch saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Objects changed, in this order; never empty.
    Changed(Vec<Change>),
    /// Every kind was listed once, or is missing. Comes once; what is named is not
    /// waited for.
    Synced,
    /// A kind is listed and followed in this version. Comes again after `Missing`, and when the version
    /// changes.
    Served {
        /// The kind.
        kind: Kind,
        /// The version in which it is read and written.
        version: &'static str,
    },
    /// A kind cannot be read. Said once, until it is served again. A kind that is forbidden is not an
    /// empty one: nothing may be deleted for want of its objects.
    Missing {
        /// The kind.
        kind: Kind,
        /// Why.
        why: Absence,
    },
    /// A named Secret, ConfigMap or Pod was looked up. If it exists and may be read, it came in a `Changed`
    /// before this; until this comes, nobody can say that it does not exist.
    Named {
        /// The object.
        object: ObjectRef,
        /// Why it cannot be read, if so.
        refused: Option<Absence>,
    },
    /// Something does not work at the moment and is being retried. The same trouble is said once a
    /// minute at most.
    Trouble {
        /// The kind; none if it is about all of them.
        kind: Option<Kind>,
        /// What does not work.
        message: String,
    },
}

/// Why a kind cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// The API server does not have it: its CustomResourceDefinition is not installed.
    NotServed,
    /// RBAC does not allow it.
    Forbidden {
        /// The resource, as RBAC calls it.
        resource: String,
        /// The API server's words.
        message: String,
    },
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed => f.write_str("its CustomResourceDefinition is not installed"),
            Self::Forbidden { resource, message } => {
                write!(
                    f,
                    "RBAC does not allow list and watch on {resource}: {message}"
                )
            }
        }
    }
}

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// Of namespaced kinds, only the objects in this namespace. Secrets, ConfigMaps and Pods
    /// that are named are watched wherever they are.
    pub namespace: Option<String>,
    /// The kinds. Pods, Secrets and ConfigMaps are left out if they are among them.
    pub kinds: BTreeSet<Kind>,
    /// Objects in a page of a list. A page is held in memory as text, and an EndpointSlice or a Node is
    /// up to 30 KB of it.
    pub page_size: u32,
    /// How often discovery is polled for resources that were installed or removed.
    pub discovery_interval: Duration,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            namespace: None,
            kinds: Kind::ALL.into_iter().collect(),
            page_size: 100,
            discovery_interval: Duration::from_secs(10),
        }
    }
}

/// Objects that one `Changed` carries at most, more or less: what a page or a burst brings.
const CHUNK: usize = 256;

/// How often the same trouble is said.
const TROUBLE_INTERVAL: Duration = Duration::from_mins(1);

/// Refusals in a row after which a watch is begun anew with a list. A resource version that an API
/// server cannot serve any more is refused for ever if it says so other than by 410.
const FAILURES_MAX: u32 = 5;

/// Watches until the receiver is dropped.
pub(super) fn watch(
    client: Client,
    served: Served,
    settings: WatchSettings,
    named: watch::Receiver<BTreeSet<ObjectRef>>,
) -> mpsc::Receiver<Event> {
    let (tx, rx) = mpsc::channel(64);
    let nudge = Arc::new(Notify::new());
    let discovered = discovery::follow(
        client.clone(),
        settings.discovery_interval,
        Arc::clone(&nudge),
    );
    let watches = Watches {
        client,
        served,
        settings,
        tx,
        nudge,
        sources: BTreeMap::new(),
        streams: StreamMap::new(),
        said: BTreeMap::new(),
        synced: Progress::Listing,
    };
    tokio::spawn(watches.run(discovered, named));
    rx
}

/// What is watched by one stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Kind(Kind),
    /// A Secret, a ConfigMap or a Pod.
    Named(ObjectRef),
}

impl Key {
    fn kind(&self) -> Kind {
        match self {
            Self::Kind(kind) => *kind,
            Self::Named(object) => object.kind,
        }
    }
}

/// What is known of one stream's objects.
#[derive(Debug, Default)]
struct Source {
    /// The version that is watched; none while nothing is.
    version: Option<&'static str>,
    /// The objects, shared with whoever received them.
    objects: BTreeMap<NamespacedName, Object>,
    /// While a list is being read: what was in it so far.
    listed: Option<BTreeSet<NamespacedName>>,
    /// What was said last.
    said: Said,
    /// The resource answered that it does not exist.
    not_found: bool,
    /// Refusals since the last success.
    failures: u32,
    /// How long to wait before beginning anew.
    restarts: Backoff,
    /// What is known is enough.
    is_final: bool,
}

/// What was said of a source.
#[derive(Debug, Default, PartialEq, Eq)]
enum Said {
    #[default]
    Nothing,
    Served(&'static str),
    Missing(Absence),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Listing,
    Synced,
}

type Item = Result<watcher::Event<Unread>, watcher::Error>;

struct Watches {
    client: Client,
    served: Served,
    settings: WatchSettings,
    tx: mpsc::Sender<Event>,
    nudge: Arc<Notify>,
    sources: BTreeMap<Key, Source>,
    streams: StreamMap<Key, BoxStream<'static, Vec<Item>>>,
    /// When which trouble was said, for as long as it is not said again.
    said: BTreeMap<(Option<Kind>, String), Instant>,
    synced: Progress,
}

/// The receiver is gone, so there is nothing left to do.
#[derive(Debug)]
struct Closed;

impl Watches {
    async fn run(
        mut self,
        mut discovered: mpsc::Receiver<Result<Versions, String>>,
        mut named: watch::Receiver<BTreeSet<ObjectRef>>,
    ) {
        let tx = self.tx.clone();
        let kinds = std::mem::take(&mut self.settings.kinds);
        for kind in kinds {
            // Nobody needs all of these that a cluster has.
            if !matches!(kind, Kind::Pod | Kind::Secret | Kind::ConfigMap) {
                self.sources.insert(Key::Kind(kind), Source::default());
            }
        }
        let built_in: Vec<_> = self
            .sources
            .keys()
            .map(Key::kind)
            .filter(|kind| kinds::is_built_in(*kind))
            .collect();
        for kind in built_in {
            if let Some(version) = self.served.version(kind) {
                self.start(Key::Kind(kind), version);
            }
        }
        named.mark_changed();
        let mut named = Some(named);
        loop {
            let done = tokio::select! {
                () = tx.closed() => return,
                Some(answer) = discovered.recv() => match answer {
                    Ok(versions) => self.follow_versions(&versions).await,
                    Err(message) => self.trouble(None, message).await,
                },
                now = changed(&mut named) => match now {
                    Some(now) => self.follow_named(&now).await,
                    None => Ok(()),
                },
                Some((key, items)) = self.streams.next() => self.take_in(&key, items).await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn say(&mut self, event: Event) -> Result<(), Closed> {
        self.tx.send(event).await.map_err(|_| Closed)
    }

    /// Says what does not work, unless it was said lately.
    async fn trouble(&mut self, kind: Option<Kind>, message: String) -> Result<(), Closed> {
        let now = Instant::now();
        self.said
            .retain(|_, when| now.duration_since(*when) < TROUBLE_INTERVAL);
        let key = (kind, message.clone());
        if self.said.contains_key(&key) {
            return Ok(());
        }
        self.said.insert(key, now);
        self.say(Event::Trouble { kind, message }).await
    }

    /// Begins anew with a list, after a while that grows.
    fn restart(&mut self, key: Key, version: &'static str) {
        let source = self.sources.entry(key.clone()).or_default();
        let pause = source.restarts.next().unwrap_or_default();
        self.start_after(pause, key, version);
    }

    /// Begins to watch.
    fn start(&mut self, key: Key, version: &'static str) {
        self.start_after(Duration::ZERO, key, version);
    }

    fn start_after(&mut self, pause: Duration, key: Key, version: &'static str) {
        let kind = key.kind();
        let resource = kinds::resource(kind, version);
        let config = watcher::Config::default().page_size(self.settings.page_size);
        let namespace = match &key {
            Key::Named(object) => Some(object.namespace.as_str()),
            Key::Kind(kind) if kind.is_namespaced() => self.settings.namespace.as_deref(),
            Key::Kind(_) => None,
        };
        let api: Api<Unread> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let config = match &key {
            Key::Named(object) => config.fields(&format!("metadata.name={}", object.name)),
            Key::Kind(_) => config,
        };
        let stream = stream::once(tokio::time::sleep(pause))
            .flat_map(move |()| {
                watcher(api.clone(), config.clone())
                    .backoff(Backoff::default())
                    .boxed()
            })
            .ready_chunks(CHUNK)
            .boxed();
        let source = self.sources.entry(key.clone()).or_default();
        source.version = Some(version);
        source.listed = None;
        source.not_found = false;
        source.failures = 0;
        self.streams.insert(key, stream);
    }

    /// Ends a watch; what is known of its objects stays.
    fn stop(&mut self, key: &Key) {
        self.streams.remove(key);
        if let Some(source) = self.sources.get_mut(key) {
            source.version = None;
        }
    }

    /// Starts and moves watches as discovery says, and tries those again that were not allowed.
    async fn follow_versions(&mut self, versions: &Versions) -> Result<(), Closed> {
        let keys: Vec<_> = self.sources.keys().cloned().collect();
        for key in keys {
            let kind = key.kind();
            let wanted = if kinds::is_built_in(kind) {
                self.served.version(kind)
            } else {
                versions.get(&kind).copied()
            };
            let Some(source) = self.sources.get(&key) else {
                continue;
            };
            if source.is_final {
                continue;
            }
            match (source.version, wanted) {
                // The first time, the resource itself is asked: an API server that has just started
                // does not know it yet, and whoever takes it for absent sees an empty cluster.
                (None, None) if source.said == Said::Nothing => {
                    if let Some(version) = kinds::versions(kind).first() {
                        self.start(key, version);
                    }
                }
                (None, None) => self.missing(&key, Absence::NotServed).await?,
                (Some(_), None) if source.not_found => {
                    self.stop(&key);
                    self.served.set(kind, None);
                    self.remove_all(&key).await?;
                    self.missing(&key, Absence::NotServed).await?;
                }
                // Discovery alone is no reason to drop what can still be read.
                (Some(_), None) => {}
                (Some(old), Some(new)) if old == new && !source.not_found => {}
                (_, Some(version)) => {
                    if !kinds::is_built_in(kind) {
                        self.served.set(kind, Some(version));
                    }
                    self.start(key, version);
                }
            }
        }
        self.settle().await
    }

    /// Watches the objects that are named, and forgets the others.
    async fn follow_named(&mut self, named: &BTreeSet<ObjectRef>) -> Result<(), Closed> {
        let dropped: Vec<_> = self
            .sources
            .keys()
            .filter(|key| matches!(key, Key::Named(object) if !named.contains(object)))
            .cloned()
            .collect();
        for key in dropped {
            self.stop(&key);
            self.remove_all(&key).await?;
            self.sources.remove(&key);
        }
        for object in named {
            let key = Key::Named(object.clone());
            if !self.sources.contains_key(&key) {
                self.start(key, "v1");
            }
        }
        Ok(())
    }

    /// Takes in what a stream brought.
    async fn take_in(&mut self, key: &Key, items: Vec<Item>) -> Result<(), Closed> {
        let kind = key.kind();
        let mut changes = Vec::new();
        let mut troubles = Vec::new();
        let mut errors = Vec::new();
        let mut has_listed = false;
        let Some(source) = self.sources.get_mut(key) else {
            return Ok(());
        };
        for item in items {
            match item {
                Ok(event) => {
                    has_listed |= source.take(kind, event, &mut changes, &mut troubles);
                }
                Err(error) => errors.push(error),
            }
        }
        if !changes.is_empty() {
            self.say(Event::Changed(changes)).await?;
        }
        if has_listed {
            self.listed(key).await?;
        }
        for message in troubles {
            self.trouble(Some(kind), message).await?;
        }
        for error in errors {
            self.failed(key, &error).await?;
        }
        Ok(())
    }

    /// A source was listed as a whole.
    async fn listed(&mut self, key: &Key) -> Result<(), Closed> {
        let Some(source) = self.sources.get_mut(key) else {
            return Ok(());
        };
        let Some(version) = source.version else {
            return Ok(());
        };
        if source.said != Said::Served(version) {
            source.said = Said::Served(version);
            if let Key::Kind(kind) = key {
                self.served.set(*kind, Some(version));
            }
            self.say(match key {
                Key::Kind(kind) => Event::Served {
                    kind: *kind,
                    version,
                },
                Key::Named(object) => Event::Named {
                    object: object.clone(),
                    refused: None,
                },
            })
            .await?;
        }
        if let Some(source) = self.sources.get_mut(key)
            && source.is_enough(key)
        {
            source.is_final = true;
            self.streams.remove(key);
        }
        self.settle().await
    }

    /// A request of a watch failed. The stream goes on by itself, unless that is of no use.
    async fn failed(&mut self, key: &Key, error: &watcher::Error) -> Result<(), Closed> {
        let kind = key.kind();
        let status = status_of(error);
        let code = status.map_or(0, |status| status.code);
        let Some(source) = self.sources.get_mut(key) else {
            return Ok(());
        };
        // An API server that is away or busy will know the resource version when it is back, and a list
        // of everything by every watch is not what it needs then.
        if !matches!(code, 0 | 401 | 429 | 503) {
            source.failures += 1;
        }
        match (code, status) {
            (403, Some(status)) => {
                let why = Absence::Forbidden {
                    resource: kinds::rbac_name(kind),
                    message: status.message.clone(),
                };
                // Discovery's next poll tries again.
                self.stop(key);
                self.missing(key, why).await?;
                return self.settle().await;
            }
            (404, _) => {
                source.not_found = true;
                self.nudge.notify_one();
                return Ok(());
            }
            _ => {}
        }
        // The watcher itself lists again only if a watch that is open says so. One that is refused by 410
        // it repeats for ever, and by 404 as well, which it takes for an event that it cannot read.
        let is_unread = matches!(request_error(error), Some(kube::Error::SerdeError(_)));
        let is_expired = code == 410 && !matches!(error, watcher::Error::WatchError(_));
        if (is_expired || is_unread || source.failures >= FAILURES_MAX)
            && let Some(version) = source.version
        {
            self.restart(key.clone(), version);
        }
        if code == 410 {
            return Ok(()); // A gap, which the list that follows closes.
        }
        match request_error(error).and_then(unreachable) {
            Some(message) => self.trouble(None, message).await,
            None if is_unread => {
                let message =
                    "a watch was answered by what is no event; it begins anew with a list";
                self.trouble(Some(kind), message.to_owned()).await
            }
            None => self.trouble(Some(kind), chain(error)).await,
        }
    }

    /// Says that a source cannot be read, once.
    async fn missing(&mut self, key: &Key, why: Absence) -> Result<(), Closed> {
        let Some(source) = self.sources.get_mut(key) else {
            return Ok(());
        };
        let is_said = matches!(
            (&source.said, &why),
            (Said::Missing(Absence::NotServed), Absence::NotServed)
                | (
                    Said::Missing(Absence::Forbidden { .. }),
                    Absence::Forbidden { .. }
                )
        );
        if is_said {
            return Ok(());
        }
        source.said = Said::Missing(why.clone());
        self.say(match key {
            Key::Kind(kind) => Event::Missing { kind: *kind, why },
            Key::Named(object) => Event::Named {
                object: object.clone(),
                refused: Some(why),
            },
        })
        .await
    }

    async fn remove_all(&mut self, key: &Key) -> Result<(), Closed> {
        let kind = key.kind();
        let Some(source) = self.sources.get_mut(key) else {
            return Ok(());
        };
        let removed: Vec<_> = std::mem::take(&mut source.objects)
            .into_keys()
            .map(|name| Change::Remove(reference(kind, name)))
            .collect();
        if removed.is_empty() {
            return Ok(());
        }
        self.say(Event::Changed(removed)).await
    }

    /// Says `Synced` when every kind has been spoken of.
    async fn settle(&mut self) -> Result<(), Closed> {
        let is_settled = |(key, source): (&Key, &Source)| {
            matches!(key, Key::Named(_)) || source.said != Said::Nothing
        };
        if self.synced == Progress::Listing && self.sources.iter().all(is_settled) {
            self.synced = Progress::Synced;
            self.say(Event::Synced).await?;
        }
        Ok(())
    }
}

impl Source {
    /// Whether what was listed of a pod is enough. Without a gate a pod is ready as soon as its
    /// containers are, and its EndpointSlice tells that: most pods that start need no watch.
    fn is_enough(&self, key: &Key) -> bool {
        let is_enough = |object: &Object| match object {
            Object::Pod(pod) => {
                let spec = pod.spec.as_ref();
                let gates = spec.and_then(|spec| spec.readiness_gates.as_ref());
                let status = pod.status.as_ref();
                let conditions = status.and_then(|status| status.conditions.as_ref());
                let mut conditions = conditions.into_iter().flatten();
                gates.is_none_or(Vec::is_empty)
                    && !conditions.any(|c| c.type_ == "ContainersReady" && c.status == "True")
            }
            _ => false,
        };
        matches!(key, Key::Named(_))
            && !self.objects.is_empty()
            && self.objects.values().all(is_enough)
    }

    /// Takes in an event; true if a list is complete with it.
    fn take(
        &mut self,
        kind: Kind,
        event: watcher::Event<Unread>,
        changes: &mut Vec<Change>,
        troubles: &mut Vec<String>,
    ) -> bool {
        match event {
            watcher::Event::Init => self.listed = Some(BTreeSet::new()),
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                self.failures = 0;
                let name = object.name();
                if let Some(listed) = &mut self.listed {
                    listed.insert(name.clone());
                }
                match object.read(kind) {
                    Ok(object) if self.objects.get(&name) == Some(&object) => {}
                    Ok(object) => {
                        self.objects.insert(name, object.clone());
                        changes.push(Change::Apply(object));
                    }
                    // What was known of it before stays: better old than gone.
                    Err(error) => troubles.push(format!("{kind} {name} cannot be read: {error}")),
                }
            }
            watcher::Event::Delete(object) => {
                self.failures = 0;
                let name = object.name();
                if self.objects.remove(&name).is_some() {
                    changes.push(Change::Remove(reference(kind, name)));
                }
            }
            watcher::Event::InitDone => {
                self.failures = 0;
                let listed = self.listed.take().unwrap_or_default();
                let gone: Vec<_> = self
                    .objects
                    .keys()
                    .filter(|name| !listed.contains(name))
                    .cloned()
                    .collect();
                for name in gone {
                    self.objects.remove(&name);
                    changes.push(Change::Remove(reference(kind, name)));
                }
                return true;
            }
        }
        false
    }
}

fn reference(kind: Kind, name: NamespacedName) -> ObjectRef {
    ObjectRef::new(kind, name.namespace, name.name)
}

/// The API server's answer in an error, if there was one.
fn status_of(error: &watcher::Error) -> Option<&kube::core::Status> {
    match (error, request_error(error)) {
        (watcher::Error::WatchError(status), _) | (_, Some(kube::Error::Api(status))) => {
            Some(status)
        }
        _ => None,
    }
}

/// The failed request behind an error of a watch, if there was one.
fn request_error(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        _ => None,
    }
}

/// Waits for other objects to be named; for ever once nobody can name any.
async fn changed(
    named: &mut Option<watch::Receiver<BTreeSet<ObjectRef>>>,
) -> Option<BTreeSet<ObjectRef>> {
    let Some(receiver) = named else {
        return std::future::pending().await;
    };
    if receiver.changed().await.is_err() {
        *named = None;
        return None;
    }
    Some(receiver.borrow_and_update().clone())
}

#[cfg(test)]
mod tests;
