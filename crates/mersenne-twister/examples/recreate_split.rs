//! Which conversations did a Python program put into which part, and what would it have drawn next?
//!
//! `cargo run -p mersenne-twister --example recreate_split`

use mersenne_twister::MersenneTwister;

fn main() {
    // random.seed(13); random.shuffle(conversations)
    let mut conversations: Vec<usize> = (0..20).collect();
    let mut python = MersenneTwister::from_python_seed(13);
    python.shuffle(&mut conversations);
    let (train, others) = conversations.split_at(14);
    let (validation, test) = others.split_at(3);
    println!("train      {train:?}\nvalidation {validation:?}\ntest       {test:?}");

    // The same generator goes on: [random.random() < 0.3 for _ in train]
    let chosen: Vec<usize> = train.iter().copied().filter(|_| python.random() < 0.3).collect();
    println!("chosen of the first with probability 0.3: {chosen:?}");

    // numpy.random.RandomState(13).random_sample(3)
    let mut numpy = MersenneTwister::from_numpy_seed(13);
    println!("NumPy, seed 13: {:.6?}", [numpy.random(), numpy.random(), numpy.random()]);
}
