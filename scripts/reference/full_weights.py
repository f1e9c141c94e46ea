"""Whole projections that learn, beside the model they started as: dynamic evaluation with no adapter."""

from contextlib import contextmanager

import torch

from .adapters import ALL_TARGETS


class FullWeights:
    """Calls like a PEFT model: `learning`'s projections are trained, `base` is what disable_adapter() shows."""

    def __init__(self, learning: torch.nn.Module, base: torch.nn.Module):
        self.learning, self.base, self.enabled = learning, base, True
        for model in (learning, base):
            for parameter in model.parameters():
                parameter.requires_grad_(False)
        self.parameters = [module.weight for name, module in learning.named_modules()
                           if name.rsplit(".", 1)[-1] in ALL_TARGETS]
        for parameter in self.parameters:
            parameter.requires_grad_(True)

    def __call__(self, **inputs):
        return (self.learning if self.enabled else self.base)(**inputs)

    @contextmanager
    def disable_adapter(self):
        self.enabled = False
        try:
            yield
        finally:
            self.enabled = True
