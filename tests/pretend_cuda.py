"""Tensors that say they are on a GPU, on a machine without one, with real numbers in them.

`FakeTensorMode` knows shapes alone, and the training asks its data questions (is any source left? which regions are there?). Here every tensor is a real one
on the CPU; some carry a mark, `device` says `cuda` for these, and whatever on a GPU would be an error is one: an operation of marked and unmarked tensors,
numpy of a marked one, a CPU generator for one that is made on the GPU. Outputs of marked tensors are marked."""
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA = torch.device("cuda", 0)
MOVES = {"to", "cuda", "cpu"}
COPIES = {"copy_", "__set__", "_has_compatible_shallow_copy_type", "__deepcopy__"}  # across devices, on purpose


def on_gpu(tensor): return getattr(tensor, "_on_gpu", False)


def marked(value, gpu):
    for leaf in tree_leaves(value):
        if isinstance(leaf, torch.Tensor): leaf._on_gpu = gpu
    return value


def wanted_device(args, kwargs):
    "The device that a call asks for, or None; of a tensor that is given as an example, too."
    for value in (kwargs.get("device"), *args):
        if isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda"): return torch.device(value)
        if isinstance(value, torch.device): return value
    return None


def without_cuda(value):
    if isinstance(value, torch.device) or (isinstance(value, str) and value.startswith("cuda")):
        return torch.device("cpu") if torch.device(value).type == "cuda" else value
    return value


class PretendCuda(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        owner = getattr(func, "__self__", None)
        if owner is torch.Tensor.device and name == "__get__": return CUDA if on_gpu(args[0]) else torch.device("cpu")
        if owner is torch.Tensor.is_cuda and name == "__get__": return on_gpu(args[0])
        if name in MOVES and args and isinstance(args[0], torch.Tensor): return self.move(func, name, args, kwargs)
        if name in ("numpy", "__array__") and on_gpu(args[0]): raise TypeError("numpy of a tensor on cuda: .cpu() it first")
        if name == "_parse_to" or func is torch.device: return func(*args, **kwargs)  # they only say which
        if name == "__iter__": return iter(args[0].unbind(0))
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        device, gpu = wanted_device(args, kwargs), any(map(on_gpu, tensors))
        if name == "__getitem__" and not on_gpu(args[0]): gpu = any(on_gpu(t) and t.dim() for t in tensors)  # a number may be anywhere
        self.check(name, args, tensors, gpu)
        if device is not None and device.type == "cuda" and kwargs.get("generator") is not None:
            raise RuntimeError(f"{name}: a generator of the CPU for a tensor on cuda")
        out = func(*tree_map(without_cuda, args), **tree_map(without_cuda, kwargs))
        if name == "__set__" and isinstance(args[1], torch.Tensor): args[0]._on_gpu = on_gpu(args[1])
        if name == "__deepcopy__": return marked(out, on_gpu(args[0]))
        if name in COPIES: return out
        if device is not None: gpu = device.type == "cuda"
        return marked(out, True) if gpu else out

    def check(self, name, args, tensors, gpu):
        if name in COPIES or not gpu: return
        others = [tensor for tensor in tensors if not on_gpu(tensor) and tensor.dim()]
        if name in ("__getitem__", "__setitem__", "index_put_") and on_gpu(args[0]):  # the index may be on the CPU
            others = [] if name == "__getitem__" else [t for t in others if t is args[-1] and t.numel() > 1]
        if others: raise RuntimeError(f"{name}: tensors on cuda and on cpu, {[tuple(t.shape) for t in tensors]}")

    def move(self, func, name, args, kwargs):
        tensor, rest = args[0], args[1:]
        like = next((value for value in rest if isinstance(value, torch.Tensor)), None)
        device = {"cuda": CUDA, "cpu": torch.device("cpu")}.get(name) or wanted_device(rest, kwargs)
        gpu = on_gpu(like) if like is not None else on_gpu(tensor) if device is None else device.type == "cuda"
        out = tensor if name != "to" else func(tensor, *tree_map(without_cuda, rest), **tree_map(without_cuda, kwargs))
        if out is tensor and gpu != on_gpu(tensor): out = tensor.clone()
        return out if out is tensor else marked(out, gpu)
