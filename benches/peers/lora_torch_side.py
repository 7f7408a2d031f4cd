"""torch with transformers and peft as a side of `throughput lora-step`: answers requests for training steps.

    python lora_torch_side.py --config CONFIG --threads 2 --rank 8 --targets q_proj,v_proj [--checkpointing] [--device cuda:0] [--four-bit]

The model has random weights in f32, or in bitsandbytes' NF4 (QLoRA), and the shape of CONFIG, which `throughput` gives as JSON. The first request gives the sequences of
all steps; the second half of each is learned.
"""

import argparse
import json
import time

import peft
import torch
import transformers

from line_protocol import answer, requests


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--targets", default="q_proj,v_proj")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--four-bit", action="store_true")
    return parser.parse_args()


def adapted(options):
    torch.set_default_dtype(torch.bfloat16 if options.four_bit else torch.float32)
    with torch.device("cpu" if options.four_bit else options.device):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**options.config))
    torch.set_default_dtype(torch.float32)
    if options.four_bit:
        import four_bit

        model = four_bit.quantised(model, options.device)
    adapter = peft.LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=options.targets.split(","))
    model = peft.get_peft_model(model, adapter)
    if options.checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    return model.train()


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = adapted(options)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)
    kind = "NF4" if options.four_bit else "f32"
    answer(name=f"torch {torch.__version__}, peft {peft.__version__}, {kind}")
    asked = requests()
    ids = torch.tensor(next(asked)["sequences"], device=options.device)
    labels = ids.clone()
    labels[:, : ids.shape[1] // 2] = -100
    for _ in asked:
        begun = time.perf_counter()
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if options.device != "cpu":
            torch.cuda.synchronize()
        answer(seconds=time.perf_counter() - begun)


if __name__ == "__main__":
    main()
