# cython: language_level=3, binding=False
"""What `LastingFiles` does, by Linux's epoll(7) with a timer: for the compiled build.

poll(2) is told anew each time what to wait for, and for how long. Here the system is told once. The
timer is set where a wait is to end before it goes off. Most often the next one is to end a little
later, so that it may stay as it is; where it has gone off too early, it is set again, and the wait
goes on.
"""

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EINTR, errno
from libc.math cimport INFINITY
from libc.stdint cimport uint32_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, itimerspec, time_t, timespec
from posix.unistd cimport close

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event *)
    int epoll_wait(int, epoll_event *, int, int)

cdef extern from "sys/timerfd.h" nogil:
    int TFD_CLOEXEC, TFD_TIMER_ABSTIME
    int timerfd_create(int, int)
    int timerfd_settime(int, int, const itimerspec *, itimerspec *)

cdef double A_DAY = 86_400


cdef class LastingFiles:
    """As in `plain`."""

    cdef int epoll
    cdef int timer
    cdef double set_for  # in seconds on the monotonic clock, once it was set
    cdef int number
    cdef epoll_event *events

    def __cinit__(self, files):
        cdef list numbers
        self.epoll = self.timer = -1
        self.set_for = INFINITY
        numbers = list(files)
        self.number = len(numbers) + 1
        self.events = <epoll_event *> PyMem_Malloc(self.number * sizeof(epoll_event))
        if self.events is NULL:
            raise MemoryError
        self.epoll = opened(epoll_create1(EPOLL_CLOEXEC))
        self.timer = opened(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC))
        for file in (self.timer, *numbers):
            self.add(file)

    def __dealloc__(self):
        if self.events is not NULL:  # else nothing is open; it may not even be set to -1
            self.close_both()
            PyMem_Free(self.events)

    def close(self):
        self.close_both()

    def wait(self, double seconds):
        cdef double end = monotonic() + min(seconds, A_DAY)
        cdef int timeout = -1  # the timer ends the wait
        cdef int found, index
        cdef list readable
        if not seconds > 0:
            timeout = 0
        elif end < self.set_for:
            self.set(end)
        while True:
            with nogil:
                found = epoll_wait(self.epoll, self.events, self.number, timeout)
            if found < 0:
                if errno != EINTR:
                    PyErr_SetFromErrno(OSError)
                PyErr_CheckSignals()
                continue
            readable = [
                self.events[index].data.fd
                for index in range(found)
                if self.events[index].data.fd != self.timer
            ]
            # A timer that went off can be read until it is set again.
            if readable or not monotonic() < end:
                return readable
            self.set(end)

    cdef void close_both(self) noexcept:
        if self.timer >= 0:
            close(self.timer)
        if self.epoll >= 0:
            close(self.epoll)
        self.epoll = self.timer = -1

    cdef int add(self, int file) except -1:
        cdef epoll_event event
        if file < 0:
            raise ValueError(f"{file} is no file descriptor")
        event.events = EPOLLIN
        event.data.fd = file
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, file, &event) < 0:
            PyErr_SetFromErrno(OSError)
        return 0

    cdef int set(self, double moment) except -1:
        cdef itimerspec when
        when.it_interval.tv_sec = when.it_interval.tv_nsec = 0
        when.it_value.tv_sec = <time_t> moment
        when.it_value.tv_nsec = <long> ((moment - <time_t> moment) * 1e9)
        if timerfd_settime(self.timer, TFD_TIMER_ABSTIME, &when, NULL) < 0:
            PyErr_SetFromErrno(OSError)
        self.set_for = moment
        return 0


cdef double monotonic() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef int opened(int file) except -1:
    if file < 0:
        PyErr_SetFromErrno(OSError)
    return file
