"""Real kernel processes on real sockets; their fixtures are shared with other folders."""

from tests.kernels import ROOT

__all__ = ["ROOT"]
