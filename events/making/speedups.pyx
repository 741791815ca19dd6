# cython: language_level=3, binding=False
"""What `plain` does, in a sixth of the time: for the compiled build.

A field of a class with slots is a descriptor of the class, which knows its place in the object. What
is frozen refuses to have its attributes set, and does not ask its descriptors; so these are asked.
"""

from types import MemberDescriptorType

import attrs

from cpython.object cimport PyObject, PyTypeObject, descrsetfunc

cdef type Descriptor = MemberDescriptorType
cdef descrsetfunc put = (<PyTypeObject *> Descriptor).tp_descr_set


def maker(cls):
    return Maker(cls)


cdef class Maker:

    cdef type cls
    cdef list places
    cdef list defaults  # of the last fields, as many as have one
    cdef Py_ssize_t fields

    def __init__(self, cls):
        self.cls = cls
        self.places, self.defaults = [], []
        if hasattr(cls, "__attrs_post_init__") or hasattr(cls, "__attrs_pre_init__"):
            raise TypeError(f"the constructor of {cls.__name__} does more than to set its fields")
        for field in attrs.fields(cls):
            if field.converter or field.validator or field.kw_only or not field.init:
                raise TypeError(f"{cls.__name__}.{field.name} is more than set by its constructor")
            place = cls.__dict__.get(field.name)
            if type(place) is not Descriptor:
                raise TypeError(f"{cls.__name__} has no slots of its own")
            self.places.append(place)
            if isinstance(field.default, attrs.Factory):
                self.defaults.clear()  # it has to be given, and so have those before it
            elif field.default is not attrs.NOTHING:
                self.defaults.append(field.default)
        self.fields = len(self.places)

    def __call__(self, *values):
        cdef Py_ssize_t given = len(values)
        cdef Py_ssize_t missing = self.fields - given
        cdef Py_ssize_t index
        if missing < 0 or missing > len(self.defaults):
            raise TypeError(f"{given} values, of {self.fields}, for {self.cls.__name__}")
        made = (<PyTypeObject *> self.cls).tp_new(self.cls, <PyObject *> (), NULL)
        for index in range(given):
            put(self.places[index], made, values[index])
        for index in range(given, self.fields):
            put(self.places[index], made, self.defaults[index - self.fields])
        return made

