"""What capturing attention costs with transformers: time and memory of `generate` with and without `output_attentions`.

    python attention_transformers.py --shape 8,512,8,8,1376,8192 --save FOLDER        # random weights of that shape
    python attention_transformers.py --model FOLDER --prompt-tokens 1000 2000 --new-tokens 64
    attention --model FOLDER --prompt-tokens 1000,2000 --new-tokens 64                # ours, on the same files

Every figure comes from a process of its own: batch 1, f32, CPU, greedy, random prompts of a fixed seed. Time is the median of three
calls after a short one; memory is the growth of the largest resident size over what was resident before the call.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

SHAPE = ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size")


def save_random(shape, folder):
    """A random Llama with a tokenizer of numbered words, so that any engine can load the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = dict(zip(SHAPE, map(int, shape.split(","))))
    config = LlamaConfig(**sizes, max_position_embeddings=4096, bos_token_id=1, eos_token_id=2)
    LlamaForCausalLM(config).save_pretrained(folder)
    words = ["<unk>", "<s>", "</s>"] + [f"w{number}" for number in range(3, sizes["vocab_size"])]
    special = [{"id": at, "content": words[at], "special": True, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False} for at in range(3)]
    bpe = {"type": "BPE", "vocab": {word: at for at, word in enumerate(words)}, "merges": [], "unk_token": "<unk>",
           "byte_fallback": False, "fuse_unk": True, "dropout": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
           "ignore_merges": False}
    prepend = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                                   {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    decoder = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                                                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": prepend,
                 "pre_tokenizer": None, "post_processor": None, "decoder": decoder, "model": bpe}
    (Path(folder) / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True, "tokenizer_class": "LlamaTokenizer"}
    (Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings))


def resident(field):
    """Bytes that Linux tells of this process: VmRSS now, VmHWM at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def measure(arguments):
    """One figure: a length of prompt, an implementation of attention, and whether attentions are kept."""
    import torch
    from transformers import AutoModelForCausalLM

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    kept = arguments.measure == "eager+attentions"
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32, attn_implementation=arguments.measure.split("+")[0])
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, model.config.vocab_size, (1, arguments.prompt_tokens[0]), generator=generator)
    options = dict(do_sample=False, min_new_tokens=arguments.new_tokens, max_new_tokens=arguments.new_tokens, pad_token_id=0,
                   attention_mask=torch.ones_like(ids), return_dict_in_generate=True, output_attentions=kept)
    model.generate(ids[:, :64], **{**options, "attention_mask": torch.ones(1, 64, dtype=torch.long), "min_new_tokens": 2, "max_new_tokens": 2})
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    times, size = [], 0
    for call in range(3):
        start = time.perf_counter()
        out = model.generate(ids, **options)
        times.append(time.perf_counter() - start)
        if call == 0:
            growth = resident("VmHWM") - before
        if kept:
            size = sum(layer.numel() * layer.element_size() for step in out.attentions for layer in step)
        del out
    print(json.dumps({"prompt_tokens": arguments.prompt_tokens[0], "kind": arguments.measure, "seconds": sorted(times)[1],
                      "growth_bytes": growth, "attention_bytes": size, "torch": torch.__version__,
                      "transformers": __import__("transformers").__version__, "threads": torch.get_num_threads()}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--shape", help=",".join(SHAPE))
    parser.add_argument("--save")
    parser.add_argument("--prompt-tokens", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.shape:
        return save_random(arguments.shape, arguments.save)
    if arguments.measure:
        return measure(arguments)
    rows = []
    for tokens in arguments.prompt_tokens:
        for kind in ("sdpa", "eager", "eager+attentions"):
            command = [sys.executable, __file__, "--model", arguments.model, "--prompt-tokens", str(tokens),
                       "--new-tokens", str(arguments.new_tokens), "--measure", kind]
            command += ["--threads", str(arguments.threads)] if arguments.threads else []
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))
    print(f"Python {platform.python_version()}, torch {rows[0]['torch']}, transformers {rows[0]['transformers']}, {rows[0]['threads']} threads")
    print("prompt  kind              seconds  memory growth  attention tensors")
    for row in rows:
        print(f"{row['prompt_tokens']:>6}  {row['kind']:<16}  {row['seconds']:>7.2f}  {row['growth_bytes'] / 2**20:>9.1f} MiB"
              f"  {row['attention_bytes'] / 2**20:>9.1f} MiB")


main()
