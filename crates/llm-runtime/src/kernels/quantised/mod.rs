//! `y = x Wᵀ` with weights of 4 and 6 bits that are packed for vectors of bytes when a model is loaded.
//!
//! A panel is sixteen output columns; its weights lie in the order in which the kernel meets them: four neighbouring weights of each of the sixteen columns, then the
//! next four. One vector of activations (the same four of a row, again and again) meets one vector of weights, and each lane sums up one column, so that nothing is
//! added across lanes. Packing loses nothing: codes, scales and minima are those of the file ([`PackedMatrix::dequantise`] gives the file's values), and the packed
//! matrix takes their place, so that weights are in memory once.
//!
//! Where many rows meet a panel, the codes of a block are opened first, one a byte, and all rows meet them before the next block's: so they are taken apart once and
//! not once for each few rows.
//!
//! Activations are rounded to 8 bits with one scale for 256 of them ([`Activations`]). Products of codes are summed as integers, which is exact, and one f32 sum per
//! output goes over the blocks of 256 in ascending order: an output does not depend on what is computed beside it.

mod activations;
mod matrix;
mod pages;
mod q4_0;
mod q4_k;
mod q6_k;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use matrix::PackedMatrix;

/// Weights that share scales in the file, or activations that share one.
const BLOCK: usize = 256;
/// Output columns of a panel.
const PANEL: usize = 16;
/// Neighbouring weights of a column that lie side by side.
const GROUP: usize = 4;
/// Bytes of one group of all columns of a panel.
const LINE: usize = PANEL * GROUP;

/// A type of quantised weights that can be packed.
trait Format {
    /// Bytes of 256 weights of one column in a file.
    const FILE_BYTES: usize;
    /// Bytes of 256 weights of each column of a panel.
    const PACKED_BYTES: usize;

    /// Puts 256 weights of a column, as they are in a file, in their places.
    fn pack(block: &[u8], column: usize, packed: &mut [u8]);

    /// The values of 256 weights of a column.
    fn dequantise(packed: &[u8], column: usize, values: &mut [f32; BLOCK]);

    /// Opens the codes of a packed block.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    unsafe fn open(block: &[u8], codes: &mut OpenCodes);

    /// Adds the products of a block of `R` rows with a packed block. The totals are the same with `codes`, if they are those of the block, as without.
    ///
    /// # Safety
    /// The processor has AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    unsafe fn add_block<const R: usize>(
        rows: &[activations::RowBlock<'_>; R],
        block: &[u8],
        codes: Option<&OpenCodes>,
        totals: &mut x86::Totals<R>,
    );
}

/// The codes of a block, one a byte, line by line.
type OpenCodes = [u8; PANEL * BLOCK];

/// Reads an f16 of a file's bytes.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Where a code of 4 bits lies: a run of 32 takes four lines, in which a byte has a code and, above, the one 16 weights later. Gives the byte's place among a panel's
/// codes, and the shift to the right.
fn nibble(weight: usize, column: usize) -> (usize, u32) {
    let (run, within) = (weight / 32, weight % 32);
    let (is_high, within) = (within / 16, within % 16);
    let line = run * 4 + within / GROUP;
    (line * LINE + column * GROUP + within % GROUP, 4 * is_high as u32)
}
