//! The binary: everything lies in the library.

fn main() -> std::process::ExitCode {
    luxedit::cli::main()
}
