"""CTranslate2's side of `throughput beam`, which starts this program: decoding of a BART folder in float32.

    python seq2seq_ctranslate2.py FOLDER --threads 2

Converts the folder once, into its subfolder `ctranslate2`. Reads requests and writes answers as lines of JSON, the first answer when the model
is loaded: `{"inputs": [[ids]], "beams": n, "new": n}` gives the best hypothesis' new ids, the seconds that it took and the peak of resident memory.
"""

import argparse
import time
from pathlib import Path

import ctranslate2

from line_protocol import answer, requests


class NumberedTokens:
    """A tokenizer whose tokens are their ids, for folders without one."""

    bos_token, pad_token, eos_token, unk_token = "0", "1", "2", "3"

    def __init__(self, count):
        self.count = count

    def get_vocab(self):
        return {str(number): number for number in range(self.count)}

    def convert_ids_to_tokens(self, number):
        return str(number)


class FolderConverter(ctranslate2.converters.Converter):
    """CTranslate2's own converter wants a tokenizer in the folder."""

    def __init__(self, folder):
        self.folder = folder

    def _load(self):
        import torch
        from ctranslate2.converters.transformers import BartLoader
        from transformers import BartForConditionalGeneration

        model = BartForConditionalGeneration.from_pretrained(self.folder)
        model.config.normalize_before = False
        with torch.no_grad():
            return BartLoader()(model, NumberedTokens(model.config.vocab_size))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--convert", action="store_true", help="only convert")
    options = parser.parse_args()
    converted = Path(options.folder) / "ctranslate2"
    if options.convert:
        if not converted.exists():
            FolderConverter(options.folder).convert(str(converted))
        return
    translator = ctranslate2.Translator(
        str(converted), compute_type="float32", inter_threads=1, intra_threads=options.threads
    )
    answer(name=f"CTranslate2 {ctranslate2.__version__}, float32")
    for request in requests():
        tokens = [[str(number) for number in ids] for ids in request["inputs"]]
        new = request["new"]
        started = time.perf_counter()
        found = translator.translate_batch(
            tokens, beam_size=request["beams"], min_decoding_length=new, max_decoding_length=new
        )
        seconds = time.perf_counter() - started
        answer(seconds=seconds, ids=[[int(token) for token in result.hypotheses[0]] for result in found])


if __name__ == "__main__":
    main()
