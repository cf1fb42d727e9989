//! The `elbow` binary; the program is in the library of the same name.

fn main() -> std::process::ExitCode {
    elbow::main()
}
