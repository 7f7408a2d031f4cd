//! Cyclic redundancy checks: CRC-32C (TensorBoard's records) and CRC-32 (LevelDB logs of Weights & Biases).

/// Reflected polynomials.
const CASTAGNOLI: u32 = 0x82f6_3b78;
const ZLIB: u32 = 0xedb8_8320;

const fn table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ polynomial } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

static CASTAGNOLI_TABLE: [u32; 256] = table(CASTAGNOLI);
static ZLIB_TABLE: [u32; 256] = table(ZLIB);

fn crc(table: &[u32; 256], parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    !bytes.fold(!0, |sum, byte| (sum >> 8) ^ table[((sum ^ u32::from(*byte)) & 0xff) as usize])
}

/// CRC-32 of parts one after the other.
pub(super) fn crc32(parts: &[&[u8]]) -> u32 {
    crc(&ZLIB_TABLE, parts)
}

/// CRC-32C, rotated and shifted so that a checksum of data with checksums in it is no trivial one.
pub(super) fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc(&CASTAGNOLI_TABLE, &[bytes]).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of parametrised algorithms.
    #[test]
    fn known_answers() {
        assert_eq!(crc32(&[b"123456789"]), 0xcbf4_3926);
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xcbf4_3926);
        assert_eq!(crc(&CASTAGNOLI_TABLE, &[b"123456789"]), 0xe306_9283);
    }
}
