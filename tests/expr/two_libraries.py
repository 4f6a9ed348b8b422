"""The functions that random programs use, in Thalweg and in torch, under the same names."""

import numpy as np
import torch

import thalweg.numpy as tnp
from thalweg.expr import namespace


class Ours:
    """Thalweg's functions under the names that programs use; they take arrays, tensors and nodes."""

    where, maximum, minimum, concatenate, stack, einsum = (
        tnp.where, tnp.maximum, tnp.minimum, tnp.concatenate, tnp.stack, tnp.einsum)  # fmt: skip
    sin, cos, tan, sinh, cosh, tanh, arctan, arcsinh = (
        tnp.sin, tnp.cos, tnp.tan, tnp.sinh, tnp.cosh, tnp.tanh, tnp.arctan, tnp.arcsinh)  # fmt: skip
    exp, log, log1p, expm1, sqrt, exp2, log2, log10 = (
        tnp.exp, tnp.log, tnp.log1p, tnp.expm1, tnp.sqrt, tnp.exp2, tnp.log2, tnp.log10)  # fmt: skip
    arcsin, arccos, arctanh, arccosh, cbrt, square, abs, sinc = (
        tnp.arcsin, tnp.arccos, tnp.arctanh, tnp.arccosh, tnp.cbrt, tnp.square, tnp.abs, tnp.sinc)  # fmt: skip
    hypot, arctan2, logaddexp, remainder, kron = tnp.hypot, tnp.arctan2, tnp.logaddexp, tnp.remainder, tnp.kron
    sigmoid, softplus, relu, erf = namespace.sigmoid, namespace.softplus, namespace.relu, namespace.erf
    inv, solve, det, cholesky, eigvalsh, svdvals, expm, pinv = (
        tnp.linalg.inv, tnp.linalg.solve, tnp.linalg.det, tnp.linalg.cholesky, tnp.linalg.eigvalsh,
        tnp.linalg.svdvals, tnp.linalg.expm, tnp.linalg.pinv)  # fmt: skip

    @staticmethod
    def erfc(x):
        return namespace.call("erfc", x)

    @staticmethod
    def gammaln(x):
        return namespace.call("gammaln", x)

    @staticmethod
    def sum(x, axis=None, keepdims=False):
        return tnp.sum(x, axis=axis, keepdims=keepdims)

    @staticmethod
    def mean(x, axis=None):
        return tnp.mean(x, axis=axis)

    @staticmethod
    def max(x, axis):
        return tnp.max(x, axis=axis)

    @staticmethod
    def min(x, axis):
        return tnp.min(x, axis=axis)

    @staticmethod
    def prod(x, axis):
        return tnp.prod(x, axis=axis)

    @staticmethod
    def std(x, axis):
        return tnp.std(x, axis=axis)

    @staticmethod
    def cumsum(x, axis):
        return tnp.cumsum(x, axis=axis)

    @staticmethod
    def sort(x, axis):
        return tnp.sort(x, axis=axis)

    @staticmethod
    def logsumexp(x, axis):
        return namespace.logsumexp(x, axis=axis)

    @staticmethod
    def softmax(x, axis):
        return namespace.softmax(x, axis=axis)

    @staticmethod
    def reshape(x, shape):
        return tnp.reshape(x, shape)

    @staticmethod
    def transpose(x):
        return tnp.transpose(x)

    @staticmethod
    def flip(x, axis):
        return tnp.flip(x, axis=axis)

    @staticmethod
    def roll(x, shift, axis):
        return tnp.roll(x, shift, axis=axis)

    @staticmethod
    def tril(x):
        return tnp.tril(x)

    @staticmethod
    def triu(x):
        return tnp.triu(x)

    @staticmethod
    def pick(x, index):
        return namespace.pick(x, index)

    @staticmethod
    def logdet(x):
        return tnp.linalg.logdet(x)

    @staticmethod
    def triangle(x):
        return tnp.linalg.qr(x)[1]

    @staticmethod
    def eigenvectors(x):
        return tnp.linalg.eigh(x)[1]

    @staticmethod
    def right_vectors(x):
        return tnp.linalg.svd(x, full_matrices=False)[2]

    @staticmethod
    def norm(x):
        return tnp.linalg.norm(x)

    @staticmethod
    def slogdet(x):
        return tnp.linalg.slogdet(x)[1]

    @staticmethod
    def backwards(x):
        return x[::-1]

    @staticmethod
    def eye(like):
        return np.eye(like.shape[-1])

    @staticmethod
    def constant(x, like):
        return x


class Torch:
    """torch's functions under the same names."""

    where, einsum = torch.where, torch.einsum
    sin, cos, tan, sinh, cosh, tanh, arctan, arcsinh = (
        torch.sin, torch.cos, torch.tan, torch.sinh, torch.cosh, torch.tanh, torch.arctan, torch.arcsinh)  # fmt: skip
    exp, log, log1p, expm1, sqrt, exp2, log2, log10 = (
        torch.exp, torch.log, torch.log1p, torch.expm1, torch.sqrt, torch.exp2, torch.log2, torch.log10)  # fmt: skip
    arcsin, arccos, arctanh, arccosh, square, abs, sinc = (
        torch.arcsin, torch.arccos, torch.arctanh, torch.arccosh, torch.square, torch.abs, torch.sinc)  # fmt: skip
    maximum, minimum, hypot, arctan2, logaddexp, remainder, kron = (
        torch.maximum, torch.minimum, torch.hypot, torch.arctan2, torch.logaddexp, torch.remainder,
        torch.kron)  # fmt: skip
    sigmoid, relu, erf, erfc, gammaln = torch.sigmoid, torch.relu, torch.erf, torch.erfc, torch.lgamma
    inv, solve, det, cholesky, eigvalsh, svdvals, expm, pinv = (
        torch.linalg.inv, torch.linalg.solve, torch.linalg.det, torch.linalg.cholesky, torch.linalg.eigvalsh,
        torch.linalg.svdvals, torch.linalg.matrix_exp, torch.linalg.pinv)  # fmt: skip

    @staticmethod
    def softplus(x):
        return torch.logaddexp(x, torch.zeros((), dtype=x.dtype))

    @staticmethod
    def cbrt(x):
        return torch.sign(x) * torch.abs(x) ** (1 / 3)

    @staticmethod
    def concatenate(parts, axis):
        return torch.cat(parts, dim=axis)

    @staticmethod
    def stack(parts, axis):
        return torch.stack(parts, dim=axis)

    @staticmethod
    def sum(x, axis=None, keepdims=False):
        return torch.sum(x, dim=axis, keepdim=keepdims)

    @staticmethod
    def mean(x, axis=None):
        return torch.mean(x, dim=axis)

    @staticmethod
    def max(x, axis):
        return torch.amax(x, dim=axis)

    @staticmethod
    def min(x, axis):
        return torch.amin(x, dim=axis)

    @staticmethod
    def prod(x, axis):
        return torch.prod(x, dim=axis)

    @staticmethod
    def std(x, axis):
        return torch.std(x, dim=axis, correction=0)

    @staticmethod
    def cumsum(x, axis):
        return torch.cumsum(x, dim=axis)

    @staticmethod
    def sort(x, axis):
        return torch.sort(x, dim=axis).values

    @staticmethod
    def logsumexp(x, axis):
        return torch.logsumexp(x, dim=axis)

    @staticmethod
    def softmax(x, axis):
        return torch.softmax(x, dim=axis)

    @staticmethod
    def reshape(x, shape):
        return torch.reshape(x, shape)

    @staticmethod
    def transpose(x):
        return x.T

    @staticmethod
    def flip(x, axis):
        return torch.flip(x, (axis,))

    @staticmethod
    def roll(x, shift, axis):
        return torch.roll(x, shift, axis)

    @staticmethod
    def tril(x):
        return torch.tril(x)

    @staticmethod
    def triu(x):
        return torch.triu(x)

    @staticmethod
    def pick(x, index):
        return x[torch.arange(len(index)), torch.as_tensor(index)]

    @staticmethod
    def logdet(x):
        return torch.logdet(x)

    @staticmethod
    def triangle(x):
        return torch.linalg.qr(x)[1]

    @staticmethod
    def eigenvectors(x):
        return torch.linalg.eigh((x + x.T) / 2)[1]

    @staticmethod
    def right_vectors(x):
        return torch.linalg.svd(x, full_matrices=False)[2]

    @staticmethod
    def norm(x):
        return torch.linalg.norm(x)

    @staticmethod
    def slogdet(x):
        return torch.linalg.slogdet(x)[1]

    @staticmethod
    def backwards(x):
        return torch.flip(x, (0,))

    @staticmethod
    def eye(like):
        return torch.eye(like.shape[-1], dtype=torch.float64)

    @staticmethod
    def constant(x, like):
        return torch.as_tensor(x)


class OnTensors(Ours):
    """Thalweg's functions, with constants as tensors."""

    eye, constant = Torch.eye, Torch.constant
