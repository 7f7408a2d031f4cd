//! The generator and the numbers made from its outputs.

const SIZE: usize = 624;
const MIDDLE: usize = 397;

/// The Mersenne Twister with the ways of Python and NumPy to make numbers from its 32-bit outputs.
#[derive(Debug, Clone)]
pub struct MersenneTwister {
    state: [u32; SIZE],
    index: usize,
}

impl MersenneTwister {
    /// Seeds like Python's `random.seed(seed)` with a non-negative integer: by its 32-bit digits, lowest first.
    pub fn from_python_seed(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        if high == 0 { Self::init_by_array(&[low]) } else { Self::init_by_array(&[low, high]) }
    }

    /// Seeds like NumPy's `RandomState(seed)`; [`Self::random`] is its `random_sample`.
    pub fn from_numpy_seed(seed: u32) -> Self {
        Self::init(seed)
    }

    /// Seeds by a key of 32-bit numbers; an empty key counts as `[0]`.
    pub fn init_by_array(key: &[u32]) -> Self {
        let key = if key.is_empty() { &[0] } else { key };
        let mut state = Self::init(19_650_218).state;
        let mut at = 1;
        for step in 0..SIZE.max(key.len()) {
            let digit = step % key.len();
            let mixed = (state[at - 1] ^ (state[at - 1] >> 30)).wrapping_mul(1_664_525);
            state[at] = (state[at] ^ mixed).wrapping_add(key[digit]).wrapping_add(digit as u32);
            at = next_place(&mut state, at);
        }
        for _ in 1..SIZE {
            let mixed = (state[at - 1] ^ (state[at - 1] >> 30)).wrapping_mul(1_566_083_941);
            state[at] = (state[at] ^ mixed).wrapping_sub(at as u32);
            at = next_place(&mut state, at);
        }
        state[0] = 0x8000_0000;
        Self { state, index: SIZE }
    }

    /// The next 32-bit output.
    pub fn next_u32(&mut self) -> u32 {
        if self.index >= SIZE {
            self.twist();
        }
        let mut output = self.state[self.index];
        self.index += 1;
        output ^= output >> 11;
        output ^= (output << 7) & 0x9d2c_5680;
        output ^= (output << 15) & 0xefc6_0000;
        output ^ (output >> 18)
    }

    /// Python's `random()` and NumPy's `random_sample()`: a number in `[0, 1)` with 53 bits, from two outputs.
    pub fn random(&mut self) -> f64 {
        let high = f64::from(self.next_u32() >> 5);
        let low = f64::from(self.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// Python's `randrange(n)`: the top bits of one output, as many as `n` has, until the value is below `n`.
    /// For `n` = 0 the answer is 0 and nothing is drawn.
    pub fn below(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        loop {
            let value = self.next_u32() >> n.leading_zeros();
            if value < n {
                return value;
            }
        }
    }

    /// Python's `shuffle(items)`: from the last place on, each is swapped with one at or before it.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let places = u32::try_from(last + 1).unwrap_or(u32::MAX);
            items.swap(last, self.below(places) as usize);
        }
    }

    fn init(seed: u32) -> Self {
        let mut state = [seed; SIZE];
        for at in 1..SIZE {
            let before = state[at - 1];
            state[at] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(at as u32);
        }
        Self { state, index: SIZE }
    }

    fn twist(&mut self) {
        for at in 0..SIZE {
            let joined = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % SIZE] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + MIDDLE) % SIZE] ^ (joined >> 1) ^ odd;
        }
        self.index = 0;
    }
}

/// Steps through the state from 1 on, round the end; the last number then also stands at 0.
fn next_place(state: &mut [u32; SIZE], at: usize) -> usize {
    if at + 1 < SIZE {
        return at + 1;
    }
    state[0] = state[SIZE - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outputs_are_those_of_the_acceptance_vector() {
        let mut generator = MersenneTwister::from_python_seed(11_335_577);
        let outputs: Vec<u32> = (0..4).map(|_| generator.next_u32()).collect();
        assert_eq!(outputs, [87_865_641, 150_826_825, 2_443_662_869, 3_564_304_118]);
    }

    #[test]
    fn the_first_fractions_are_those_of_the_acceptance_vector() {
        let mut generator = MersenneTwister::from_python_seed(11_335_577);
        let outputs: Vec<f64> = (0..3).map(|_| generator.random()).collect();
        assert_eq!(outputs, [0.020457811915256863, 0.5689595999559701, 0.4107178926573303]);
    }

    /// `numpy.random.RandomState(42).random_sample(3)`.
    #[test]
    fn numpys_fractions() {
        let mut generator = MersenneTwister::from_numpy_seed(42);
        let outputs: Vec<f64> = (0..3).map(|_| generator.random()).collect();
        assert_eq!(outputs, [0.3745401188473625, 0.9507143064099162, 0.7319939418114051]);
    }

    #[test]
    fn below_stays_below() {
        let mut generator = MersenneTwister::from_python_seed(5);
        assert!((0..1000).all(|_| generator.below(10) < 10));
        assert_eq!(generator.below(0), 0);
        assert_eq!(generator.below(1), 0);
    }

    /// `random.seed(13); random.shuffle(list(range(12)))` of Python 3.11.
    #[test]
    fn a_shuffle_is_pythons() {
        let mut items: Vec<usize> = (0..12).collect();
        MersenneTwister::from_python_seed(13).shuffle(&mut items);
        assert_eq!(items, [8, 7, 0, 10, 5, 1, 6, 9, 3, 2, 11, 4]);
        MersenneTwister::from_python_seed(13).shuffle::<u8>(&mut []);
    }
}
