"""Prefill and decode of llama.cpp, for comparison with `throughput`.

    python llama_cpp_throughput.py MODEL.gguf --prompt-tokens 128,512 --new-tokens 64 --batch 1,8 [--no-repack]

Prompts are random tokens. One line per measurement: prefill tokens a second of a single prompt, and decode tokens a second (all
sequences together) after prompts of that length. Each figure is the median, then the lowest and the highest, of the repetitions after
a warm-up. llama.cpp comes as the package xllamacpp; --no-repack is llama.cpp's `--no-repack` (formerly `--repack 0`).
"""

import argparse
import json
import random
import resource
import statistics
import threading
import time

import xllamacpp


def numbers(text):
    return [int(number) for number in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--prompt-tokens", type=numbers, default=[512])
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch", type=numbers, default=[1])
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--no-repack", action="store_true")
    return parser.parse_args()


def server(options, batch, tokens):
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.n_ctx = batch * tokens
    params.n_parallel = batch
    params.n_batch = params.n_ubatch = 512
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.no_extra_bufts = options.no_repack
    params.cache_ram_mib = 0
    params.warmup = True
    return xllamacpp.Server(params)


def complete(running, prompt, new_tokens, slot):
    return running.handle_completions({
        "prompt": prompt,
        "n_predict": new_tokens,
        "temperature": 0.0,
        "ignore_eos": True,
        "id_slot": slot,
        "cache_prompt": True,
    })


def all_at_once(running, prompts, new_tokens):
    """Seconds until all have their tokens."""
    each = [
        threading.Thread(target=complete, args=(running, prompt, new_tokens, slot))
        for slot, prompt in enumerate(prompts)
    ]
    begun = time.perf_counter()
    for thread in each:
        thread.start()
    for thread in each:
        thread.join()
    return time.perf_counter() - begun


def measure(options, batch, length):
    running = server(options, batch, length + options.new_tokens + 16)
    draw = random.Random(length)
    prefill, decode = [], []
    for repetition in range(options.repetitions + 1):
        prompts = [[draw.randrange(3, options.vocabulary) for _ in range(length)] for _ in range(batch)]
        first = complete(running, prompts[0], 1, 0)["timings"]["prompt_ms"] / 1000
        all_at_once(running, prompts, 1)
        # The prompts are in the cache now: what remains is decoding and their last token.
        one, many = all_at_once(running, prompts, 1), all_at_once(running, prompts, options.new_tokens + 1)
        if repetition > 0:
            prefill.append(length / first)
            decode.append(batch * options.new_tokens / (many - one))
    return prefill, decode


def spread(values):
    return [round(value, 2) for value in (statistics.median(values), min(values), max(values))]


def main():
    options = arguments()
    for batch in options.batch:
        for length in options.prompt_tokens:
            prefill, decode = measure(options, batch, length)
            print(json.dumps({
                "peer": "llama.cpp", "repack": not options.no_repack, "batch": batch, "prompt_tokens": length,
                "new_tokens": options.new_tokens, "threads": options.threads,
                "prefill_tokens_per_second": spread(prefill), "decode_tokens_per_second": spread(decode),
                "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }), flush=True)


if __name__ == "__main__":
    main()
