//! Every kernel on every instruction set of this machine, against plain `f32` and against each other.

use super::*;
use crate::bert::Linear;
use crate::weights::{Format, Matrix};

/// Even numbers between -1 and 1 from a fixed seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1 << 23) as f32) - 1.0
    }

    fn numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.next() + 1.0) * 0.5 * n as f32) as usize % n
    }

    fn linear(&mut self, format: Format, n_outputs: usize, n_inputs: usize) -> Linear {
        let matrix = match format {
            Format::F32 => Matrix::from_f32(n_outputs, n_inputs, &self.numbers(n_outputs * n_inputs)),
            Format::Q4_0 | Format::Q8_0 => {
                let n_bytes = if format == Format::Q4_0 { 16 } else { 32 };
                let mut bytes = Vec::new();
                for _ in 0..n_outputs * n_inputs / 32 {
                    bytes.extend(half::f16::from_f32(self.next() * 0.1).to_le_bytes());
                    bytes.extend((0..n_bytes).map(|_| self.below(256) as u8));
                }
                Matrix::from_bytes(format, n_outputs, n_inputs, bytes)
            }
            Format::F16 | Format::Bf16 => unreachable!("not made here"),
        };
        Linear { matrix, bias: self.numbers(n_outputs) }
    }
}

/// The numbers that rows of bytes stand for.
fn dequantised(activations: &Activations, n_rows: usize) -> Vec<f32> {
    let n_columns = activations.n_columns;
    let Span { length, rotated } = activations.span;
    let values = activations.values.as_slice()[..n_rows * n_columns].chunks_exact(length);
    let spans = values.zip(activations.scales.as_slice()).map(|(bytes, scale)| {
        let mut values: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) * scale).collect();
        if rotated {
            // Twice rotated is as before, times the number of strips.
            rowwise::rotate(Portable, &mut values);
            for value in &mut values {
                *value *= pack::STRIP as f32 / length as f32;
            }
        }
        values
    });
    spans.flatten().collect()
}

fn close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let most = expected.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
    for (idx, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * most,
            "{what} at {idx}: {found} instead of {expected}"
        );
    }
}

fn gelu_of(value: f32) -> f32 {
    // Abramowitz and Stegun 7.1.26, good to 1.5e-7.
    let z = f64::from(value) / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z.abs());
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let erf = (1.0 - polynomial * (-z * z).exp()).copysign(z);
    (f64::from(value) * 0.5 * (1.0 + erf)) as f32
}

#[test]
fn bytes_stand_for_the_numbers_they_were_made_from() {
    let mut random = Random(1);
    for isa in Isa::available() {
        for (n_columns, span) in [(32, 32), (96, 32), (384, 128), (384, 64)] {
            let n_rows = 1 + random.below(9);
            let mut values = random.numbers(n_rows * n_columns);
            values[..n_columns].fill(0.0);
            let mut activations = Activations::new(n_columns, Span::plain(span));
            activations.grow(n_rows);
            quantise(isa, rows(&values, n_columns), &mut activations, 0..n_rows);
            close(&dequantised(&activations, n_rows), &values, 0.5 / 127.0 + 1e-6, isa.name());
            for (bytes, sum) in activations.values.as_slice().chunks(span).zip(activations.sums.as_slice()) {
                assert_eq!(bytes.iter().map(|&byte| i32::from(byte)).sum::<i32>(), *sum);
            }
        }
    }
}

#[test]
fn a_large_number_takes_less_from_its_neighbours_where_they_are_rotated() {
    let mut random = Random(10);
    for isa in Isa::available() {
        let mut values = random.numbers(128);
        values[40] = 60.0;
        let errors = [Span::plain(128), Span::rotated(128)].map(|span| {
            let mut activations = Activations::new(128, span);
            activations.grow(1);
            quantise(isa, rows(&values, 128), &mut activations, 0..1);
            let found = dequantised(&activations, 1);
            found.iter().zip(&values).map(|(found, value)| (found - value).powi(2)).sum::<f32>()
        });
        assert!(errors[1] < 0.25 * errors[0], "{} {errors:?}", isa.name());
    }
}

#[test]
fn products_equal_f32_on_the_same_rounded_numbers_for_every_format_and_shape() {
    let mut random = Random(2);
    for isa in Isa::available() {
        for format in [Format::Q4_0, Format::Q8_0, Format::F32] {
            let spans = [32, 64, 128].map(|length| [Span::plain(length), Span::rotated(length)]);
            for span in spans.as_flattened().repeat(4) {
                let n_rows = 1 + random.below(40);
                let n_inputs = span.length * (1 + random.below(7));
                let n_outputs = isa.panel() * (1 + random.below(4));
                let linear = random.linear(format, n_outputs, n_inputs);
                let packed = PackedLinear::new(&[&linear], isa.packing(), span);
                let mut input = Activations::new(n_inputs, span);
                input.grow(n_rows);
                quantise(isa, rows(&random.numbers(n_rows * n_inputs), n_inputs), &mut input, 0..n_rows);
                let (values, matrix) = (dequantised(&input, n_rows), linear.matrix.decode());
                let mut expected = Vec::new();
                for row in values.chunks_exact(n_inputs) {
                    for (weights, bias) in matrix.chunks_exact(n_inputs).zip(&linear.bias) {
                        let products =
                            row.iter().zip(weights).map(|(left, right)| f64::from(*left) * f64::from(*right));
                        expected.push((products.sum::<f64>() + f64::from(*bias)) as f32);
                    }
                }
                // Weights are rounded to bytes within spans, unless their own scales can be used as they are.
                let tolerance =
                    if format == Format::F32 || span.rotated || span.length > 32 { 0.01 } else { 2e-6 };
                let what = format!("{} {format:?} {n_rows}x{n_inputs}x{n_outputs} in {span:?}", isa.name());
                let mut found = vec![0.0; n_rows * n_outputs];
                linear_into(isa, &input, n_rows, &packed, &mut found);
                close(&found, &expected, tolerance, &what);
                let mut found = vec![0.0; n_rows * n_outputs];
                let layout = Layout::rows(n_outputs);
                linear_gelu(isa, &input, 0..n_rows, &packed, 0..packed.n_panels(), &mut found, layout);
                let expected: Vec<f32> = expected.into_iter().map(gelu_of).collect();
                close(&found, &expected, tolerance + 5e-5, &what);
            }
        }
    }
}

/// Rows of numbers that lie one after the other.
fn rows(values: &[f32], n_columns: usize) -> Blocks<'_> {
    Blocks { values, n_rows: values.len() / n_columns, block_columns: n_columns }
}

fn linear_into(isa: Isa, input: &Activations, n_rows: usize, packed: &PackedLinear, out: &mut [f32]) {
    linear(
        isa,
        input,
        0..n_rows,
        packed,
        0..packed.n_panels(),
        out,
        Layout::rows(packed.n_panels() * isa.panel()),
    );
}

#[test]
fn extreme_bytes_do_not_overflow_the_sums() {
    for isa in Isa::available() {
        for (format, weight) in
            [(Format::Q4_0, 0x00), (Format::Q4_0, 0xff), (Format::Q8_0, 0x7f), (Format::Q8_0, 0x80)]
        {
            for sign in [1.0, -1.0] {
                let (n_inputs, n_outputs) = (64, isa.panel());
                let n_bytes = if format == Format::Q4_0 { 16 } else { 32 };
                let block: Vec<u8> =
                    half::f16::ONE.to_le_bytes().into_iter().chain(vec![weight; n_bytes]).collect();
                let bytes = block.repeat(n_outputs * n_inputs / 32);
                let matrix = Matrix::from_bytes(format, n_outputs, n_inputs, bytes);
                let expected = matrix.decode()[0] * sign * n_inputs as f32;
                let linear = Linear { matrix, bias: vec![0.0; n_outputs] };
                let packed = PackedLinear::new(&[&linear], isa.packing(), Span::plain(32));
                let mut input = Activations::new(n_inputs, Span::plain(32));
                input.grow(1);
                quantise(isa, rows(&vec![sign; n_inputs], n_inputs), &mut input, 0..1);
                let mut found = vec![0.0; n_outputs];
                linear_into(isa, &input, 1, &packed, &mut found);
                close(
                    &found,
                    &vec![expected; n_outputs],
                    1e-6,
                    &format!("{} {format:?} {weight}", isa.name()),
                );
            }
        }
    }
}

#[test]
fn a_rows_product_has_the_same_bits_in_every_tile_and_split() {
    let mut random = Random(3);
    for isa in Isa::available() {
        let (n_rows, n_inputs) = (13, 96);
        let n_outputs = isa.panel() * 4;
        let linear = random.linear(Format::Q4_0, n_outputs, n_inputs);
        let packed = PackedLinear::new(&[&linear], isa.packing(), Span::plain(96));
        let mut input = Activations::new(n_inputs, Span::plain(96));
        input.grow(n_rows);
        quantise(isa, rows(&random.numbers(n_rows * n_inputs), n_inputs), &mut input, 0..n_rows);
        let mut together = vec![0.0; n_rows * n_outputs];
        linear_into(isa, &input, n_rows, &packed, &mut together);
        for row in 0..n_rows {
            let mut alone = vec![0.0; n_outputs];
            super::linear(isa, &input, row..row + 1, &packed, 0..4, &mut alone, Layout::rows(n_outputs));
            assert_eq!(alone, together[row * n_outputs..(row + 1) * n_outputs]);
        }
        // Heads of two panels side by side, each head's rows together.
        let head = 2 * isa.panel();
        let layout = Layout { row_stride: head, block_columns: head, block_stride: n_rows * head };
        let mut by_head = vec![0.0; n_rows * n_outputs];
        super::linear(isa, &input, 0..n_rows, &packed, 0..4, &mut by_head, layout);
        for row in 0..n_rows {
            for column in 0..n_outputs {
                let found = by_head[column / head * n_rows * head + row * head + column % head];
                assert!(found.to_bits() == together[row * n_outputs + column].to_bits());
            }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn tiles_give_the_same_bits_as_avx512() {
    let isas = Isa::available();
    let (Some(tiles), Some(vectors)) = (
        isas.iter().find(|isa| matches!(isa, Isa::Amx(_))),
        isas.iter().find(|isa| matches!(isa, Isa::Avx512(_))),
    ) else {
        println!("skipped: this machine has no AMX");
        return;
    };
    let mut random = Random(9);
    let spans = [32, 64, 96, 128, 640].map(Span::plain).into_iter().chain([64, 128].map(Span::rotated));
    for span in spans.collect::<Vec<_>>().repeat(4) {
        for format in [Format::Q4_0, Format::Q8_0, Format::F32] {
            let (n_rows, n_inputs) = (1 + random.below(40), span.length * (1 + random.below(9)));
            let n_outputs = tiles.panel() * (1 + random.below(3));
            let linear = random.linear(format, n_outputs, n_inputs);
            let mut input = Activations::new(n_inputs, span);
            input.grow(n_rows);
            quantise(*tiles, rows(&random.numbers(n_rows * n_inputs), n_inputs), &mut input, 0..n_rows);
            let [first, second] = [tiles, vectors].map(|isa| {
                let packed = PackedLinear::new(&[&linear], isa.packing(), span);
                let mut products = vec![0.0; n_rows * n_outputs];
                linear_into(*isa, &input, n_rows, &packed, &mut products);
                let mut bent = vec![0.0; n_rows * n_outputs];
                let layout = Layout::rows(n_outputs);
                linear_gelu(*isa, &input, 0..n_rows, &packed, 0..packed.n_panels(), &mut bent, layout);
                [products, bent].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            });
            assert!(first == second, "{format:?} {n_rows}x{n_inputs}x{n_outputs} in {span:?}");
        }
    }
}

#[test]
fn normalised_rows_equal_the_definition() {
    let mut random = Random(4);
    for isa in Isa::available() {
        for n_columns in [32, 128, 384] {
            let n_rows = 1 + random.below(7);
            let state = random.numbers(n_rows * n_columns);
            let add = random.numbers(n_rows * n_columns);
            let norm = Norm { gain: random.numbers(n_columns), bias: random.numbers(n_columns) };
            let mut expected = Vec::new();
            for (state, add) in state.chunks_exact(n_columns).zip(add.chunks_exact(n_columns)) {
                let sums: Vec<f32> = state.iter().zip(add).map(|(left, right)| left + right).collect();
                let mean = sums.iter().sum::<f32>() / n_columns as f32;
                let variance =
                    sums.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n_columns as f32;
                let factor = 1.0 / (variance + 1e-12).sqrt();
                let numbers = sums.iter().zip(&norm.gain).zip(&norm.bias);
                expected.extend(numbers.map(|((value, gain), bias)| (value - mean) * factor * gain + bias));
            }
            let mut found = state.clone();
            let mut bytes = Activations::new(n_columns, Span::plain(32));
            bytes.grow(n_rows + 2);
            normalise(isa, &mut found, Some(rows(&add, n_columns)), &norm, 1e-12, &mut bytes, 2);
            close(&found, &expected, 1e-5, isa.name());
            let as_bytes = &dequantised(&bytes, n_rows + 2)[2 * n_columns..];
            close(as_bytes, &expected, 0.5 / 127.0 + 1e-5, isa.name());
        }
    }
}

#[test]
fn turned_and_multiplied_rows_equal_the_definition() {
    let mut random = Random(9);
    for isa in Isa::available() {
        for (n_rows, size) in [(1, 32), (3, 64), (17, 128)] {
            let half = size / 2;
            let numbers = random.numbers(n_rows * size);
            let angles: Vec<f32> = random.numbers(n_rows * half).iter().map(|angle| angle * 7.0).collect();
            let (cosines, sines): (Vec<f32>, Vec<f32>) =
                angles.iter().map(|angle| (angle.cos(), angle.sin())).unzip();
            let expected: Vec<f32> = (0..n_rows * size)
                .map(|place| {
                    let (row, column) = (place / size, place % size);
                    let angle = angles[row * half + column % half];
                    let (first, second) =
                        (numbers[row * size + column % half], numbers[row * size + column % half + half]);
                    if column < half {
                        first * angle.cos() - second * angle.sin()
                    } else {
                        second * angle.cos() + first * angle.sin()
                    }
                })
                .collect();
            let mut found = numbers.clone();
            turn(isa, &mut found, size, &cosines, &sines);
            close(&found, &expected, 1e-5, isa.name());
            let by = random.numbers(numbers.len());
            let expected: Vec<f32> =
                numbers.iter().zip(&by).map(|(number, factor)| number * factor).collect();
            let mut found = numbers;
            multiply_each(isa, &mut found, &by);
            assert_eq!(found, expected, "{}", isa.name());
        }
    }
}

#[test]
fn attention_equals_the_definition_for_every_length() {
    let mut random = Random(5);
    for isa in Isa::available() {
        for n_tokens in [1, 2, 7, 16, 31, 33, 70] {
            for size in [32, 64] {
                let numbers: Vec<f32> =
                    random.numbers(3 * n_tokens * size).iter().map(|value| value * 3.0).collect();
                let (queries, rest) = numbers.split_at(n_tokens * size);
                let (keys, values) = rest.split_at(n_tokens * size);
                let mut expected = Vec::new();
                for query in queries.chunks_exact(size) {
                    let dot =
                        |key: &[f32]| query.iter().zip(key).map(|(left, right)| left * right).sum::<f32>();
                    let scores: Vec<f32> =
                        keys.chunks_exact(size).map(|key| dot(key) / (size as f32).sqrt()).collect();
                    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let weights: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
                    let sum: f32 = weights.iter().sum();
                    for idx in 0..size {
                        let weighted = weights
                            .iter()
                            .zip(values.chunks_exact(size))
                            .map(|(weight, row)| weight * row[idx]);
                        expected.push(weighted.sum::<f32>() / sum);
                    }
                }
                let head = Head { queries, keys, values, size };
                let mut found = vec![0.0; n_tokens * size];
                attend(isa, head, &mut Scratch::new(), &mut found, size);
                // Differences of scores formed from bytes are off by some hundredths where they are as large as these, and
                // a weight by a fourth of that.
                let tolerance = if isa.span(64).length > 32 { 0.04 } else { 5e-6 };
                close(&found, &expected, tolerance, &format!("{} {n_tokens}x{size}", isa.name()));
            }
        }
    }
}

#[test]
fn what_all_keys_share_takes_nothing_from_how_they_differ() {
    let mut random = Random(8);
    for isa in Isa::available() {
        let (n_tokens, size) = (40, 32);
        let [queries, mut keys, values] = [(); 3].map(|()| random.numbers(n_tokens * size));
        let head = |keys: &[f32]| {
            let head = Head { queries: &queries, keys, values: &values, size };
            let mut out = vec![0.0; n_tokens * size];
            attend(isa, head, &mut Scratch::new(), &mut out, size);
            out
        };
        let expected = head(&keys);
        for key in keys.chunks_exact_mut(size) {
            key[3] += 100.0;
        }
        close(&head(&keys), &expected, 1e-3, isa.name());
    }
}

#[test]
fn rows_in_blocks_give_the_same_bits_as_rows_in_one() {
    let mut random = Random(6);
    for isa in Isa::available() {
        let (n_rows, n_columns, half) = (5, 128, 64);
        let values = random.numbers(n_rows * n_columns);
        let mut blocks = Vec::new();
        for start in [0, half] {
            blocks.extend(values.chunks_exact(n_columns).flat_map(|row| &row[start..start + half]));
        }
        let blocks = Blocks { values: &blocks, n_rows, block_columns: half };
        let norm = Norm { gain: random.numbers(n_columns), bias: random.numbers(n_columns) };
        for span in [32, 64] {
            let [mut whole_bytes, mut block_bytes] =
                [(); 2].map(|()| Activations::new(n_columns, Span::plain(span)));
            whole_bytes.grow(n_rows);
            block_bytes.grow(n_rows);
            quantise(isa, rows(&values, n_columns), &mut whole_bytes, 0..n_rows);
            quantise(isa, blocks, &mut block_bytes, 0..n_rows);
            assert_eq!(whole_bytes.values.as_slice(), block_bytes.values.as_slice());
            let mut whole = random.numbers(n_rows * n_columns);
            let mut split = whole.clone();
            normalise(isa, &mut whole, Some(rows(&values, n_columns)), &norm, 1e-12, &mut whole_bytes, 0);
            normalise(isa, &mut split, Some(blocks), &norm, 1e-12, &mut block_bytes, 0);
            assert_eq!(whole, split);
            assert_eq!(whole_bytes.values.as_slice(), block_bytes.values.as_slice());
        }
    }
}

#[test]
fn products_of_bytes_are_exact_on_every_instruction_set_and_shape() {
    let mut random = Random(77);
    for round in 0..40 {
        let length = bytes::LINE * (1 + random.below(24));
        let n_rows = 1 + random.below(23);
        // The ends of the range are where sums of 16 bits would overflow.
        let byte = |random: &mut Random| match round % 4 {
            0 => [-127, 127][random.below(2)],
            _ => i32::try_from(random.below(255)).expect("below 255") - 127,
        };
        let question: Vec<i8> = (0..length).map(|_| byte(&mut random) as i8).collect();
        let signed: Vec<i32> = (0..n_rows * length).map(|_| byte(&mut random)).collect();
        let rows: Vec<u8> = signed.iter().map(|&b| (b + i32::from(bytes::ZERO_POINT)) as u8).collect();
        let ids: Vec<u32> = (0..random.below(2 * n_rows)).map(|_| random.below(n_rows) as u32).collect();
        let expected: Vec<i32> = ids
            .iter()
            .map(|&id| {
                let row = &signed[id as usize * length..][..length];
                row.iter().zip(&question).map(|(&a, &b)| a * i32::from(b)).sum()
            })
            .collect();
        for isa in Isa::available() {
            let mut found = vec![0; ids.len()];
            byte_products(isa, &question, &rows, &ids, &mut found);
            assert_eq!(found, expected, "{} {length} {n_rows}", isa.name());
        }
    }
}
