//! Weights in separate tensors and rows with headers, from the files of `testdata/tensors`, which numpy computed.

mod support;

use std::path::PathBuf;

use quantloom::Error;
use quantloom::gguf::{BlockShape, Gguf};
use quantloom::matmul::{Request, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::safetensors::SafeTensors;
use quantloom::stored::Stored;
use quantloom::testing;
use quantloom::weights::Weights;
use serde_json::Value as Json;
use support::products::{bits, every_kernel_agrees, nmse, numerics_of};
use support::tensors::{FILES, PREFIX, floats};
use support::testdata;

/// A matrix, and what numpy made of it.
struct Sample<'a> {
    what: &'a str,
    stored: Stored<'a>,
    dequantized: Vec<f32>,
    activations: Vec<f32>,
    matmul: Vec<f32>,
}

fn path(file: &str) -> PathBuf {
    testdata("tensors").join(file)
}

fn format(name: &str) -> &'static Format {
    registry::format_by_name(name).unwrap()
}

/// Calls `test` with every sample.
fn samples(mut test: impl FnMut(&Sample<'_>)) {
    for (what, name, shape) in FILES {
        let file = SafeTensors::open(path(&format!("{what}.safetensors"))).unwrap();
        let values = |name: &str| floats(file.tensor(name).unwrap().bytes);
        test(&Sample {
            what,
            stored: file.matrix(format(name), PREFIX, shape).unwrap(),
            dequantized: values(&format!("{PREFIX}.dequantized")),
            activations: values("activations"),
            matmul: values("matmul"),
        });
    }
    let file = Gguf::open(path("iq4_ks.gguf")).unwrap();
    let tensor = file.tensor("quantized").unwrap();
    let format = registry::format_by_gguf(tensor.kind).unwrap();
    let bytes = file.bytes(tensor, BlockShape::of(format).unwrap()).unwrap();
    let values = |name: &str| floats(file.bytes(file.tensor(name).unwrap(), BlockShape::F32).unwrap());
    test(&Sample {
        what: "iq4_ks",
        stored: Stored::new(format, tensor.rows(), tensor.k(), bytes).unwrap(),
        dequantized: values("quantized.f32"),
        activations: values("activations"),
        matmul: values("matmul.exact"),
    });
}

#[test]
fn decoding_matches_numpy_bit_for_bit() {
    samples(|sample| {
        let stored = &sample.stored;
        assert_eq!(stored.n() * stored.k(), sample.dequantized.len(), "{}", sample.what);
        testing::decodes_to(stored, &sample.dequantized).unwrap_or_else(|failure| panic!("{}: {failure}", sample.what));
    });
}

/// The bound of `int8` is that of quantising activations of this kind, with room for chance: the largest of 32 numbers with a normal
/// distribution is about 2.1 of their deviations, of 256 about 2.8, so a step is at most 2.8/127, and its error 1/12 of its square.
#[test]
fn products_match_numpy() {
    let mut tested = 0;
    samples(|sample| {
        let weights = Weights::pack_stored(&sample.stored, Pool::global()).unwrap();
        for numerics in numerics_of(weights.format()) {
            let mut y = vec![f32::NAN; sample.matmul.len()];
            let request = Request::default().numerics(numerics);
            let batch = sample.activations.len() / weights.k();
            matmul(&weights, &sample.activations, batch, &mut y, &request, Pool::global()).unwrap();
            let (error, limit) = (nmse(&y, &sample.matmul), if numerics == Numerics::Exact { 1e-11 } else { 1e-4 });
            println!("{} {numerics} {error:e}", sample.what);
            assert!(error <= limit, "{}: {numerics}: {error:e} over {limit:e}", sample.what);
            tested += 1;
        }
    });
    assert_eq!(tested, 9 + 6, "classes of kernels");
}

#[test]
fn every_kernel_gives_the_same_bits() {
    let pool = Pool::new(2);
    samples(|sample| every_kernel_agrees(sample.what, &Weights::pack_stored(&sample.stored, &pool).unwrap(), &pool));
}

/// A file of `testdata/tensors` with another header; `edit` may change the bytes behind it too.
fn edited(file: &str, edit: impl FnOnce(&mut Json, &mut Vec<u8>)) -> Result<SafeTensors, Error> {
    let bytes = std::fs::read(path(file)).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let (mut header, mut data) = (serde_json::from_slice(header).unwrap(), data.to_vec());
    edit(&mut header, &mut data);
    let header = header.to_string().into_bytes();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    SafeTensors::from_bytes("model.safetensors", bytes)
}

/// The one-line message of what must be refused.
fn message<T: std::fmt::Debug>(refused: Result<T, Error>) -> String {
    let message = refused.expect_err("refused").to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

/// The message for the 4-bit GPTQ matrix in a changed file.
fn refused(edit: impl FnOnce(&mut Json, &mut Vec<u8>)) -> String {
    message(edited("gptq_4bit_g128.safetensors", edit).unwrap().matrix(format("GPTQ-4bit-g128"), PREFIX, None))
}

fn rename(header: &mut Json, from: &str, to: &str) {
    let tensors = header.as_object_mut().unwrap();
    let tensor = tensors.remove(&format!("{PREFIX}.{from}")).unwrap();
    tensors.insert(format!("{PREFIX}.{to}"), tensor);
}

#[test]
fn a_stack_of_matrices_is_said_to_be_one() {
    let stack = refused(|header, _| {
        for part in ["qweight", "qzeros", "scales"] {
            header[format!("{PREFIX}.{part}")]["shape"].as_array_mut().unwrap().insert(0, 1.into());
        }
    });
    let wanted = format!("model.safetensors: tensor \"{PREFIX}.qweight\" is 1x");
    assert!(stack.starts_with(&wanted) && stack.contains("of 3 axes where one matrix has 2: it is a stack"), "{stack}");
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let missing = refused(|header, _| rename(header, "qzeros", "zeros"));
    let wanted = format!("model.safetensors: no tensor \"{PREFIX}.qzeros\"; did you mean \"{PREFIX}.zeros\"?");
    assert!(missing.starts_with(&wanted[..wanted.len() - 1]), "{missing}");
    assert_eq!(
        refused(|header, _| header[format!("{PREFIX}.scales")]["dtype"] = "BF16".into()),
        format!(
            "model.safetensors: tensor \"{PREFIX}.scales\" has items of type BF16, but GPTQ-4bit-g128 reads f16 there; name the \
             format it was stored in: it fits GPTQ-4bit-g128-bf16 or GPTQ-4bit-g128-v2-bf16"
        )
    );
    assert_eq!(
        refused(|header, _| header[format!("{PREFIX}.scales")]["shape"] = [4, 50].into()),
        format!(
            "model.safetensors: tensor \"{PREFIX}.scales\" has the shape 4x50, but 40 rows of 640 weights in GPTQ-4bit-g128 need \
             5x40; name the format and shape it was stored in"
        )
    );
    assert_eq!(
        refused(|header, data| {
            let start = header[format!("{PREFIX}.g_idx")]["data_offsets"][0].as_u64().unwrap() as usize;
            data[start + 4 * 130] = 3;
        }),
        format!(
            "model.safetensors: tensor \"{PREFIX}.g_idx\" holds 3 for column 130, not 1: its columns are in another order \
             (act-order), which no format here has; quantise again without it"
        )
    );
    let short = refused(|header, _| header[format!("{PREFIX}.g_idx")]["dtype"] = "F32".into());
    assert!(short.contains("is 640 of type F32, not 640 items of type u32"), "{short}");
}

/// The bytes of a tensor of a matrix.
fn bytes_of<'d>(header: &Json, data: &'d mut [u8], name: &str) -> &'d mut [u8] {
    let place = &header[format!("{PREFIX}.{name}")]["data_offsets"];
    let [start, end] = [0, 1].map(|side| place[side].as_u64().unwrap() as usize);
    &mut data[start..end]
}

#[test]
fn an_order_that_is_left_out_is_the_plain_one() {
    let left_out = edited("gptq_4bit_g128.safetensors", |header, _| rename(header, "g_idx", "unused"));
    let filled =
        |filler| edited("gptq_4bit_g128.safetensors", move |header, data| bytes_of(header, data, "g_idx").fill(filler));
    for file in [left_out, filled(0), filled(0xff)] {
        assert_eq!(file.unwrap().matrix(format("GPTQ-4bit-g128"), PREFIX, None).unwrap().k(), 640);
    }
    let reversed = refused(|header, data| bytes_of(header, data, "g_idx").reverse());
    assert!(reversed.contains("its columns are in another order (act-order)"), "{reversed}");
}

/// Small matrices of formats that not every build has kernels of, each under the name of its format.
#[test]
fn families_decode_as_numpy_does() {
    let file = SafeTensors::open(path("families.safetensors")).unwrap();
    let names = file.names();
    let names = names.iter().filter_map(|name| name.strip_suffix(".dequantized")).collect::<Vec<_>>();
    assert!(names.len() >= 48, "{}", names.len());
    for name in names {
        let shape = file.tensor(&format!("{name}.dequantized")).unwrap().shape;
        let flat = name == "BNB-FP4";
        let stored = file.matrix(format(name), name, flat.then(|| (shape[0], shape[1]))).unwrap();
        assert_eq!([stored.n(), stored.k()], shape, "{name}");
        let mut found = vec![f32::NAN; shape[0] * shape[1]];
        stored.decode(0..stored.n(), &mut found).unwrap();
        assert_eq!(bits(&found), bits(&floats(file.tensor(&format!("{name}.dequantized")).unwrap().bytes)), "{name}");
        assert!(file.fits(name, None).iter().any(|fits| fits.name == name) || flat, "{name}");
    }
}

/// Zero points of a symmetric matrix are all in the middle: stored less one, 7; stored as they are, 8.
#[test]
fn zero_points_of_the_other_version_are_doubted() {
    let stored = |zero: u8| {
        edited("gptq_4bit_g128.safetensors", move |header, data| bytes_of(header, data, "qzeros").fill(zero << 4 | zero))
            .unwrap()
    };
    let (first, second) = (stored(7), stored(8));
    let [v1, v2] = ["GPTQ-4bit-g128", "GPTQ-4bit-g128-v2"].map(format);
    let values = |file: &SafeTensors, format| {
        let stored = file.matrix(format, PREFIX, None).unwrap();
        let mut values = vec![f32::NAN; stored.n() * stored.k()];
        stored.decode(0..stored.n(), &mut values).unwrap();
        (bits(&values), file.doubt(PREFIX, &stored))
    };
    let ((right, none), (same, no_other)) = (values(&first, v1), values(&second, v2));
    assert!(right == same && none.is_none() && no_other.is_none());
    for (file, format, zero, other) in [(&second, v1, 9, "GPTQ-4bit-g128-v2"), (&first, v2, 7, "GPTQ-4bit-g128")] {
        let (wrong, doubt) = values(file, format);
        assert!(wrong != right);
        assert_eq!(
            doubt.unwrap(),
            format!(
                "model.safetensors: read as {}, all zero points of \"{PREFIX}\" are {zero}, which tells of a file that stores \
                 them otherwise; it may be in {other}",
                format.name
            )
        );
    }
    assert!(values(&SafeTensors::open(path("gptq_4bit_g128.safetensors")).unwrap(), v1).1.is_none());
}

/// A folder with a sample and a configuration beside it.
fn configured(sample: &str, name: &str, config: &Json) -> (tempfile::TempDir, SafeTensors) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("model.safetensors");
    std::fs::copy(path(sample), &to).unwrap();
    std::fs::write(folder.path().join(name), config.to_string()).unwrap();
    let file = SafeTensors::open(to).unwrap();
    (folder, file)
}

#[test]
fn what_a_configuration_says_must_not_differ() {
    let said = |config: Json, name: &str| {
        let (_folder, file) =
            configured("gptq_4bit_g128.safetensors", "config.json", &serde_json::json!({ "quantization_config": config }));
        file.matrix(format(name), PREFIX, None).map(|stored| stored.k()).map_err(|wrong| wrong.to_string())
    };
    let v2 = || serde_json::json!({ "checkpoint_format": "gptq_v2", "bits": 4 });
    let refused = said(v2(), "GPTQ-4bit-g128").unwrap_err();
    let wanted = "config.json says that checkpoint_format is \"gptq_v2\", but GPTQ-4bit-g128 has \"gptq\"; name the format it was \
                  stored in: it fits GPTQ-4bit-g128-v2";
    assert!(refused.ends_with(wanted), "{refused}");
    assert_eq!(said(v2(), "GPTQ-4bit-g128-v2"), Ok(640));
    // Some writers of the second version say the first.
    for format in ["GPTQ-4bit-g128", "GPTQ-4bit-g128-v2"] {
        assert_eq!(said(serde_json::json!({ "checkpoint_format": "GPTQ" }), format), Ok(640));
        assert_eq!(said(serde_json::json!({ "checkpoint_format": null }), format), Ok(640));
    }

    let (_folder, file) = configured("gptq_4bit_g128.safetensors", "quantize_config.json", &v2());
    assert!(message(file.matrix(format("GPTQ-4bit-g128"), PREFIX, None)).contains("quantize_config.json says"));
    let (_folder, file) = configured("gptq_4bit_g128.safetensors", "config.json", &serde_json::json!([1, 2]));
    assert!(file.matrix(format("GPTQ-4bit-g128"), PREFIX, None).is_ok());

    // 4 bits of a row in groups of 64 are as many words and scales as 8 bits of half of it in groups of 32.
    let mlx =
        |config: Json| configured("mlx_4bit_g64.safetensors", "config.json", &serde_json::json!({ "quantization": config }));
    let fits = |file: &SafeTensors| file.fits(PREFIX, None).iter().map(|format| format.name).collect::<Vec<_>>();
    let (_folder, file) = mlx(serde_json::json!({}));
    assert_eq!(fits(&file), ["MLX-2bit-g128", "MLX-4bit-g64", "MLX-8bit-g32"]);
    let (_folder, file) = mlx(serde_json::json!({ "bits": 4, "group_size": 64 }));
    assert_eq!(fits(&file), ["MLX-4bit-g64"]);
    let (_folder, file) = mlx(serde_json::json!({ "bits": 4, "group_size": 64, PREFIX: { "bits": 8, "group_size": 32 } }));
    assert_eq!(fits(&file), ["MLX-8bit-g32"]);
}

#[test]
fn levels_that_a_file_gives_must_be_those_of_the_format() {
    let shape = Some((33, 320));
    let fp4 = [0.0, 0.0052, 0.6667, 1.0, 0.3333, 0.5, 0.1667, 0.25_f32];
    let fp4 = fp4.iter().chain(&fp4.map(|level| -level)).flat_map(|level| level.to_le_bytes()).collect::<Vec<_>>();
    let file =
        edited("nf4.safetensors", |header, data| bytes_of(header, data, "weight.quant_map").copy_from_slice(&fp4)).unwrap();
    assert_eq!(
        message(file.matrix(format("NF4"), PREFIX, shape)),
        format!(
            "model.safetensors: tensor \"{PREFIX}.weight.quant_map\" says that code 0 is 0, but in NF4 it is -1; name the format it \
             was stored in: it fits BNB-FP4"
        )
    );
    assert!(file.matrix(format("BNB-FP4"), PREFIX, shape).is_ok());
    let none = edited("nf4.safetensors", |header, _| rename(header, "weight.quant_map", "weight.levels")).unwrap();
    assert!(none.matrix(format("NF4"), PREFIX, shape).is_ok());
}

/// The tensors of the nested matrix, under another name, with changes.
fn nested(edit: impl FnOnce(&mut Json, &mut Vec<u8>)) -> Result<SafeTensors, Error> {
    edited("families.safetensors", |header, data| {
        let tensors = header.as_object_mut().unwrap();
        let names = tensors.keys().filter(|name| name.starts_with("NF4.")).cloned().collect::<Vec<_>>();
        for name in names {
            let tensor = tensors.remove(&name).unwrap();
            tensors.insert(name.replace("NF4", PREFIX), tensor);
        }
        edit(header, data);
    })
}

#[test]
fn what_is_nested_needs_all_that_it_is_made_of() {
    let state = "weight.quant_state.bitsandbytes__nf4";
    let refused =
        |edit: fn(&mut Json, &mut Vec<u8>)| message(nested(edit).unwrap().matrix(format("NF4"), PREFIX, Some((70, 256))));
    assert!(nested(|_, _| ()).unwrap().matrix(format("NF4"), PREFIX, None).is_ok(), "the text beside it says the shape");
    let silent = message(nested(|header, data| bytes_of(header, data, state)[0] = b' ').unwrap().matrix(
        format("NF4"),
        PREFIX,
        Some((70, 256)),
    ));
    assert!(silent.contains("the scales of") && silent.contains("nothing says their nested_offset"), "{silent}");
    let scales = refused(|header, _| rename(header, "weight.nested_absmax", "other"));
    assert!(scales.contains("no tensor") && scales.contains("weight.nested_absmax"), "{scales}");
    let kind = refused(|header, _| header[format!("{PREFIX}.weight.nested_quant_map")]["dtype"] = "I32".into());
    assert!(kind.contains("has items of type I32, not F32"), "{kind}");
    let other = message(
        nested(|header, data| {
            let text = bytes_of(header, data, state);
            let at = text.windows(3).position(|part| part == b"nf4").unwrap();
            text[at] = b'f';
            text[at + 1] = b'p';
        })
        .unwrap()
        .matrix(format("NF4"), PREFIX, None),
    );
    assert!(other.contains("says that quant_type is \"fp4\", but NF4 has \"nf4\""), "{other}");
}

/// 4-bit codes in groups of 128 are as many bytes as 8-bit codes in groups of 64, for half as many columns.
#[test]
fn a_shape_that_a_file_gives_must_be_that_of_the_matrix() {
    let [right, wrong] = ["CT-W4A16-g128-bf16", "CT-W8A16-g64-bf16"].map(format);
    let name = right.name;
    let (n, k) = {
        let whole = SafeTensors::open(path("families.safetensors")).unwrap();
        let shape = whole.tensor(&format!("{name}.dequantized")).unwrap().shape;
        (shape[0], shape[1])
    };
    let with = |kind: &'static str, said: Vec<u8>| {
        edited("families.safetensors", move |header, data| {
            let place = [data.len(), data.len() + said.len()];
            header[format!("{name}.weight_shape")] = serde_json::json!({ "dtype": kind, "shape": [2], "data_offsets": place });
            data.extend(said);
        })
        .unwrap()
    };
    let wide = with("I64", [n as u64, k as u64].map(u64::to_le_bytes).concat());
    let short = with("I32", [n as u32, k as u32].map(u32::to_le_bytes).concat());
    for file in [&wide, &short] {
        assert!(file.matrix(right, name, None).is_ok());
        assert_eq!(
            message(file.matrix(wrong, name, None)),
            format!(
                "model.safetensors: tensor \"{name}.weight_shape\" says that the matrix is {n}x{k}, but in {} it is {n}x{}; name the format \
                 it was stored in: it fits {name} or CT-W4A16-gall-bf16",
                wrong.name,
                k / 2
            )
        );
    }
    let other = message(with("I64", vec![0xFF; 16]).matrix(right, name, None));
    assert!(other.contains(&format!("is 18446744073709551615x18446744073709551615, but in {name} it is {n}x{k}")), "{other}");
    let short = message(with("U8", vec![1, 2]).matrix(right, name, None));
    assert!(short.contains("is 2 of type U8, not 2 items of type u32"), "{short}");
}

/// Formats without kernels in this build say how to build some.
#[test]
fn kernels_that_were_left_out_can_be_asked_for() {
    let left_out = registry::formats().find(|format| format.on_demand).unwrap();
    assert!(left_out.packed.is_none());
    let (n, k) = (left_out.row_multiple(), left_out.block_weights);
    let bytes = vec![0; left_out.stored_bytes(n, k).unwrap()];
    let stored = Stored::new(left_out, n, k, &bytes).unwrap();
    let refused = message(Weights::pack_stored(&stored, Pool::global()));
    let name = left_out.name;
    assert_eq!(
        refused,
        format!(
            "{name} has no kernel for any class; this build left its kernels out: build again with QUANTLOOM_FORMATS={name} in the \
             environment"
        )
    );
}

#[test]
fn shapes_that_a_format_cannot_have_are_refused() {
    let open = |name: &str| SafeTensors::open(path(name)).unwrap();
    let (words, flat) = (open("gptq_4bit_g128.safetensors"), open("nf4.safetensors"));
    let in_words = |shape| message(words.matrix(format("GPTQ-4bit-g128"), PREFIX, Some(shape)));
    assert!(in_words((41, 640)).contains("needs N to be a multiple of 8, and 41 is not"));
    assert!(in_words((48, 640)).contains("has the shape 80x40, but 48 rows of 640 weights in GPTQ-4bit-g128 need 80x48"));
    let stored = |name, n, k| message(Stored::new(format(name), n, k, &[]));
    assert!(
        stored("GPTQ-4bit-g128", 41, 640)
            .ends_with("needs N to be a multiple of 8, and 41 is not; pad with rows of zeros to 48")
    );
    assert!(stored("GPTQ-3bit-g128", 48, 640).contains("a multiple of 32"));
    assert!(stored("GPTQ-4bit-g128", 40, 600).contains("needs K to be a multiple of 128, and 600 is not"));
    assert!(stored("IQ4_KS", 3, 600).contains("needs K to be a multiple of 256"));
    assert!(stored("IQ4_KS", 3, 512).contains("stored weights: 0 bytes given, 828 needed"), "{}", stored("IQ4_KS", 3, 512));
    let unsaid = message(flat.matrix(format("NF4"), PREFIX, None));
    assert!(unsaid.ends_with("do not say how many rows and columns it has; give its shape (`--shape NxK`)"), "{unsaid}");
    let wrong = message(flat.matrix(format("NF4"), PREFIX, Some((32, 320))));
    assert!(wrong.contains("has the shape 5280x1, but 32 rows of 320 weights in NF4 need 32x160"), "{wrong}");
    let blocks = message(words.matrix(format("Q8_0"), PREFIX, None));
    assert!(blocks.contains("Q8_0 is stored in blocks, not in separate tensors"), "{blocks}");
    let vast = edited("gptq_4bit_g128.safetensors", |header, data| {
        let tensors = header.as_object_mut().unwrap();
        for tensor in tensors.values_mut().filter(|tensor| tensor.get("shape").is_some()) {
            tensor["shape"] = [(1_u64 << 61) + 1, 0].into();
            tensor["data_offsets"] = [0, 0].into();
        }
        data.clear();
    });
    let vast = message(vast.unwrap().matrix(format("GPTQ-4bit-g128"), PREFIX, None));
    assert!(vast.contains("do not say how many rows and columns it has"), "{vast}");
    let few = message(Stored::from_tensors(format("NF4"), 2, 64, &[&[]]));
    assert_eq!(few, "stored weights: 1 tensors given, 2 needed; check the shape that goes with it");
}

#[test]
fn damaged_files_are_refused() {
    let open = |bytes: &[u8]| message(SafeTensors::from_bytes("model.safetensors", bytes.to_vec()));
    let whole = std::fs::read(path("mlx_4bit_g64.safetensors")).unwrap();
    assert!(open(&whole[..whole.len() - 1]).contains("it was cut short or changed; fetch or convert it again"));
    assert!(open(&whole[..100]).contains("the file ends before its header does"));
    assert!(open(b"GGUF").contains("it is not a safetensors file"));
    assert!(open(&[&[0xff; 8][..], &whole[8..]].concat()).contains("it is not a safetensors file"));
    assert!(open(&[&whole[..8], b"?", &whole[9..]].concat()).contains("its header is wrong"));
    let places = |name: &str, place: [u64; 2]| {
        message(edited("nf4.safetensors", |header, _| header[name]["data_offsets"] = place.into()))
    };
    let header = |header: &Json, name: &str| header[name]["data_offsets"].clone();
    let mut original = Json::Null;
    edited("nf4.safetensors", |whole, _| original = whole.clone()).unwrap();
    let (mut names, at) = (original.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), |name: &str, side: usize| {
        header(&original, name)[side].as_u64().unwrap()
    });
    names.retain(|name| name != "__metadata__");
    names.sort_by_key(|name| at(name, 0));
    let (first, second) = (&names[0], &names[1]);
    let (start, end) = (at(second, 0), at(second, 1));
    assert_eq!(
        places(second, [start - 4, end - 4]),
        format!(
            "model.safetensors: tensor {second:?}: its bytes {} to {} of the data begin within tensor {first:?}, which has 0 to {start}; \
             fetch or convert it again",
            start - 4,
            end - 4
        )
    );
    assert!(
        places(second, [start + 4, end + 4])
            .contains(&format!("do not follow those of tensor {first:?}, which end at {start}"))
    );
    let grown = message(edited("nf4.safetensors", |header, _| header["matmul"]["shape"] = [5, 34].into()));
    assert!(grown.contains("not as many as its type and shape ask for"), "{grown}");
}
