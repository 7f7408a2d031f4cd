//! Gradients of checkpointed sections.

use candle_core::{Device, Tensor, Var};
use llm_runtime::Checkpoints;

/// Two sections with one variable: its gradients are summed, and those of frozen tensors are kept only if nobody says what is wanted.
#[test]
fn only_gradients_of_wanted_variables_are_kept() {
    let weight = Var::from_tensor(&Tensor::new(&[2f32, 3.0], &Device::Cpu).unwrap()).unwrap();
    let frozen = Tensor::new(&[5f32, 7.0], &Device::Cpu).unwrap();
    for (checkpoints, is_frozen_kept) in [(Checkpoints::of([weight.id()]), false), (Checkpoints::default(), true)] {
        let input = Tensor::new(&[1f32, 10.0], &Device::Cpu).unwrap();
        let section = || {
            let (weight, frozen) = (weight.as_tensor().clone(), frozen.clone());
            move |x: &Tensor| (x * &weight)? * &frozen
        };
        let once = checkpoints.run(&input, section()).unwrap();
        let twice = checkpoints.run(&once, section()).unwrap();
        twice.sum_all().unwrap().backward().unwrap();
        let store = checkpoints.take();
        // x f² w² by w.
        assert_eq!(store.get(&weight).unwrap().to_vec1::<f32>().unwrap(), [1.0 * 25.0 * 4.0, 10.0 * 49.0 * 6.0]);
        assert_eq!(store.get(&frozen).is_some(), is_frozen_kept);
        assert_eq!(checkpoints.take().get_ids().count(), 0);
    }
}
