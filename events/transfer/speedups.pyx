# cython: language_level=3, binding=False
"""What `plain` does, in calls of libzmq's: for the compiled build, and in a quarter of the time.

Each of pyzmq's calls lets other threads run meanwhile, and makes an object of what it has found.
Here nothing waits, so nobody is let in between, and a call takes a tenth of a microsecond.
The sockets are pyzmq's, so this has to call the very libzmq that pyzmq does, which its wheels bring
without anything to link to: the system is asked, while the program runs, for what pyzmq's own module
is linked to. Where it does not tell, this cannot be imported.

What has gone wrong is in `errno`, and has to be read before anything else is called.
"""

import ctypes

import zmq
from zmq.backend.cython import _zmq

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyTypeObject, descrgetfunc
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memcpy

cdef extern from *:
    """
    typedef struct { void *content[64 / sizeof(void *)]; } message_t;
    """
    ctypedef struct message_t:  # zmq_msg_t: 64 bytes, aligned as a pointer is (zmq.h, since 4.1)
        pass

# What is used of http://api.zeromq.org/4-3, where it says what each of them does.
ctypedef int (*message_function)(message_t *) noexcept nogil
ctypedef int (*size_function)(message_t *, size_t) noexcept nogil
ctypedef int (*socket_function)(message_t *, void *, int) noexcept nogil
ctypedef size_t (*length_function)(const message_t *) noexcept nogil
ctypedef void *(*data_function)(message_t *) noexcept nogil
ctypedef int (*option_function)(void *, int, void *, size_t *) noexcept nogil
ctypedef const char *(*property_function)(const message_t *, const char *) noexcept nogil

cdef message_function zmq_msg_init = <message_function> find("zmq_msg_init")
cdef message_function zmq_msg_close = <message_function> find("zmq_msg_close")
cdef message_function zmq_msg_more = <message_function> find("zmq_msg_more")
cdef size_function zmq_msg_init_size = <size_function> find("zmq_msg_init_size")
cdef socket_function zmq_msg_recv = <socket_function> find("zmq_msg_recv")
cdef socket_function zmq_msg_send = <socket_function> find("zmq_msg_send")
cdef length_function zmq_msg_size = <length_function> find("zmq_msg_size")
cdef data_function zmq_msg_data = <data_function> find("zmq_msg_data")
cdef option_function zmq_getsockopt = <option_function> find("zmq_getsockopt")
cdef property_function zmq_msg_gets = <property_function> find("zmq_msg_gets")

cdef Py_ssize_t ENOUGH = 1_000_000  # bytes that are received at once; then others get their turn

cdef int NOBLOCK = zmq.NOBLOCK
cdef int SNDMORE = zmq.SNDMORE
cdef int EVENTS = zmq.EVENTS
cdef int POLLIN = zmq.POLLIN
cdef int ETERM = zmq.ETERM


cdef size_t find(str name) except 0:
    try:
        return ctypes.cast(getattr(ctypes.CDLL(_zmq.__file__), name), ctypes.c_void_p).value
    except (OSError, AttributeError) as error:
        raise ImportError(f"there is no way to libzmq's {name}") from error


def has_message(socket):
    cdef void *handle = handle_of(socket)
    cdef int events = 0
    cdef size_t size = sizeof(events)
    while zmq_getsockopt(handle, EVENTS, &events, &size) < 0:
        look_into(errno)
    return bool(events & POLLIN)


def receive_frames(socket):
    cdef message_t part
    cdef void *handle = handle_of(socket)
    cdef list frames = []
    zmq_msg_init(&part)
    try:
        if not receive(handle, &part):
            raise zmq.Again
        frames.append(content(&part))
        while zmq_msg_more(&part):
            receive(handle, &part)
            frames.append(content(&part))
    finally:
        zmq_msg_close(&part)
    return frames


def receive_routed(socket, Py_ssize_t limit, properties=()):
    cdef message_t part
    cdef void *handle = handle_of(socket)
    cdef tuple names = tuple([name.encode() for name in properties]) if properties else ()
    cdef list messages = []
    cdef Py_ssize_t left = ENOUGH
    zmq_msg_init(&part)
    try:
        while len(messages) < limit and left > 0 and receive(handle, &part):
            messages.append(routed(handle, &part, names, &left))
    finally:
        zmq_msg_close(&part)
    return messages


def send_frame(socket, bytes frame not None):
    send(handle_of(socket), frame, 0)


def send_many(socket, messages):
    cdef void *handle = handle_of(socket)
    cdef Py_ssize_t left
    for message in messages:
        left = len(message)
        for frame in message:
            left -= 1
            send(handle, frame, SNDMORE if left else 0)


cdef object underlying = zmq.Socket.underlying
cdef type Descriptor = type(underlying)
cdef descrgetfunc get = (<PyTypeObject *> Descriptor).tp_descr_get


cdef void *handle_of(socket):
    """Its place in memory, NULL once it is closed: which is no socket to libzmq either."""
    # `socket.underlying`, without the detour by way of what pyzmq's sockets have for options.
    return <void *> <size_t> get(underlying, socket, type(socket))


cdef tuple routed(void *socket, message_t *part, tuple names, Py_ssize_t *left):
    """The message that begins with this part, as `plain` has it; less than `left` are left then."""
    cdef tuple known = tuple([property_of(part, name) for name in names]) if names else ()
    cdef list envelope = [content(part)]
    cdef list frames = []
    cdef bint opened = False
    left[0] -= zmq_msg_size(part)
    while zmq_msg_more(part):
        receive(socket, part)
        left[0] -= zmq_msg_size(part)
        if opened:
            frames.append(content(part))
        else:
            envelope.append(content(part))
            opened = zmq_msg_size(part) == 0
    return (envelope, frames, known) if opened else ([], [], known)


cdef bint receive(void *socket, message_t *part) except -1:
    """Receive a part; False if none waits."""
    while zmq_msg_recv(part, socket, NOBLOCK) < 0:
        if errno == EAGAIN:
            return False
        look_into(errno)
    return True


cdef bytes content(message_t *part):
    return PyBytes_FromStringAndSize(<char *> zmq_msg_data(part), zmq_msg_size(part))


cdef str property_of(message_t *part, bytes name):
    cdef const char *value = zmq_msg_gets(part, PyBytes_AS_STRING(name))
    try:
        return None if value is NULL else value.decode()
    except UnicodeDecodeError:
        return None


cdef int send(void *socket, bytes frame, int flags) except -1:
    cdef message_t part
    if zmq_msg_init_size(&part, len(frame)) < 0:
        raise MemoryError
    try:
        memcpy(zmq_msg_data(&part), PyBytes_AS_STRING(frame), len(frame))
        while zmq_msg_send(&part, socket, NOBLOCK | flags) < 0:
            look_into(errno)
    finally:
        zmq_msg_close(&part)
    return 0


cdef int look_into(int error) except -1:
    """Raise what pyzmq would. Whatever a signal has interrupted is to be tried again."""
    if error == EINTR:
        return PyErr_CheckSignals()
    if error == EAGAIN:
        raise zmq.Again
    if error == ETERM:
        raise zmq.ContextTerminated
    raise zmq.ZMQError(error)
