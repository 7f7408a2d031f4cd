"""Weights under the names of d-PM's published code, as torch saves them; the values are random.

python make_published.py: writes published.bin and published.safetensors beside this file (torch 2.15.0, safetensors 0.8.0).
The shape is that of an encoder of width 32 with one prefixed layer; prefixes of length 5, width 12 inside, 4 classes.
"""

import pathlib

import safetensors.torch
import torch

WIDTH, LAYERS, LENGTH, HIDDEN, CLASSES = 32, 1, 5, 12, 4
SHAPES = {
    "wte_enc.weight": (LENGTH, WIDTH),
    "control_trans_enc.0.weight": (HIDDEN, WIDTH),
    "control_trans_enc.0.bias": (HIDDEN,),
    "control_trans_enc.2.weight": (2 * LAYERS * WIDTH, HIDDEN),
    "control_trans_enc.2.bias": (2 * LAYERS * WIDTH,),
    "mlp.0.weight": (HIDDEN, WIDTH),
    "mlp.0.bias": (HIDDEN,),
    "mlp.2.weight": (CLASSES, HIDDEN),
    "mlp.2.bias": (CLASSES,),
}

torch.manual_seed(1)
tensors = {f"multi_prefix.posterior.{name}": 0.5 * torch.randn(shape) for name, shape in SHAPES.items()}
# The published files hold the frozen encoder, too.
tensors["bert.embeddings.LayerNorm.weight"] = torch.ones(WIDTH)
folder = pathlib.Path(__file__).parent
torch.save(tensors, folder / "published.bin")
safetensors.torch.save_file(tensors, folder / "published.safetensors")
