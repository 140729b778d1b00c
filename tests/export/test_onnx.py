"""The graph by hand, and on what a tower makes of its own items."""

import builtins

import numpy as np
import pytest

from thresher.errors import InputError
from thresher.export import onnx as module
from thresher.export.onnx import graph
from thresher.export.tables import Tables

TOKENS = np.array([[0, 1], [2, 0], [1, 0]])
WEIGHTS = np.array([[1, 1], [2, 0], [0, 0]], np.float32)


def run(tables, tokens, weights):
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    made = graph(tables).SerializeToString()
    session = runtime.InferenceSession(made, providers=["CPUExecutionProvider"])
    return session.run(["vectors"], {"tokens": tokens, "weights": weights})[0]


def test_rows_of_single_precision_are_added_up_and_scaled_to_the_length_1():
    # 1 (1, 0) + 1 (2, 4) = (3, 4), of the length 5; 2 (0, -1) = (0, -2); and nothing at all.
    rows = np.array([[1, 0], [2, 4], [0, -1]], np.float32)
    found = run(Tables(rows, None, {}), TOKENS, WEIGHTS)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, -1], [0, 0]], atol=1e-7)


def test_rows_of_eight_bits_are_multiplied_by_their_scale():
    # 0.5 (2, 0) + 2 (1, 2) = (3, 4); 2 0.25 (0, -4) = (0, -2).
    rows = np.array([[2, 0], [1, 2], [0, -4]], np.int8)
    found = run(Tables(rows, np.array([0.5, 2, 0.25], np.float32), {}), TOKENS, WEIGHTS)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, -1], [0, 0]], atol=1e-7)


def test_a_sum_shorter_than_the_smallest_length_is_not_scaled_up():
    # As in the tower: 1e-13 / 1e-12.
    rows = np.array([[1e-13, 0]], np.float32)
    found = run(Tables(rows, None, {}), np.array([[0]]), np.array([[1]], np.float32))
    np.testing.assert_allclose(found, [[0.1, 0]], rtol=1e-5)


def test_without_the_extra_it_says_which(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **more):
        if name.startswith("onnx"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"needs the extra: pip install 'thresher\[export\]'"):
        graph(Tables(np.zeros((1, 2), np.float32), None, {}))


def test_tables_that_no_file_holds_are_refused(monkeypatch):
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    monkeypatch.setattr(module, "_MOST_BYTES", 7)
    with pytest.raises(InputError, match="an ONNX file holds 2; train with a smaller"):
        graph(Tables(np.zeros((1, 2), np.float32), None, {}))
