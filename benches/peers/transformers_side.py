"""transformers as a side of `throughput`: answers requests to generate, one line of JSON each.

    python transformers_side.py MODEL --config CONFIG --threads 2 --batch 8 --context 1100 [--together] [--four-bit]

The model has random weights in bf16 and the shape of CONFIG, which `throughput` gives as JSON; MODEL, --batch and --context are only
there because other peers need them. Prompts are continued one after the other, each from nothing, as the published programs do, or all
in one batch. --four-bit has the matrices in bitsandbytes' NF4.
"""

import argparse
import json
import time

import torch
import transformers

from line_protocol import answer, requests


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--context", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--four-bit", action="store_true")
    return parser.parse_args()


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**options.config, bos_token_id=1, eos_token_id=None, pad_token_id=None)
    with torch.device("cpu" if options.four_bit else options.device):
        torch.set_default_dtype(torch.bfloat16)
        model = transformers.LlamaForCausalLM(config).eval()
    kind = "bf16"
    if options.four_bit:
        import four_bit

        model = four_bit.quantised(model, options.device)
        kind = f"bitsandbytes {four_bit.bitsandbytes.__version__} NF4"
    order = "in one batch" if options.together else "one after the other"
    answer(name=f"transformers {transformers.__version__}, {kind}, {order}")
    for request in requests():
        begun = time.perf_counter()
        prompts = request["prompts"]
        for batch in [prompts] if options.together else [[prompt] for prompt in prompts]:
            ids = torch.tensor(batch, device=options.device)
            new = request["new_tokens"]
            with torch.inference_mode():
                model.generate(ids, max_new_tokens=new, min_new_tokens=new, do_sample=False)
        answer(seconds=time.perf_counter() - begun)


if __name__ == "__main__":
    main()
