//! AWS vocabulary: typed ids and ARNs, the Stack, Facts, Observed and AwsCall.
