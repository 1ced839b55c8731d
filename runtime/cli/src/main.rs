//! The program `quantloom`. All of it is in the library, which is compiled while the code of the kernels is generated: this links.

use std::process::ExitCode;

fn main() -> ExitCode {
    quantloom_cli::main()
}
