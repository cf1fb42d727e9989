//! Bad input: a clear finding each, and nothing lost beside it.
