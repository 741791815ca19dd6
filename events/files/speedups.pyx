# cython: language_level=3, binding=False
"""What `Files` of `plain` does, by poll(2) itself: for the compiled build."""

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EINTR, errno
from libc.math cimport ceil
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    ctypedef unsigned long nfds_t
    short FILE_IN "POLLIN"
    int poll(pollfd *, nfds_t, int)


cdef class Files:
    """As in `plain`."""

    cdef pollfd *files
    cdef Py_ssize_t number

    def __cinit__(self, files):
        cdef list numbers = list(files)
        cdef Py_ssize_t index
        self.number = len(numbers)
        self.files = <pollfd *> PyMem_Malloc((self.number + 1) * sizeof(pollfd))
        if self.files is NULL:
            raise MemoryError
        for index in range(self.number):
            if numbers[index] < 0:
                raise ValueError(f"{numbers[index]} is no file descriptor")  # and poll ignores it
            self.files[index].fd = numbers[index]
            self.files[index].events = FILE_IN

    def __dealloc__(self):
        PyMem_Free(self.files)

    def wait(self, double seconds):
        cdef double end = monotonic() + seconds
        cdef int timeout = milliseconds(seconds)
        cdef int found
        cdef Py_ssize_t index
        while True:
            with nogil:
                found = poll(self.files, self.number, timeout)
            if found >= 0:
                break
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)
            PyErr_CheckSignals()
            timeout = milliseconds(end - monotonic())
        if not found:
            return []
        return [self.files[index].fd for index in range(self.number) if self.files[index].revents]


cdef int milliseconds(double seconds):
    """As `poll_timeout`."""
    if seconds >= 86_400:
        return 86_400_000
    return <int> ceil(seconds * 1000) if seconds > 0 else 0


cdef double monotonic() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9
