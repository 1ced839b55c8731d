//! The tables that quantloom ships, as part of the program: reading a shipped card needs no files.

use std::io;

use crate::diagnostic::Source;
use crate::table::Tables;

/// Names and texts, sorted by name.
static TABLES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// The tables of the folder `tables/`, as they were when this crate was built.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShippedTables;

impl Tables for ShippedTables {
    fn names(&self) -> Vec<String> {
        TABLES.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn open(&self, name: &str) -> io::Result<Source> {
        let (name, text) = TABLES.iter().find(|(known, _)| *known == name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Source { path: format!("tables/{name}.toml"), text: (*text).to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TableFolder, cards_dir};

    #[test]
    fn every_table_of_the_folder_is_embedded() {
        let folder = TableFolder::new(cards_dir().join("tables"));
        assert_eq!(ShippedTables.names(), folder.names());
        for name in folder.names() {
            assert_eq!(ShippedTables.open(&name).unwrap().text, folder.open(&name).unwrap().text, "{name}");
        }
    }
}
