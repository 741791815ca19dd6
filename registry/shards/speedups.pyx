# cython: language_level=3, binding=False
"""What `plain` does, looking at less memory: for the compiled build.

Among 100,000 keys nothing that a look-up needs is in a near cache, and each place that it looks at
takes up to a tenth of a microsecond. A dict of texts looks at its index, at an entry there, and at
the key itself to learn its hash, which is in no entry; and so it does for each other key that is in
its way. Here each slot has it all, and no key is looked at but the one that is wanted.

Each shard is a table with linear probing: a key is in the first slot that was free, from its home
on. When one is taken out, those behind it move up, so that there never is a free slot between a key
and its home (D. Knuth, The Art of Computer Programming 3, 6.4, Algorithm R).

The collector of garbage does not look into tables: circles by way of what is in one stay for ever.
"""

from types import GenericAlias

from cpython.list cimport PyList_GET_ITEM
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_DECREF

cdef enum:
    BITS = 7  # of a hash, that say which shard a key is in; its home is in those above
    SHARDS = 1 << BITS
    SMALLEST = 8

cdef struct Slot:
    PyObject *key  # NULL if it is free
    PyObject *value
    Py_hash_t hashed


cdef class Table:
    """One shard."""

    cdef Slot *slots
    cdef Py_ssize_t size  # of all slots, a power of 2; or 0
    cdef Py_ssize_t taken

    def __dealloc__(self):
        cdef Py_ssize_t at
        for at in range(self.size):
            if self.slots[at].key is not NULL:
                Py_DECREF(<object> self.slots[at].key)
                Py_DECREF(<object> self.slots[at].value)
        PyMem_Free(self.slots)

    cdef Slot *find(self, str key, Py_hash_t hashed) noexcept:
        """The slot of a key, or the free one that it would get; NULL if there are none at all."""
        cdef Slot *slot
        cdef Py_ssize_t at = self.home(hashed)
        if self.size == 0:
            return NULL
        while True:
            slot = &self.slots[at]
            if slot.key is NULL or (slot.hashed == hashed and <str> slot.key == key):
                return slot
            at = self.next(at)

    cdef int put(self, str key, Py_hash_t hashed, value) except -1:
        cdef Slot *slot = self.find(key, hashed)
        cdef PyObject *before
        if found(slot):
            before = slot.value
            Py_INCREF(value)
            slot.value = <PyObject *> value
            Py_DECREF(<object> before)
            return 0
        if self.taken >= self.size * 5 // 6:
            self.grow()
            slot = self.find(key, hashed)
        Py_INCREF(key)
        Py_INCREF(value)
        slot[0] = Slot(<PyObject *> key, <PyObject *> value, hashed)
        self.taken += 1
        return 0

    cdef int remove(self, Slot *slot) except -1:
        """Take out what is in a slot that is not free."""
        cdef Slot removed = slot[0]
        cdef Py_ssize_t at = slot - self.slots
        cdef Py_ssize_t free = at
        while True:
            at = self.next(at)
            if self.slots[at].key is NULL:
                break
            if self.distance(self.home(self.slots[at].hashed), at) >= self.distance(free, at):
                self.slots[free] = self.slots[at]
                free = at
        self.slots[free].key = NULL
        self.taken -= 1
        Py_DECREF(<object> removed.key)  # which may be the end of it, and run anything
        Py_DECREF(<object> removed.value)
        return 0

    cdef int grow(self) except -1:
        cdef Py_ssize_t size = max(SMALLEST, 2 * self.size)
        cdef Slot *slots = <Slot *> PyMem_Calloc(size, sizeof(Slot))
        if slots is NULL:
            raise MemoryError
        cdef Slot *before = self.slots
        cdef Py_ssize_t size_before = self.size
        cdef Py_ssize_t number, at
        self.slots, self.size = slots, size
        for number in range(size_before):
            if before[number].key is not NULL:
                at = self.home(before[number].hashed)
                while slots[at].key is not NULL:
                    at = self.next(at)
                slots[at] = before[number]
        PyMem_Free(before)
        return 0

    cdef Py_ssize_t home(self, Py_hash_t hashed) noexcept:
        return (hashed >> BITS) & (self.size - 1)

    cdef Py_ssize_t next(self, Py_ssize_t at) noexcept:
        return (at + 1) & (self.size - 1)

    cdef Py_ssize_t distance(self, Py_ssize_t earlier, Py_ssize_t later) noexcept:
        return (later - earlier) & (self.size - 1)

    cdef list items(self):
        cdef list found = []
        cdef object key, value
        cdef Py_ssize_t at
        for at in range(self.size):
            if self.slots[at].key is not NULL:
                # Held before the pair is made: that may collect garbage, whose end may run anything.
                key = <object> self.slots[at].key
                value = <object> self.slots[at].value
                found.append((key, value))
        return found


cdef bint found(Slot *slot) noexcept:
    """Whether `find` has found a key."""
    return slot is not NULL and slot.key is not NULL


cdef class Shards:

    cdef list tables

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self):
        self.tables = [Table() for _ in range(SHARDS)]

    cdef Table table(self, Py_hash_t hashed):
        return <Table> PyList_GET_ITEM(self.tables, hashed & (SHARDS - 1))

    cdef Slot *find(self, str key) noexcept:
        cdef Py_hash_t hashed = hash(key)
        return self.table(hashed).find(key, hashed)

    def __repr__(self):
        return f"Shards({dict(self.items())!r})"

    def __len__(self):
        cdef Table table
        cdef Py_ssize_t taken = 0
        for table in self.tables:
            taken += table.taken
        return taken

    def __iter__(self):
        for key, _ in self.items():
            yield key

    def __contains__(self, str key not None):
        return found(self.find(key))

    def __getitem__(self, str key not None):
        cdef Slot *slot = self.find(key)
        if not found(slot):
            raise KeyError(key)
        return <object> slot.value

    def __setitem__(self, str key not None, value):
        cdef Py_hash_t hashed = hash(key)
        self.table(hashed).put(key, hashed, value)

    def __delitem__(self, str key not None):
        cdef Py_hash_t hashed = hash(key)
        cdef Table table = self.table(hashed)
        cdef Slot *slot = table.find(key, hashed)
        if not found(slot):
            raise KeyError(key)
        table.remove(slot)

    def get(self, str key not None, default=None):
        cdef Slot *slot = self.find(key)
        return <object> slot.value if found(slot) else default

    def values(self):
        for _, value in self.items():
            yield value

    def items(self):
        cdef Table table
        for table in self.tables:
            yield from table.items()
