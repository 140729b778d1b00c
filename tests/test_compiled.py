"""Compiled loops where nothing can be kept on disk."""

from thresher.compiled import compiled, compiled_sums


def test_without_a_folder_to_keep_them_in_loops_are_compiled_all_the_same():
    # numba keeps no function whose file does not exist, as of a folder that cannot be written to
    names = {}
    exec("def twice(x):\n    return 2 * x", names)
    for decorate in (compiled, compiled_sums):
        assert decorate(names["twice"])(21) == 42
