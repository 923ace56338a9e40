"""Which class of work a kernel does, by its name and by the operator that launched it."""

from __future__ import annotations

import re
from functools import lru_cache

from slowprobe.timeline.op_classes import OpClass, classify

CLASSES = (
    "matmul",
    "convolution",
    "attention",
    "elementwise",
    "normalization",
    "reduction",
    "indexing",
    "optimizer",
    "embedding",
    "communication",
    "copy",
    "memset",
    "other",
)

_COMMUNICATION = re.compile(
    r"nccl|rccl|gloo|mscclpp?_?kernel|nvshmem|multimem_|cross_device_reduce|(one|two)_?shot_|deep_?ep::"
    r"|(?<![a-z])all_?(reduce|gather|to_?all)|(?<![a-z])reduce_?scatter(?!_)",
    re.IGNORECASE,
)
_COLLECTIVE = re.compile(
    r"^(record_param_comms|(nccl|rccl|gloo|mpi|ucc|xccl|hccl):|c10d::|_?c10d_functional::|symm_mem::)"
)

# In this order: a flash-attention kernel of cutlass is attention, not a matmul.
_BY_NAME: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("memset", r"fillbuffer|^memset"),
        ("embedding", r"embedding|krn_partial|sum_and_scatter|compute_grad_weight|(?<![a-z])tbe(?![a-z])"),
        (
            "attention",
            r"flash|fmha|(?<![a-z])mha_|attention|(?<![a-z])attn|sdpa|batch(prefill|decode)with|flex_attn|fav[23]",
        ),
        (
            "optimizer",
            r"multi_tensor_apply|adam|adagrad|adadelta|rmsprop|fused_?sgd|sgdm?(functor|math|kernel)|lamb(?!da)"
            r"|(?<![a-z])(lion|lars|muon|shampoo)(?![a-z])|adafactor|optimizer",
        ),
        (
            "copy",  # before convolution: layout changes around one
            r"nchwtonhwc|nhwctonchw|nchw2nhwc|nhwc2nchw|batched_transpose|copybuffer|catarraybatched|transpose_readwrite",
        ),
        ("normalization", r"batch_?norm|bn_(fw|bw)|layer_?norm|rms_?norm|group_?norm|instance_?norm|soft_?max|welford"),
        ("normalization", r"rowwisemoments|gammabeta|computeinternalgradients|computefusedparams|l2norm"),
        (
            "convolution",
            r"conv(?!ert)|scudnn|cudnn::(cnn|winograd)|winograd|implicit_gemm|[fdw]grad(?![a-z])|fprop|igemm_(fwd|bwd|wrw)"
            r"|im2d?2?col|col2im|miopensp3|depthwise",
        ),
        (
            "matmul",
            r"(?<!fb)gemm|gemv|nvjet|cutlass|wgmma|xmma|cijk_|cublas|splitk|tensile|(?<![a-z])(b?mm|matmul|addmm)(?![a-z])"
            r"|^(volta|turing|ampere|hopper|sm\d+)_\w+_(nn|nt|tn|tt)(_|$)|(?<![a-z])dot_kernel|(^|_)fc-dtype",
        ),
        (
            "indexing",
            r"(?<!with_)(?<!with_i)index(?!type)|gather|scatter|(?<![a-z])sort|radix|onesweep|topk|bitonic|unique"
            r"|nonzero|deviceselect|compact|masked_|histogram|searchsorted|(?<![a-z])take|(?<![a-z])(tril|triu)",
        ),
        (
            "reduction",
            r"reduce|reduction|scan(?!n)|cumsum|cumprod|argm(ax|in)|nll_loss|crossentropy|max_?pool|avg_?pool",
        ),
        ("reduction", r"adaptive_?average|pool2d|pool_(fw|bw)|(?<![a-z])(sum|mean|norm)(?![a-z])"),
        ("copy", r"copy|transpose|permute"),
        (
            "elementwise",
            r"elementwise|pointwise|dropout|distribution_|functor|activation|optensor|subtensorop|fused_?bias|swiglu"
            r"|silu|gelu|quantize|to_float|arange|fill|op_tensor|rope|rotary",
        ),
    )
)
_TRITON = re.compile(r"^triton_(poi|red|per|tem|for|mm|split_scan|spl)")
_OF_OPERATOR: dict[OpClass, str] = {
    "matmul": "matmul",
    "convolution": "convolution",
    "attention": "attention",
    "elementwise": "elementwise",
    "normalisation": "normalization",
    "reduction": "reduction",
    "loss": "reduction",
    "indexing": "indexing",
    "copy": "copy",
    "random": "elementwise",
    "optimizer": "optimizer",
}
# After the letter that says the type: the shape of one instruction, m×n×k, as cuBLAS, cuDNN and cutlass write it.
_MMA_SHAPE = r"[a-z_](884|1688|16816|16832|16864|168256|8816|8832|88128)(?!\d)"
_TENSOR_CORES = re.compile(
    rf"{_MMA_SHAPE}|tensorop|wmma|wgmma|gmma|[hib]mma|tcgen05|umma|nvjet|tensor(8x8x4|16x8x\d+)|tf32"
    r"|xmma_\w*(f16|bf16|e4m3|e5m2)|flash_(fwd|bwd)|flashattn|pytorch_flash|fmha_cutlass[fb]_(bf16|f16)|_wmma_"
    r"|deep_gemm|mfma|xdlops|_mi\d+x\d+|igemm_\w*gtcx"
)
_SIMT = re.compile(r"sgemm|dgemm|scudnn|simt|ffma|(?<![a-z])sgemv|implicit_convolve|winograd|fft2d_|depthwise")


@lru_cache(maxsize=65536)
def kernel_class(name: str, launching_op: str | None = None) -> str:
    """One of `CLASSES` for a kernel of this name, launched by this operator or under this annotation.

    Its own name decides, except where the operator knows better: a matmul launched by a convolution is the convolution.
    """
    if is_communication(name, launching_op):
        return "communication"
    lowered = name.lower()
    op = launching_op or ""
    if op.startswith(("Optimizer.step#", "aten::_fused_", "aten::_foreach_")):
        return "optimizer"
    by_op = "embedding" if "embedding" in op else _OF_OPERATOR.get(classify(op)) if op else None
    triton = _TRITON.match(lowered)
    if triton:
        return _triton_class(triton[1], lowered)
    by_name = next((kind for kind, pattern in _BY_NAME if pattern.search(lowered)), None)
    if by_op in ("convolution", "attention") and by_name in ("matmul", "other", "reduction", None):
        return by_op
    if by_op == "embedding" and by_name != "memset":
        return by_op
    return by_name or _OF_OPERATOR.get(classify(_as_operator(name))) or by_op or "other"


def uses_tensor_cores(name: str) -> bool:
    """Whether the kernel's name says that it multiplies on tensor cores (matrix cores on AMD)."""
    return bool(_TENSOR_CORES.search(name.lower()))


def avoids_tensor_cores(name: str) -> bool:
    """Whether the kernel's name says that it multiplies on ordinary cores, in fp32 or fp64."""
    lowered = name.lower()
    return bool(_SIMT.search(lowered)) and not _TENSOR_CORES.search(lowered)


def is_communication(name: str, annotation: str | None = None) -> bool:
    """Whether a kernel moves data between ranks, by its name or by the annotation or operator that launched it."""
    return bool(_COMMUNICATION.search(name)) or (annotation is not None and is_collective(annotation))


def is_collective(name: str) -> bool:
    """Whether an operator or annotation is a collective itself: c10d::allreduce_, nccl:all_reduce, …"""
    return bool(_COLLECTIVE.match(name))


def _triton_class(prefix: str, lowered: str) -> str:
    """Inductor names its kernels by template and by the operators fused into them."""
    if prefix in ("tem", "mm"):
        if "attention" in lowered:
            return "attention"
        return "convolution" if "convolution" in lowered else "matmul"
    if prefix in ("red", "per"):
        return "normalization" if re.search(r"norm|softmax|var_mean", lowered) else "reduction"
    if prefix in ("split_scan", "spl"):
        return "reduction"
    return "optimizer" if prefix == "for" else "elementwise"


def _as_operator(name: str) -> str:
    """Some accelerators name kernels after operators: aten::mul.out-dtype_Float, add-dtype_Long."""
    return re.split(r"[-.<(]", name, maxsplit=1)[0]
