"""A text tower as an ONNX graph."""

from pathlib import Path
from typing import Any

import numpy as np

from thresher.errors import InputError
from thresher.export.tables import Tables
from thresher.towers.sum_loops import SMALLEST

OPSET, IR_VERSION = 17, 8  # read by ONNX Runtime 1.13 and all later ones
_MOST_BYTES = 2_000_000_000  # of a file of protocol buffers


def graph(tables: Tables) -> Any:
    """The sum of the rows that a text is made of, scaled to the length 1.

    Equation:  z_i = y_i / max(|y_i|, 1e-12),  y_i = sum_t w_it s_t E_t

    with E in eight bits and its scales s where the tower was rounded so, and s = 1 where it was
    not. Shapes: `tokens` int64 [n, t] and `weights` float32 [n, t], where what fills up a row has
    the weight 0, to `vectors` float32 [n, D].

    Returns:
        An `onnx.ModelProto`, checked.

    Raises:
        InputError: the extra is not installed, or the tables do not fit into a file.
    """
    onnx = _library()
    if tables.rows.nbytes > _MOST_BYTES:
        raise InputError(
            f"the tables take {tables.rows.nbytes / 1e9:,.1f} GB, and an ONNX file holds 2; train "
            "with a smaller tower.dim or tower.bits"
        )
    node, array = onnx.helper.make_node, onnx.numpy_helper.from_array
    value, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    constants = {
        "table": tables.rows,
        "one": np.array([1], np.int64),
        "smallest": np.array(SMALLEST, np.float32),
    }
    nodes = [node("Gather", ["table", "tokens"], ["gathered"])]
    weights, rows = "weights", "gathered"
    if tables.scale is not None:
        constants["scale"] = tables.scale
        nodes += [
            node("Cast", ["gathered"], ["rows"], to=kinds.FLOAT),
            node("Gather", ["scale", "tokens"], ["scales"]),
            node("Mul", ["weights", "scales"], ["scaled"]),
        ]
        weights, rows = "scaled", "rows"
    nodes += [
        node("Unsqueeze", [weights, "one"], ["row_of_weights"]),
        node("MatMul", ["row_of_weights", rows], ["sums_of_one"]),
        node("Squeeze", ["sums_of_one", "one"], ["sums"]),
        node("ReduceL2", ["sums"], ["lengths"], axes=[1], keepdims=1),
        node("Max", ["lengths", "smallest"], ["divisors"]),
        node("Div", ["sums", "divisors"], ["vectors"]),
    ]
    made = onnx.helper.make_graph(
        nodes,
        "thresher",
        [value("tokens", kinds.INT64, ["n", "t"]), value("weights", kinds.FLOAT, ["n", "t"])],
        [value("vectors", kinds.FLOAT, ["n", tables.rows.shape[1]])],
        [array(constant, name) for name, constant in constants.items()],
    )
    opset = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def write_graph(tables: Tables, folder: Path) -> None:
    """Write `model.onnx` into a folder; InputError as `graph`."""
    (folder / "model.onnx").write_bytes(graph(tables).SerializeToString())


def _library() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise InputError(
            "an export to ONNX needs the extra: pip install 'thresher[export]'"
        ) from None
    return onnx
