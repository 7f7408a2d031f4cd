"""llama.cpp as a side of `throughput`: answers requests to generate, one line of JSON each.

    python llama_cpp_side.py MODEL.gguf --threads 2 --batch 8 --context 1100 [--no-repack] [--alone]

llama.cpp comes as the package xllamacpp, and does the work in its server, in this process. --no-repack is llama.cpp's option of that
name. With --alone prompts are computed one after the other, each from nothing. Otherwise the beginning that all prompts have in
common is computed once, by a request of its own, whose state each slot then starts from; where nothing is in common all prompts are
sent at once.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request

import xllamacpp

from line_protocol import answer, requests

# Below this many tokens a common beginning is not worth a request of its own.
WORTH_SHARING = 32


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--no-repack", action="store_true")
    parser.add_argument("--alone", action="store_true")
    return parser.parse_args()


def silence():
    """llama.cpp tells every step on the standard error; what Python has to say still goes there."""
    sys.stderr = os.fdopen(os.dup(2), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def server(options, folder):
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.n_parallel = options.batch
    params.n_ctx = options.batch * (options.context + 16)
    params.n_batch = params.n_ubatch = 512
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.no_extra_bufts = options.no_repack
    params.cache_ram_mib = 0
    params.endpoint_slots = True
    params.slot_save_path = folder + os.sep
    params.warmup = True
    return xllamacpp.Server(params)


class Side:
    def __init__(self, options, running):
        self.alone = options.alone
        self.slots = options.batch
        self.running = running

    def complete(self, prompt, new_tokens, slot):
        told = self.running.handle_completions({
            "prompt": prompt,
            "n_predict": new_tokens,
            "temperature": 0.0,
            "ignore_eos": True,
            "id_slot": slot,
            "cache_prompt": not self.alone,
        })
        if "timings" not in told:
            raise RuntimeError(f"llama.cpp answered {str(told)[:300]}")

    def generate(self, prompts, new_tokens, fresh):
        if fresh:
            for slot in range(self.slots):
                self.state("erase", slot)
        if self.alone:
            for prompt in prompts:
                self.complete(prompt, new_tokens, 0)
            return
        for first in range(0, len(prompts), self.slots):
            together = prompts[first : first + self.slots]
            self.share(together)
            self.all_at_once(together, new_tokens)

    def share(self, prompts):
        """Computes what all prompts begin with and gives its state to every slot."""
        common = len(os.path.commonprefix(prompts)) if len(prompts) > 1 else 0
        if common < WORTH_SHARING:
            return
        self.complete(prompts[0][:common], 1, 0)
        self.state("save", 0)
        for slot in range(1, len(prompts)):
            self.state("restore", slot)

    def state(self, action, slot):
        address = f"{self.running.listening_address}/slots/{slot}?action={action}"
        body = json.dumps({"filename": "shared"}).encode()
        asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked) as told:
            told.read()

    def all_at_once(self, prompts, new_tokens):
        each = [threading.Thread(target=self.complete, args=(prompt, new_tokens, slot)) for slot, prompt in enumerate(prompts)]
        for thread in each:
            thread.start()
        for thread in each:
            thread.join()


def main():
    options = arguments()
    silence()
    kind = "".join([", --no-repack" if options.no_repack else "", ", one after the other" if options.alone else ""])
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        side = Side(options, server(options, folder))
        answer(name=f"llama.cpp{kind}")
        for request in requests():
            begun = time.perf_counter()
            side.generate(request["prompts"], request["new_tokens"], request["fresh"])
            answer(seconds=time.perf_counter() - begun)


if __name__ == "__main__":
    main()
