//! Kernels for the CPU, whose results do not depend on what is computed beside them, and in `cuda` for CUDA devices.
//!
//! A general matrix product picks its blocking, and with it the order of its additions, from the shape of the whole
//! product: one row alone and the same row among sixteen differ in the last bits, and now and then in a greedy token.
//! On the CPU every output element is computed in an order that depends on its own inputs only. Tiles of rows and columns
//! only decide what is loaded together. So a request gives the same tokens alone, in a batch, after a prefix hit and
//! with any number of threads (on the same kind of processor: the vector width is chosen at run time).

mod attention;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
mod dot;
mod exp;
mod gathered_attention;
mod half_precision;
mod matmul;
mod quantised;
mod shared_out;

pub(crate) use attention::{BLOCK_SIZE, Cached, PagedAttentionInputs, Segment, Watch, paged_attention};
pub(crate) use exp::{gelu, gelu_backward, silu, silu_backward, softmax, sum_of_exponentials};
pub use gathered_attention::KeyGroup;
pub(crate) use gathered_attention::{GatheredAttentionInputs, gathered_attention};
pub(crate) use matmul::{Weights, matmul};
pub(crate) use quantised::PackedMatrix;
use shared_out::SharedOut;
