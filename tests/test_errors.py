from __future__ import annotations

import pickle

import multimodal_gen as mg


def test_a_load_error_names_index_column_path_and_reason() -> None:
    error = mg.LoadError("it is broken.", path="a/b.jpg").at("row-7", "image")
    assert str(error) == "Cannot load index 'row-7', column 'image', path 'a/b.jpg': it is broken."
    assert (error.index, error.column, error.path) == ("row-7", "image", "a/b.jpg")


def test_a_load_error_crosses_processes_whole() -> None:
    error = mg.LoadError("it is broken.", index=3, column=("a", "b"), path="x")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.index, copy.column, copy.path) == (str(error), 3, ("a", "b"), "x")


def test_every_error_of_the_package_is_a_value_error_with_one_base() -> None:
    for error in (mg.TableError, mg.LoadError, mg.LoaderError, mg.BundleError):
        assert issubclass(error, mg.MultimodalError)
    assert issubclass(mg.MultimodalError, ValueError)
