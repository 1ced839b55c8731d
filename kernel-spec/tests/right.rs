//! Every card of this repository is right, short, and the only place that names its format.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use quantloom_spec::kernels::{Numerics, Prefetch, Set};
use quantloom_spec::model::Format;

#[test]
fn every_card_reads_without_error() {
    let spec = common::spec();
    let blocks = spec.formats.iter().filter(|(_, format)| format.blocks().is_some()).count();
    assert_eq!((blocks, spec.formats.len() - blocks), (30, 188));
    let built = spec.formats.iter().filter(|(_, format)| format.kernels).count();
    assert_eq!(built, 30 + 8, "each takes seconds of every build");
    assert!(spec.isas.len() >= 3 && !spec.kernels.is_empty() && !spec.processors.is_empty() && !spec.dialects.is_empty());
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn cards_are_short() {
    for folder in ["formats", "isa", "processors", "gpu", "tables"] {
        for path in files(&common::root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= 120, "{}: {widest} columns", path.display());
            let lines = text.lines().count();
            assert!(["tables", "processors"].contains(&folder) || lines <= 40, "{}: {lines} lines", path.display());
        }
    }
}

/// A name, unless it is also what cards call a type of items.
fn telling_name((_, format): &(PathBuf, Format)) -> Option<String> {
    Some(format.name.to_lowercase()).filter(|name| !["f16", "bf16", "f32"].contains(&name.as_str()))
}

#[test]
fn no_source_names_a_format() {
    let names: Vec<String> = common::spec().formats.iter().filter_map(telling_name).collect();
    for path in files(&common::root().join("src")) {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        let named: Vec<&String> = names.iter().filter(|name| text.contains(name.as_str())).collect();
        assert!(named.is_empty(), "{} names {named:?}", path.display());
    }
}

#[test]
fn every_instruction_set_has_kernels_for_every_batch() {
    let spec = common::spec();
    let isas: Vec<_> = spec.isas.iter().map(|(_, isa)| isa.clone()).collect();
    for isa in &isas {
        for numerics in Numerics::ALL {
            let variants = spec.kernels.iter().flat_map(|(_, kernels)| &kernels.variants);
            let lineage: Vec<_> = isa.lineage(&isas).map(|isa| &isa.name).collect();
            let mut run = variants.filter(|variant| lineage.contains(&&variant.isa) && variant.numerics == numerics);
            assert!(run.any(|variant| variant.batch.contains(&1) && variant.set == Set::Default), "{}", isa.name);
        }
    }
}

#[test]
fn tiles_are_named_by_shape_and_prefetch() {
    let kernels = &common::spec().kernels[0].1;
    let mut variant = kernels.variants[0].clone();
    (variant.rows, variant.cols, variant.steps, variant.prefetch) = (16, 8, 1, Prefetch::Far);
    assert_eq!(variant.tile_name(), "r16c8.far");
    variant.steps = 2;
    assert_eq!(variant.tile_name(), "r16c8.s2.far");
    variant.vectors = Some(4);
    assert_eq!(variant.tile_name(), "r16c8.v4.s2.far");
    (variant.vectors, variant.steps, variant.prefetch) = (None, 1, Prefetch::None);
    assert_eq!(variant.tile_name(), "r16c8");
}
