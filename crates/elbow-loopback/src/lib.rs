//! Answers AwsCalls from an emulator in the same process.
