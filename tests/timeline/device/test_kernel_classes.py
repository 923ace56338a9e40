"""Kernels by name, as today's and yesterday's libraries write them."""

from __future__ import annotations

import pytest

from slowprobe.timeline.device.classes import (
    CLASSES,
    avoids_tensor_cores,
    is_communication,
    kernel_class,
    uses_tensor_cores,
)

POINTWISE = "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, Array<char*, 3>>"

NAMED = [
    ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NNT", None, "matmul", True),
    ("ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x4_tn", None, "matmul", True),
    ("volta_sgemm_128x64_nn", "aten::addmm", "matmul", False),
    ("ampere_sgemm_32x32_sliced1x4_tn", "aten::addmm", "matmul", False),
    ("turing_fp16_s1688gemm_fp16_128x128_ldg8_f2f_tn", None, "matmul", True),
    ("void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x128_16x5_nn_align4>(T1::Params)", None, "matmul", True),
    ("void cutlass::Kernel2<cutlass_80_simt_sgemm_256x128_8x4_nn_align1>(T1::Params)", None, "matmul", False),
    (
        "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_kernel",
        None,
        "matmul",
        True,
    ),
    ("Cijk_Ailk_Bljk_HHS_BH_MT128x128x32_MI32x32x8x1_SN_1LDSB0", None, "matmul", True),
    ("Cijk_Ailk_Bljk_SB_MT64x64x16_SE_K1_TT4_4", None, "matmul", False),
    ("void gemv2T_kernel_val<int, int, float, float, float, float, 128, 16, 4, 4, false>", None, "matmul", False),
    ("void splitKreduce_kernel<32, 16, int, float, float, float, float, true, true, false>", None, "matmul", False),
    ("triton_tem_fused_addmm_3", None, "matmul", False),
    ("cudnn_ampere_scudnn_128x64_relu_xregs_large_nn_v1", None, "convolution", False),
    (
        "sm80_xmma_fprop_implicit_gemm_indexed_tf32f32_tf32f32_f32_nhwckrsc_nchw_tensor16x8x8_cudnn",
        None,
        "convolution",
        True,
    ),
    ("volta_scudnn_winograd_128x128_ldg1_ldg4_relu_tile148t_nt_v1", None, "convolution", False),
    ("volta_sgemm_128x64_nn", "aten::cudnn_convolution", "convolution", False),
    ("void cudnn::cnn::wgrad2d_grouped_direct_kernel<float>", None, "convolution", False),
    ("miopenSp3AsmConv_v30_3_1_gfx9_fp32_f2x3_stride1", None, "convolution", False),
    ("igemm_fwd_gtcx35_nhwc_fp16_bx0_ex1_bt128x128x32", None, "convolution", True),
    ("void cudnn::ops::nchwToNhwcKernel<float, float, float, true, true>", "aten::cudnn_convolution", "copy", False),
    ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4>>", None, "attention", True),
    (
        "fmha_cutlassF_f16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::half_t>)",
        None,
        "attention",
        True,
    ),
    ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_128x128x64", None, "attention", True),
    ("volta_sgemm_32x128_tn", "aten::_scaled_dot_product_efficient_attention", "attention", False),
    ("void at::native::batch_norm_collect_statistics_kernel<at::native::InvStd, float>", None, "normalization", False),
    (
        "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float, float>",
        None,
        "normalization",
        False,
    ),
    (
        "void (anonymous namespace)::softmax_warp_forward<float, float, float, 8, true, false>",
        None,
        "normalization",
        False,
    ),
    ("MIOpenBatchNormFwdTrainSpatial", None, "normalization", False),
    ("triton_per_fused_native_layer_norm_5", None, "normalization", False),
    (
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float>>>",
        None,
        "reduction",
        False,
    ),
    ("triton_red_fused_sum_1", None, "reduction", False),
    (POINTWISE, "aten::add_", "elementwise", False),
    ("triton_poi_fused_convolution_relu_3", None, "elementwise", False),
    ("void at::native::elementwise_kernel_with_index<int, at::native::arange_cuda_out>", None, "elementwise", False),
    (
        "void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)>",
        None,
        "copy",
        False,
    ),
    (
        "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, unsigned int, 2, 128, 1>",
        None,
        "copy",
        False,
    ),
    ("__amd_rocclr_copyBuffer", None, "copy", False),
    ("__amd_rocclr_fillBufferAligned", None, "memset", False),
    ("void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel>", None, "indexing", False),
    (
        "void at::native::indexSelectLargeIndex<float, long, unsigned int, 2, 2, -2, true>",
        "aten::index_select",
        "indexing",
        False,
    ),
    (
        "void at::native::indexSelectLargeIndex<float, long, unsigned int, 2, 2, -2, true>",
        "aten::embedding",
        "embedding",
        False,
    ),
    (
        "split_embedding_backward_codegen_rowwise_adagrad_unweighted_kernel_cta_per_row_1<float>",
        None,
        "embedding",
        False,
    ),
    ("void cub::DeviceRadixSortOnesweepKernel<cub::DeviceRadixSortPolicy<long>>", None, "indexing", False),
    ("void multi_tensor_apply_kernel<TensorListMetadata<4>, AdamFunctor<float>, float>", None, "optimizer", False),
    (POINTWISE, "Optimizer.step#SGD.step", "optimizer", False),
    (POINTWISE, "aten::_foreach_add_", "optimizer", False),
    ("ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevComm*, unsigned long)", None, "communication", False),
    ("fc-dtype_Float", None, "matmul", False),
    ("void fbgemm_gpu::permute_2D_data_kernel<false, int, int>", "fbgemm::permute_2D_sparse_data", "copy", False),
    ("add-dtype_Float", None, "elementwise", False),
    ("aten::mul.out-dtype_Float", None, "elementwise", False),
    ("my_own_kernel", None, "other", False),
    ("my_own_kernel", "aten::mm", "matmul", False),
]


@pytest.mark.parametrize(("name", "op", "expected", "tensor_cores"), NAMED)
def test_class_and_tensor_cores(name, op, expected, tensor_cores):
    assert kernel_class(name, op) == expected
    assert expected in CLASSES
    assert uses_tensor_cores(name) is tensor_cores


@pytest.mark.parametrize(
    "name",
    [
        "ncclKernel_AllReduce_RING_LL_Sum_float(ncclWorkElem)",
        "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)",
        "rcclGenericKernel<1, true>(ncclDevComm*)",
        "void multimem_all_reduce_kernel<c10::BFloat16, 16>",
        "void vllm::cross_device_reduce_2stage<__nv_bfloat16, 8>",
        "void all_to_all_vdev_2d_kernel<long>",
        "my_alltoall_kernel",
        "two_shot_all_reduce_kernel",
    ],
)
def test_communication_by_name(name):
    assert is_communication(name) and kernel_class(name) == "communication"


@pytest.mark.parametrize(
    "name",
    [
        "void at::native::scatter_reduce_kernel",
        "void oneflow::cuda::layer_norm::BlockAllReduce",
        "void cub::DeviceReduceKernel",
        "broadcast_gradient_args",
    ],
)
def test_names_that_only_resemble_a_collective(name):
    assert not is_communication(name)


@pytest.mark.parametrize("launched_by", ["record_param_comms", "nccl:all_to_all", "c10d::alltoall_base_"])
def test_communication_by_what_launched_it(launched_by):
    assert is_communication("some_kernel_of_ours", launched_by)
    assert not is_communication("some_kernel_of_ours", "aten::add")


def test_kernels_that_multiply_on_ordinary_cores():
    assert avoids_tensor_cores("volta_sgemm_128x64_nn")
    assert avoids_tensor_cores("volta_scudnn_128x64_relu_interior_nn_v1")
    assert not avoids_tensor_cores("cutlass_80_tensorop_s16816gemm_f16")
    assert not avoids_tensor_cores(POINTWISE)
