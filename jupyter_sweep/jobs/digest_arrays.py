"""Shapes of numpy arrays, pandas frames and torch tensors: by content, whatever the layout in memory.

An array is its dtype, its shape and its bytes in C order, so that a view, a copy and a Fortran-ordered copy are the
same. A frame is its columns, so that it does not matter how pandas groups them in blocks. Nothing is imported here: a
value of a library's type can only exist once that library is loaded. Contiguous memory is read where it lies; other
arrays are put in order a few megabytes at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from .buffers import Buffers, digest_pieces
from .digest_graph import Shape, mix
from .digest_values import State, packed

_BLOCK = 2**18  # items put in order at a time


def describe_array(value: Any, buffers: Buffers) -> Shape | None:
    """Give the shape of a value of numpy, pandas or torch; None when it is none, or needs no special care."""
    np, pd, torch = (sys.modules.get(name) for name in ("numpy", "pandas", "torch"))
    shape = None
    if np is not None:
        shape = _describe_numpy(value, np, buffers)
    if shape is None and hasattr(pd, "DataFrame"):
        shape = _describe_pandas(value, pd)
    if shape is None and hasattr(torch, "Tensor"):
        shape = _tensor(value, torch, buffers)
    return shape


def _describe_numpy(value: Any, np: Any, buffers: Buffers) -> Shape | None:
    if isinstance(value, np.ndarray):
        masked, attributes = sys.modules.get("numpy.ma"), getattr(value, "__dict__", {})
        if masked is not None and isinstance(value, masked.MaskedArray):
            return Shape(mix("masked"), [type(value), value.filled(), masked.getmaskarray(value), value.fill_value])
        if type(value) not in (np.ndarray, np.memmap):
            return Shape(mix("array of"), [type(value), value.view(np.ndarray), State(attributes)], edge=lambda i: "")
        return _array(value, np, buffers)
    if isinstance(value, np.generic):
        scalar = _array(np.asarray(value), np, buffers)
        return Shape(mix("scalar", scalar.label), scalar.children)
    if isinstance(value, np.dtype):
        return Shape(mix("dtype", _dtype(value)))
    random = sys.modules.get("numpy.random")
    if random is not None and isinstance(value, random.Generator):
        seeds = getattr(value.bit_generator, "seed_seq", None)
        return Shape(mix("generator"), [value.bit_generator.state, getattr(seeds, "state", None)])
    if random is not None and isinstance(value, random.RandomState):
        return Shape(mix("random state"), [value.get_state(legacy=False)])
    return None


def _dtype(dtype: Any) -> str:
    """Give a dtype as text: byte order, kind and size; of a record its fields, wherever they lie in it."""
    if dtype.subdtype is not None:
        return f"{_dtype(dtype.subdtype[0])}{dtype.subdtype[1]}"
    if dtype.names is not None:
        return "{" + ", ".join(f"{name!r}: {_dtype(dtype.fields[name][0])}" for name in dtype.names) + "}"
    return f"{dtype.str} {dtype.name}"


def _array(value: Any, np: Any, buffers: Buffers) -> Shape:
    label = mix("array", _dtype(value.dtype), *value.shape)
    if value.dtype.names is not None:
        return Shape(label, [value.view(np.ndarray)[name] for name in value.dtype.names])
    if value.dtype.hasobject or value.dtype.kind == "T":  # items are pointers
        return Shape(label, [value.ravel(order="C").tolist()], edge=lambda i: "")
    return Shape(mix(label, _content(value.view(np.ndarray), np, buffers)))


def _content(value: Any, np: Any, buffers: Buffers) -> bytes:
    """Give the digest of an array's bytes in C order."""
    if value.dtype.char in "gG" and np.finfo(value.dtype).nmant == 63:  # 10 bytes in 16; the rest is garbage
        lanes = np.ascontiguousarray(value).reshape(-1).view(np.uint8).reshape(-1, np.dtype("g").itemsize)
        return digest_pieces([np.ascontiguousarray(lanes[:, :10]).reshape(-1).data])
    if value.nbytes == 0:
        return digest_pieces([])
    if value.flags.c_contiguous:
        return buffers.digest(value.reshape(-1).view(np.uint8).data)
    return digest_pieces(_ordered(value, np))


def _ordered(value: Any, np: Any) -> Iterator[Any]:
    """Give an array's bytes in C order, piece by piece."""
    flags = ["external_loop", "buffered"]
    for block in np.nditer(value, flags=flags, order="C", buffersize=_BLOCK):
        yield np.ascontiguousarray(block).view(np.uint8).data


def _describe_pandas(value: Any, pd: Any) -> Shape | None:
    if isinstance(value, pd.DataFrame):
        columns = [(f"[{name!r}]", _column(column, pd)) for name, column in pd.DataFrame.items(value)]
        return _frame("frame", value, value.columns, columns, pd)
    if isinstance(value, pd.Series):
        return _frame("series", value, value.name, [("", _column(value, pd))], pd)
    if isinstance(value, pd.Index):
        return _index(value, pd)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return _extension(value, pd)
    return None


def _frame(label: str, value: Any, names: Any, columns: list[tuple[str, Any]], pd: Any) -> Shape:
    """Put the columns together with what a subclass of a frame knows besides."""
    own = {name: getattr(value, name, None) for name in value._metadata if name != "_name"}
    kind = None if type(value) in (pd.DataFrame, pd.Series) else type(value)
    parts = [kind, dict(value.attrs), own, names, value.index]
    edges = ["", ".attrs", "", "", ".index", *(edge for edge, _ in columns)]
    return Shape(mix(label), [*parts, *(column for _, column in columns)], edge=edges.__getitem__)


def _column(column: Any, pd: Any) -> Any:
    """Give the array of a column, index or the like, without a copy."""
    return column.array if isinstance(column.dtype, pd.api.extensions.ExtensionDtype) else column.to_numpy()


def _index(value: Any, pd: Any) -> Shape:
    names = list(value.names)
    if isinstance(value, pd.RangeIndex):
        return Shape(mix("range index"), [names, value.start, value.stop, value.step])
    if isinstance(value, pd.MultiIndex):
        levels = [_column(value.get_level_values(i), pd) for i in range(value.nlevels)]
        return Shape(mix("multi index"), [names, *levels])
    every = getattr(value, "freqstr", None)
    return Shape(mix("index", type(value).__name__), [names, every, _column(value, pd)])


def _extension(value: Any, pd: Any) -> Shape | None:
    """Describe an array that is not numpy's; missing items count as missing, whatever lies in their place."""
    label = mix("extension", str(value.dtype))
    if isinstance(value, pd.Categorical):
        return Shape(label, [value.categories, value.codes, value.ordered])
    if isinstance(value, (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray, pd.arrays.PeriodArray)):
        return Shape(label, [value.asi8])
    if isinstance(value, pd.arrays.NumpyExtensionArray) and not isinstance(value.dtype, pd.StringDtype):
        return Shape(label, [value.to_numpy()])
    missing = value.isna()
    if hasattr(value, "_mask") and hasattr(value, "_data"):
        data = value._data.copy()
        data[missing] = data.dtype.type(1)
        return Shape(label, [data, missing])
    if isinstance(value.dtype, pd.StringDtype) or hasattr(value, "_pa_array"):
        items = value[~missing].to_numpy(dtype=object).tolist()
        atoms = packed(items)
        return Shape(label, [missing, items]) if atoms is None else Shape(mix(label, atoms), [missing])
    return None


def _tensor(value: Any, torch: Any, buffers: Buffers) -> Shape | None:
    """Describe a torch tensor: dtype, shape, device and bytes; None for one that is not simply laid out."""
    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
        return None
    if value.is_quantized or value.device.type == "meta":
        return None
    label = mix("tensor", str(value.dtype), value.device.type, value.requires_grad, *value.shape)
    flat = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    moved = flat.data_ptr() != value.data_ptr()
    data = flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")
    label = mix(label, buffers.digest(data, remember=not moved))
    return Shape(label) if type(value) is torch.Tensor else Shape(label, [type(value)])
