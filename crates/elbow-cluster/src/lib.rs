//! Where Snapshots come from: manifest folders and standard input.
