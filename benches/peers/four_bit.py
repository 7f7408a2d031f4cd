"""Puts bitsandbytes' 4-bit layers (NF4) in the place of a model's matrices, as QLoRA and `load_in_4bit` do."""

import bitsandbytes
import torch


def quantised(model, device):
    """The model on the device, all its matrices but the output head in 4 bits; one matrix at a time is there twice."""
    for name, module in list(model.named_modules()):
        for child, linear in list(module.named_children()):
            if isinstance(linear, torch.nn.Linear) and child != "lm_head":
                setattr(module, child, four_bit(linear, device))
    return model.to(device)


def four_bit(linear, device):
    layer = bitsandbytes.nn.Linear4bit(
        linear.in_features, linear.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4", device="meta"
    )
    weight = linear.weight.detach().to(torch.bfloat16).cpu()
    layer.weight = bitsandbytes.nn.Params4bit(weight, requires_grad=False, quant_type="nf4")
    return layer.to(device)
