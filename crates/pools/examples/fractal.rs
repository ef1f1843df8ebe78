//! Draws the Mandelbrot set into a PNG on every core, with progress, while the runtime stays free.
//!
//! `cargo run --release -p tidegate-pools --example fractal [FILE]` (`fractal.png` unless given)
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::{env, fs};

use tidegate_pools::{CpuPool, Priority};

const WIDTH: usize = 1200;
const HEIGHT: usize = 800;
/// Rows of a job: many more jobs than cores, because rows through the set cost far more than others.
const BAND: usize = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).unwrap_or_else(|| "fractal.png".to_owned());
    let pool = CpuPool::builder().build()?;
    let mut bands = Vec::new();
    for top in (0..HEIGHT).step_by(BAND) {
        bands.push(pool.submit(Priority::Normal, move || band(top)).await?);
    }
    let (mut rows, all) = (Vec::new(), bands.len());
    for (done, band) in bands.into_iter().enumerate() {
        rows.extend(band.await?);
        println!("{:>3} %", (done + 1) * 100 / all);
    }
    pool.shutdown().await;
    fs::write(&file, png(&rows))?;
    println!("{file}: {WIDTH} x {HEIGHT}");
    Ok(())
}

/// Rows of pixels, each row with PNG's filter byte (0: none) in front.
fn band(top: usize) -> Vec<u8> {
    let mut rows = Vec::with_capacity(BAND * (3 * WIDTH + 1));
    for y in top..top + BAND {
        rows.push(0);
        rows.extend((0..WIDTH).flat_map(|x| colour(x, y)));
    }
    rows
}

/// Red, green and blue; the set itself is black.
fn colour(x: usize, y: usize) -> [u8; 3] {
    let (re, im) = (x as f64 / 350.0 - 2.35, y as f64 / 350.0 - HEIGHT as f64 / 700.0);
    let (mut a, mut b) = (0.0_f64, 0.0_f64);
    for step in 0..1000_u32 {
        let square = a * a + b * b;
        if square > 1e4 {
            // The steps with a fraction, so that no edges show; a logarithm, because they pile up near the set.
            let steps = f64::from(step) + 1.0 - square.ln().log2();
            let hue = 2.0 * steps.max(0.0).ln_1p();
            return [0.0, 0.9, 1.8].map(|shift| (127.5 - 127.5 * (hue - shift).cos()) as u8);
        }
        (a, b) = (a * a - b * b + re, 2.0 * a * b + im);
    }
    [0; 3]
}

/// A PNG of three bytes a pixel, its data stored without compression.
fn png(rows: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend((WIDTH as u32).to_be_bytes());
    header.extend((HEIGHT as u32).to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);

    let mut zlib = vec![0x78, 0x01];
    let blocks = rows.chunks(65_535).count();
    for (at, block) in rows.chunks(65_535).enumerate() {
        let length = block.len() as u16;
        zlib.push(u8::from(at + 1 == blocks));
        zlib.extend(length.to_le_bytes());
        zlib.extend((!length).to_le_bytes());
        zlib.extend(block);
    }
    zlib.extend(adler32(rows).to_be_bytes());

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", zlib), (b"IEND", Vec::new())] {
        let mut checked = kind.to_vec();
        checked.extend(&data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(&checked);
        file.extend(crc32(&checked).to_be_bytes());
    }
    file
}

/// RFC 1950, section 9.
fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// PNG specification, annex D, one bit at a time.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { 0xedb8_8320 ^ crc >> 1 } else { crc >> 1 }
        })
    })
}
