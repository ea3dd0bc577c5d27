"""Fixed-width vectors for numba: what keeps the inner loops of the CPU back end in registers.

Plain numba loops leave register blocking to LLVM's vectoriser, which gives up on loops with many possibly aliasing
rows. Here a `<n x float>` is a value of its own: `load16(a, i)` reads `a[i:i+16]`, `fma16(x, y, z)` is `x*y + z`.
LLVM maps a vector to as many registers as the machine needs (AVX2: 16 floats are two registers, NEON: four).
Nothing here checks bounds: the caller's buffers carry guard zones.
"""

# numba inspects the parameters of intrinsics and calls code generators with all of theirs, used or not.
# ruff: noqa: ARG001
# numba ships no type information, and this module builds LLVM instructions through its untyped extension API.
# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false
from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model


class Vector(types.Type):
    """numba type of `lanes` float32 numbers held in vector registers."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"float32x{lanes}")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is LLVM's own vector type, both in registers and in memory."""

    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(ir.FloatType(), fe_type.lanes))


VEC8, VEC16, VEC32 = Vector(8), Vector(16), Vector(32)


def _llvm(vector: Vector) -> ir.VectorType:
    return ir.VectorType(ir.FloatType(), vector.lanes)


def _address(context: Any, builder: Any, array: Any, index: Any, vector: Vector) -> Any:
    data = cgutils.create_struct_proxy(types.Array(types.float32, 1, "C"))(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _llvm(vector).as_pointer())


def _make_load(vector: Vector) -> Any:
    @intrinsic
    def load(typing_context: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            address = _address(context, builder, args[0], args[1], vector)
            return builder.load(address, align=4)

        return vector(array, types.intp), generate

    return load


def _make_store(vector: Vector) -> Any:
    @intrinsic
    def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            address = _address(context, builder, args[0], args[1], vector)
            builder.store(args[2], address, align=4)
            return context.get_dummy_value()

        return types.void(array, types.intp, vector), generate

    return store


def _make_fma(vector: Vector) -> Any:
    @intrinsic
    def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            # fmuladd, not fma: without the instruction it becomes multiply and add rather than a library call.
            kind = _llvm(vector)
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fmuladd.v{vector.lanes}f32"
            )
            return builder.call(function, args)

        return vector(vector, vector, vector), generate

    return fma


def _make_mul(vector: Vector) -> Any:
    @intrinsic
    def mul(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.fmul(*args)

        return vector(vector, vector), generate

    return mul


def _make_splat(vector: Vector) -> Any:
    @intrinsic
    def splat(typing_context: Any, scalar: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = _llvm(vector)
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), [0] * vector.lanes)
            return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

        return vector(types.float32), generate

    return splat


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Asks for the cache line of `array[index]`; any address may be named, nothing waits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(types.Array(types.float32, 1, "C"))(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        # Read, keep in every cache, data.
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.Array(types.float32, 1, "C"), types.intp), generate


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


@intrinsic
def interleave(typing_context: Any, a: Any, b: Any) -> Any:
    """Two vectors of 8 to one of 16: `a0 b0 a1 b1 ...`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], args[1], [lane // 2 + 8 * (lane % 2) for lane in range(16)])

    return VEC16(VEC8, VEC8), generate


@intrinsic
def evens(typing_context: Any, a: Any) -> Any:
    """Lanes 0, 2, 4 ... of a vector of 16."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], args[0], list(range(0, 16, 2)))

    return VEC8(VEC16), generate


@intrinsic
def odds(typing_context: Any, a: Any) -> Any:
    """Lanes 1, 3, 5 ... of a vector of 16."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], args[0], list(range(1, 16, 2)))

    return VEC8(VEC16), generate


load8, load16, load32 = _make_load(VEC8), _make_load(VEC16), _make_load(VEC32)
store8, store16, store32 = _make_store(VEC8), _make_store(VEC16), _make_store(VEC32)
fma8, fma16, fma32 = _make_fma(VEC8), _make_fma(VEC16), _make_fma(VEC32)
mul8, mul16 = _make_mul(VEC8), _make_mul(VEC16)
splat8, splat16, splat32 = _make_splat(VEC8), _make_splat(VEC16), _make_splat(VEC32)
