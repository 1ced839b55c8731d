//! Every instruction set gives the bits of plain code.

use quantloom_kernels::ISAS;
use quantloom_kernels::abi::rows::{Rows, Stats};

/// Values of all sizes and both signs, some of them special.
fn values(count: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let value = |index: usize| match index % 97 {
        11 => 0.0,
        23 => -0.0,
        31 => 1e-42,
        47 => 120.0,
        _ => (next() as f32 / (1_u64 << 31) as f32 * 2.0 - 1.0) * 3_f32.powi(index as i32 % 7 - 2),
    };
    (0..count).map(value).collect()
}

/// The bits of what all row functions of a table make.
fn outputs(rows: &Rows, count: usize) -> Vec<u32> {
    let (x, y) = (values(2 * count), values(count));
    let (x, mut out) = (&x[count..], Vec::<f32>::new());
    let mut row = vec![0.0; count];
    // SAFETY: the caller asks for available instruction sets only.
    unsafe {
        out.push((rows.sum)(x));
        (rows.rms_norm)(x, &y, 1e-5, &mut row);
        out.extend(&row);
        let mut capped = x.to_vec();
        (rows.softcap)(&mut capped, 2.5);
        out.extend(capped);
        for neighbours in [false, true] {
            let (mut head, (cos, sin)) = (x.to_vec(), y.split_at(count / 2));
            (rows.rotate)(&mut head, cos, &sin[..cos.len()], neighbours);
            out.extend(head);
        }
        let spans = [(5..470, None), (0..512, Some(3.0))].map(|(visible, cap)| {
            let mut scores = values(512);
            let stats = (rows.softmax)(&mut scores, visible, 0.7, cap);
            out.extend(&scores);
            (scores, stats)
        });
        let (mut total, mut stats) = (vec![0.0; count], Stats::NONE);
        for (span, of_span) in &spans {
            let span = span.iter().copied().cycle().take(count).collect::<Vec<_>>();
            (rows.merge)(&mut total, &mut stats, &span, *of_span);
        }
        (rows.merge)(&mut total, &mut stats, &[], Stats { max: 1.0, sum: 1.0 });
        (rows.finish)(&total, stats, &mut row);
        out.extend(row.iter().chain([&stats.max, &stats.sum]));
        let mut out = out.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        for store in [rows.f16, rows.bf16] {
            let mut bits = vec![0; count];
            assert!(store(x, &mut bits));
            out.extend(bits.into_iter().map(u32::from));
        }
        out
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for count in [2, 8, 64, 72, 200] {
        let wanted = outputs(&quantloom_kernels::compiled_rows!([]), count);
        for isa in ISAS.iter().filter(|isa| isa.is_available()) {
            assert!(outputs(isa.rows(), count) == wanted, "{} at {count}", isa.name);
        }
    }
}
