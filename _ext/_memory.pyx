"""Memory that is about to be written for the first time, on large pages where the system has them."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize


cdef extern from "memory.h":
    void sv_advise_large(void *start, size_t n_bytes) nogil

cdef Py_ssize_t _LARGE = 1 << 21


def advise_large(unsigned char[::1] memory not None):
    """Ask for large pages under memory that nobody has written yet; what is there stays."""
    if memory.shape[0] >= _LARGE:
        sv_advise_large(&memory[0], memory.shape[0])


def unwritten(Py_ssize_t n_bytes):
    """A bytes object of this length with nothing particular in it: for :mod:`.room`, which fills it in."""
    if n_bytes < 0:
        raise ValueError("n_bytes: 0 or more expected")
    made = PyBytes_FromStringAndSize(NULL, n_bytes)
    if n_bytes >= _LARGE:
        sv_advise_large(<void *> PyBytes_AS_STRING(made), n_bytes)
    return made
