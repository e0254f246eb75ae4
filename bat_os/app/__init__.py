"""What a process is made of: which adapter serves which port, and what a new image knows."""

import os


def import_numpy(threads: int) -> None:
    """Import numpy, for the first time, with ``threads`` threads; 0 takes the cores less one.

    Its OpenBLAS reads their number from the environment while it is loaded, and would take every
    core: embedding a text would stall a model that is drawing. A number that the owner has set
    stays, and children of this process get the environment as it was.
    """
    # Here: other modules of this package are imported by commands that need neither.
    from bat_os.engines.base import default_threads

    variable = "OPENBLAS_NUM_THREADS"
    is_set = variable in os.environ
    if not is_set:
        os.environ[variable] = str(threads or default_threads())
    import numpy  # noqa: F401 - for what happens now

    if not is_set:
        del os.environ[variable]
