"""The names in torch's `op_db` that Thalweg does not share, each under one reason; the shared are in `op_db_shared`.

A name of a later torch that stands nowhere here makes a test fail only where the pinned torch is installed.
"""

COMPOSITE = "torch's own composite: an expression of a line in the functions that are shared"
LATER = "NumPy has it, Thalweg does not yet: using it raises an error that names it"
COMPLEX = "complex numbers and Fourier transforms: a later extension"
SPECIAL = "special functions without a NumPy name"
RANDOM = "random numbers"
IN_PLACE = "in place, or writing into storage: arrays here are immutable"
STORAGE = "kinds, copies and places of storage; arrays without values"
NETWORK = "layers, activations and losses of networks: they belong to torch.nn"
BITS = "whole numbers, bits and counts: nothing to differentiate, no samples in float64, or whole arguments in NumPy"
FACTORS = "LAPACK's packed factors, and variants that return error codes"
GENERAL = "eigenvalues of general matrices, which are complex"
SPARSE = "sparse matrices"
MASKED = "masked reductions: where(mask, x, neutral element) and the reduction"
WINDOWS = "window functions of signal processing"
SCATTER = (
    "gathering and scattering in torch's conventions: x[...], take_along_axis, where, or a product with a selection"
)
INTERNAL = "torch's internals"

_GROUPS = {
    COMPOSITE: """addmm addmv addbmm baddbmm addr addcmul addcdiv combinations cartesian_prod cdist dist lerp renorm
        cholesky_inverse cholesky_solve log_softmax logit polar special.entr sum_to_size kthvalue topk mode""",
    LATER: """block_diag i0 imag isin frexp nextafter unique histogram histogramdd histc bincount bucketize searchsorted
        linalg.vander cov corrcoef gradient angle isreal linalg.tensorinv linalg.tensorsolve nanmedian nanquantile
        broadcast_shapes fill cummax cummin cumulative_trapezoid""",
    COMPLEX: """view_as_real view_as_complex complex resolve_conj resolve_neg stft istft
        fft.fft fft.fft2 fft.fftn fft.hfft fft.hfft2 fft.hfftn fft.rfft fft.rfft2 fft.rfftn fft.ifft fft.ifft2 fft.ifftn
        fft.ihfft fft.ihfft2 fft.ihfftn fft.irfft fft.irfft2 fft.irfftn fft.fftshift fft.ifftshift""",
    SPECIAL: """erfinv igamma igammac mvlgamma xlogy logcumsumexp special.i0e special.i1 special.i1e
        special.ndtr special.xlog1py special.zeta special.ndtri special.log_ndtr special.erfcx special.airy_ai
        special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1 special.chebyshev_polynomial_t
        special.chebyshev_polynomial_u special.chebyshev_polynomial_v special.chebyshev_polynomial_w
        special.hermite_polynomial_h special.hermite_polynomial_he special.laguerre_polynomial_l
        special.legendre_polynomial_p special.modified_bessel_i0 special.modified_bessel_i1 special.modified_bessel_k0
        special.modified_bessel_k1 special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1
        special.shifted_chebyshev_polynomial_t special.shifted_chebyshev_polynomial_u
        special.shifted_chebyshev_polynomial_v special.shifted_chebyshev_polynomial_w special.spherical_bessel_j0""",
    RANDOM: """cauchy exponential geometric log_normal normal uniform randn randn_like rand_like randint randint_like
        multinomial bernoulli""",
    IN_PLACE: """diagonal_scatter as_strided as_strided_copy as_strided_scatter masked_scatter select_scatter
        slice_scatter index_fill index_copy index_put put resize_ resize_as_ zero_""",
    STORAGE: """item to contiguous alias_copy bfloat16 bool byte char double float half int long short cdouble cfloat
        chalf empty empty_like empty_strided empty_permuted new_zeros new_ones new_full new_empty new_empty_strided
        scalar_tensor unfold unfold_copy""",
    NETWORK: """nn.functional.softmin nn.functional.cross_entropy nn.functional.linear_cross_entropy
        nn.functional.normalize nn.functional.cosine_similarity nn.functional.adaptive_avg_pool1d
        nn.functional.adaptive_avg_pool2d nn.functional.adaptive_avg_pool3d nn.functional.adaptive_max_pool1d
        nn.functional.adaptive_max_pool2d nn.functional.adaptive_max_pool3d nn.functional.avg_pool1d
        nn.functional.avg_pool2d nn.functional.avg_pool3d nn.functional.binary_cross_entropy_with_logits
        nn.functional.conv_transpose1d nn.functional.conv_transpose2d nn.functional.conv_transpose3d
        nn.functional.conv1d
        nn.functional.conv2d nn.functional.conv3d nn.functional.group_norm nn.functional.instance_norm
        nn.functional.layer_norm nn.functional.rms_norm nn.functional.local_response_norm nn.functional.hardswish
        nn.functional.unfold nn.functional.interpolate nn.functional.upsample_bilinear nn.functional.soft_margin_loss
        nn.functional.upsample_nearest nn.functional.margin_ranking_loss nn.functional.multi_margin_loss
        nn.functional.multilabel_margin_loss nn.functional.leaky_relu nn.functional.multilabel_soft_margin_loss
        nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d nn.functional.max_pool1d
        nn.functional.max_pool2d nn.functional.max_pool3d nn.functional.max_unpool1d nn.functional.max_unpool2d
        nn.functional.max_unpool3d nn.functional.linear nn.functional.bilinear nn.functional.glu nn.functional.elu
        nn.functional.prelu nn.functional.celu nn.functional.rrelu nn.functional.selu
        nn.functional.scaled_dot_product_attention nn.functional.silu nn.functional.hardsigmoid nn.functional.logsigmoid
        nn.functional.mish nn.functional.softsign nn.functional.tanhshrink nn.functional.threshold
        nn.functional.triplet_margin_loss nn.functional.triplet_margin_with_distance_loss nn.functional.batch_norm
        nn.functional.binary_cross_entropy nn.functional.softshrink nn.functional.hardshrink nn.functional.hardtanh
        nn.functional.gelu nn.functional.relu6 nn.functional.smooth_l1_loss nn.functional.l1_loss nn.functional.dropout
        nn.functional.dropout2d nn.functional.dropout3d nn.functional.alpha_dropout
        nn.functional.feature_alpha_dropout nn.functional.one_hot nn.functional.embedding nn.functional.embedding_bag
        nn.functional.multi_head_attention_forward nn.functional.mse_loss nn.functional.grid_sample
        nn.functional.ctc_loss nn.functional.cosine_embedding_loss nn.functional.nll_loss
        nn.functional.gaussian_nll_loss nn.functional.hinge_embedding_loss nn.functional.huber_loss nn.functional.pdist
        nn.functional.poisson_nll_loss nn.functional.pairwise_distance nn.functional.pixel_shuffle
        nn.functional.pixel_unshuffle nn.functional.channel_shuffle nn.functional.kl_div grid_sampler_2d grid_sampler_3d
        native_group_norm native_layer_norm native_batch_norm""",
    BITS: """bitwise_not bitwise_left_shift bitwise_right_shift bitwise_and bitwise_or bitwise_xor __rand__ __ror__
        __rxor__ lcm gcd ldexp unravel_index triu_indices tril_indices hash_tensor""",
    FACTORS: """geqrf ormqr lu lu_solve lu_unpack linalg.lu linalg.lu_factor linalg.lu_factor_ex linalg.lu_solve
        linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve linalg.householder_product linalg.cholesky_ex
        linalg.inv_ex linalg.solve_ex svd_lowrank pca_lowrank""",
    GENERAL: "linalg.eig linalg.eigvals",
    SPARSE: "sparse.sampled_addmm sparse.mm to_sparse",
    MASKED: """masked.sum masked.prod masked.cumsum masked.cumprod masked.amax masked.amin masked.argmax masked.argmin
        masked.mean masked.median masked.norm masked.var masked.std masked.softmax masked.log_softmax masked.softmin
        masked.normalize masked.logaddexp masked.logsumexp""",
    WINDOWS: """signal.windows.hamming signal.windows.hann signal.windows.bartlett signal.windows.blackman
        signal.windows.cosine signal.windows.exponential signal.windows.gaussian signal.windows.kaiser
        signal.windows.general_cosine signal.windows.general_hamming signal.windows.nuttall""",
    SCATTER: """index_add index_reduce scatter scatter_add scatter_reduce unique_consecutive nonzero_static
        diag_embed""",
    INTERNAL: """_softmax_backward_data _native_batch_norm_legit _batch_norm_with_update _upsample_bilinear2d_aa
        max_pool2d_with_indices_backward torch._scaled_mm_v2 torch._scaled_mm torch.ops.aten._safe_softmax.default
        torch.ops.aten._flash_attention_forward torch.ops.aten._efficient_attention_forward _unsafe_masked_index
        _unsafe_masked_index_put_accumulate _chunk_cat _segment_reduce jiterator_unary jiterator_binary
        jiterator_4inputs_with_extra_args jiterator_binary_return_by_ref jiterator_2inputs_2outputs
        native_dropout_backward""",
}  # fmt: skip

NOT_SHARED = {name: reason for reason, names in _GROUPS.items() for name in names.split()}
"""Each unshared name and its reason."""

REASONS = list(_GROUPS)

VARIANTS_LEFT_OUT = {
    "linalg.lstsq": "residuals, ranks and singular values beside the solution: the variant grad_oriented is compared",
    "nn.functional.pad.reflect": "padding other than with a constant",
    "nn.functional.pad.replicate": "padding other than with a constant",
    "nn.functional.pad.replicate_negative": "padding other than with a constant",
    "nn.functional.pad.circular": "padding other than with a constant",
}
"""Variants of a shared name that are not compared."""
