//! `readme-table RECORD.json README.md`: writes the results of a record into a README, between the two comments of its table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use quantloom_bench::record::Record;
use quantloom_bench::{exit, readme};

fn main() -> ExitCode {
    let arguments = env::args_os().skip(1).map(PathBuf::from).collect::<Vec<_>>();
    let [record, document] = arguments.as_slice() else {
        eprintln!("usage: readme-table RECORD.json README.md");
        return ExitCode::from(2);
    };
    exit::code(update(record, document).map_err(Into::into))
}

fn update(record: &Path, document: &Path) -> Result<(), String> {
    let of_document = |error: String| format!("{}: {error}", document.display());
    let text = fs::read_to_string(document).map_err(|error| of_document(error.to_string()))?;
    let new = readme::replace(&text, &record.to_string_lossy(), &Record::load(record)?).map_err(of_document)?;
    fs::write(document, new).map_err(|error| of_document(error.to_string()))
}
