//! Kubernetes vocabulary: custom resources, names of annotations, labels and finalizers, and the Snapshot.
