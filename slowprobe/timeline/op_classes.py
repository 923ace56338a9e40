"""Which class of work an operator does, by its name and by where it ran."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

OpClass = Literal[
    "matmul",
    "convolution",
    "attention",
    "elementwise",
    "normalisation",
    "reduction",
    "indexing",  # gather, scatter, embedding, masks, sort
    "rnn",
    "copy",  # moves bytes: copies, casts, concatenation
    "view",  # moves nothing: only shape and strides change
    "allocation",
    "random",
    "loss",
    "optimizer",
    "data",
    "autograd",  # the backward engine's own work around the operators it calls
    "compiled",  # inside code that torch.compile made
    "other",
]

_NAMES: dict[OpClass, str] = {
    "matmul": """linear addmm mm bmm baddbmm addbmm matmul addmv mv dot vdot inner outer einsum bilinear chain_matmul
        multi_dot tensordot kron mkldnn_linear _addmm_activation _scaled_mm _grouped_mm addr ger""",
    "convolution": """conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution
        mkldnn_convolution thnn_conv2d _slow_conv2d_forward slow_conv3d slow_conv_transpose2d slow_conv_dilated2d
        _conv_depthwise2d conv_depthwise3d cudnn_convolution miopen_convolution convolution_overrideable""",
    "attention": """scaled_dot_product_attention _scaled_dot_product_attention_math _flash_attention_forward
        _efficient_attention_forward _native_multi_head_attention _scaled_dot_product_flash_attention
        _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_efficient_attention
        _scaled_dot_product_cudnn_attention _transformer_encoder_layer_fwd _fused_sdp_choice""",
    "elementwise": """add sub rsub mul div true_divide floor_divide remainder fmod pow square sqrt rsqrt exp exp2
        expm1 log log2 log10 log1p sin cos tan tanh asin acos atan atan2 sinh cosh erf erfc erfinv sigmoid log_sigmoid
        log_sigmoid_forward relu relu6 leaky_relu elu celu selu gelu silu mish softplus hardtanh hardswish hardsigmoid
        threshold prelu rrelu glu abs neg sign sgn reciprocal ceil floor round trunc frac clamp clamp_min clamp_max
        clip maximum minimum fmax fmin where lerp addcmul addcdiv eq ne lt le gt ge logical_and logical_or logical_not
        logical_xor bitwise_and bitwise_or bitwise_not bitwise_xor isnan isinf isfinite nan_to_num masked_fill
        positive conj conj_physical _softmax softmax log_softmax _log_softmax zero fill softshrink hardshrink logit
        digamma lgamma heaviside hypot sinc xlogy special_xlog1py""",
    "normalisation": """batch_norm native_batch_norm _batch_norm_impl_index cudnn_batch_norm miopen_batch_norm
        layer_norm native_layer_norm group_norm native_group_norm instance_norm rms_norm _fused_rms_norm
        local_response_norm normalize _batch_norm_with_update _native_batch_norm_legit batch_norm_stats""",
    "reduction": """sum mean prod max min amax amin argmax argmin std var std_mean var_mean norm linalg_vector_norm
        linalg_norm all any cumsum cumprod cummax logsumexp logcumsumexp median mode nansum nanmean count_nonzero
        aminmax trace dist cdist _cdist_forward max_pool1d max_pool2d max_pool2d_with_indices max_pool3d avg_pool1d
        avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d
        adaptive_avg_pool3d equal allclose""",
    "indexing": """index index_put _index_put_impl index_select index_add index_copy index_fill gather scatter
        scatter_add scatter_reduce masked_select masked_scatter take take_along_dim put embedding embedding_bag
        _embedding_bag embedding_dense embedding_sparse embedding_renorm nonzero unique _unique unique_dim _unique2
        sort argsort topk kthvalue searchsorted bucketize one_hot bincount histc tril triu tril_indices triu_indices
        grid_sampler grid_sampler_2d upsample_nearest2d upsample_bilinear2d roll flip repeat_interleave""",
    "rnn": """lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell _thnn_fused_lstm_cell
        _thnn_fused_gru_cell mkldnn_rnn_layer _cudnn_rnn miopen_rnn quantized_lstm""",
    "copy": """copy _to_copy to contiguous clone cat concat stack hstack vstack dstack pad constant_pad_nd
        reflection_pad2d replication_pad2d repeat tile _local_scalar_dense item pin_memory _pin_memory type_as _cat
        _stack _copy_from lift_fresh unfold_copy pad_sequence im2col col2im float half double channel_shuffle
        pixel_shuffle""",
    "view": """view reshape _reshape_alias t transpose permute expand expand_as as_strided select slice narrow split
        split_with_sizes chunk unbind unsqueeze squeeze flatten unflatten detach alias resolve_conj resolve_neg
        view_as diagonal movedim swapaxes _unsafe_view unfold tensor_split broadcast_tensors meshgrid result_type
        is_nonzero _nested_tensor_size set_ data requires_grad_ lift real imag view_as_real view_as_complex mT""",
    "allocation": """empty empty_strided empty_like new_empty new_empty_strided zeros zeros_like new_zeros ones
        ones_like new_ones full full_like new_full resize resize_as arange linspace eye scalar_tensor tensor from_file
        _efficientzerotensor""",
    "random": """random uniform normal bernoulli dropout native_dropout feature_dropout alpha_dropout rand rand_like
        randn randn_like randint randint_like randperm multinomial exponential log_normal cauchy geometric poisson
        binomial _fused_dropout""",
    "loss": """cross_entropy_loss nll_loss nll_loss_nd nll_loss_forward nll_loss2d nll_loss2d_forward mse_loss l1_loss
        smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits kl_div ctc_loss _ctc_loss
        poisson_nll_loss hinge_embedding_loss margin_ranking_loss cosine_embedding_loss triplet_margin_loss
        multi_margin_loss multilabel_margin_loss soft_margin_loss gaussian_nll_loss cosine_similarity""",
}
_BY_NAME: dict[str, OpClass] = {name: kind for kind, names in _NAMES.items() for name in names.split()}

_COMPILED_PREFIXES = ("Torch-Compiled Region", "## Call CompiledFxGraph", "CompiledFunction", "CompiledAutograd")
_COMPILED_PARTS = ("triton_", "cpp_fused_", "inductor")
_ENGINE_PREFIX = "autograd::engine::"
_SUFFIXES = (
    "_backward_data",
    "_backward_input",
    "_backward_weight",
    "_backward_weights",
    "_backward",
    "_double_backward",
)

OWNERS: frozenset[OpClass] = frozenset(
    {"convolution", "attention", "normalisation", "rnn", "random", "loss", "compiled"}
)
"""Classes that keep the operators nested in them: a matmul inside an LSTM is RNN time."""


@lru_cache(maxsize=4096)
def classify(name: str) -> OpClass:
    """The class of an operator by its name alone; backward operators count as what they differentiate."""
    if name.startswith(_ENGINE_PREFIX) or (name.endswith(("Backward", "Backward0", "Backward1", "AccumulateGrad"))):
        return "compiled" if "CompiledFunction" in name else "autograd"
    if name.startswith(_COMPILED_PREFIXES) or any(part in name for part in _COMPILED_PARTS):
        return "compiled"
    base = name.rpartition("::")[2].partition(".")[0]
    if base.startswith(("_fused_adam", "_fused_sgd", "_fused_adagrad")):
        return "optimizer"
    base = base.removeprefix("_foreach_")
    for candidate in (base, base.rstrip("_"), base.removeprefix("_")):
        if candidate in _BY_NAME:
            return _BY_NAME[candidate]
    for suffix in _SUFFIXES:
        if base.endswith(suffix):
            return classify(base.removesuffix(suffix))
    return "other"


def class_of_annotation(name: str) -> OpClass | None:
    """The class that everything under an annotation belongs to, if the annotation says so."""
    if name.startswith(("Optimizer.step#", "Optimizer.zero_grad#")):
        return "optimizer"
    if name.startswith("enumerate(DataLoader)#"):
        return "data"
    return None
