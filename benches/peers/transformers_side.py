"""transformers as a side of `throughput`: answers requests to generate, one line of JSON each.

    python transformers_side.py MODEL --config CONFIG --threads 2 --batch 8 --context 1100

The model has random weights in bf16 and the shape of CONFIG, which `throughput` gives as JSON; MODEL, --batch and --context are only
there because other peers need them. Prompts are continued one after the other, each from nothing, as the published programs do.
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
    return parser.parse_args()


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**options.config, bos_token_id=1, eos_token_id=None, pad_token_id=None)
    with torch.device(options.device):
        torch.set_default_dtype(torch.bfloat16)
        model = transformers.LlamaForCausalLM(config).eval()
    answer(name=f"transformers {transformers.__version__}, bf16, one after the other")
    for request in requests():
        begun = time.perf_counter()
        for prompt in request["prompts"]:
            ids = torch.tensor([prompt], device=options.device)
            new = request["new_tokens"]
            with torch.inference_mode():
                model.generate(ids, max_new_tokens=new, min_new_tokens=new, do_sample=False)
        answer(seconds=time.perf_counter() - begun)


if __name__ == "__main__":
    main()
