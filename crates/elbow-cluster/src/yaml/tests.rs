//! What the reader makes of texts, good and bad.
