//! MT19937 (Matsumoto & Nishimura, 1998), as Python's `random` module and NumPy's `RandomState` draw from it.
//!
//! Only for re-creating selections that a Python program published; everything of ours draws from ChaCha.
//!
//! ```
//! use mersenne_twister::MersenneTwister;
//!
//! // random.seed(42); random.shuffle(list(range(7)))
//! let mut places: Vec<usize> = (0..7).collect();
//! MersenneTwister::from_python_seed(42).shuffle(&mut places);
//! assert_eq!(places, [1, 3, 4, 2, 6, 0, 5]);
//! ```

mod generator;

pub use generator::MersenneTwister;
