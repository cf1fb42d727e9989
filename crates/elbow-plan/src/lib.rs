//! Stack and Observed in, an ordered, explained Plan out.
