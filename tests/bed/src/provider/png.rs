//! A real PNG of a wanted size, made in code: noise, so that it cannot shrink on the way.

use std::io::Write;

use flate2::{Compression, Crc, write::ZlibEncoder};

/// A row is a filter byte and so many RGB pixels: 3 KB.
const WIDTH_PX: u32 = 1_000;
/// A PNG of less than one row of noise would not be worth its header.
const ROW_BYTES: u32 = 1 + 3 * WIDTH_PX;

/// A PNG of at least `bytes` bytes, and less than one row more than that.
pub fn png(bytes: u32) -> Vec<u8> {
    let height_px = bytes.div_ceil(ROW_BYTES).max(1);
    let mut image = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(WIDTH_PX.to_be_bytes());
    header.extend(height_px.to_be_bytes());
    // 8 bits per channel, RGB, deflate, no filter, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut image, b"IHDR", &header);
    chunk(&mut image, b"IDAT", &pixels(height_px));
    chunk(&mut image, b"IEND", &[]);
    image
}

fn pixels(height_px: u32) -> Vec<u8> {
    // Stored, not deflated: the size is then known beforehand.
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
    let mut noise = 0x9e37_79b9_u32;
    for _ in 0..height_px {
        let mut row = vec![0_u8];
        row.extend((1..ROW_BYTES).map(|_| {
            // xorshift: deterministic, and no two rows alike.
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            noise.to_le_bytes()[0]
        }));
        // Writing to memory does not fail.
        let _ = encoder.write_all(&row);
    }
    encoder.finish().unwrap_or_default()
}

fn chunk(image: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(data);
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    image.extend(length.to_be_bytes());
    image.extend(kind);
    image.extend(data);
    image.extend(crc.sum().to_be_bytes());
}
