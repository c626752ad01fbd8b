/* The road of one event, compiled: what `jobspan.journal` does in Python, for events of which nothing has to
 * be asked. It is optional. Whatever is unusual (no mapping, another process, text that is not ASCII, no room
 * left, the time to look after the file) is given to the Python road, which remains the reference.
 *
 * Every function keeps the interpreter lock from its start to its end and calls no Python code before its
 * record is whole, so threads and signal handlers of this process see each record whole or not at all.
 * The stable ABI of CPython 3.11: one build serves every later version that has an interpreter lock.
 */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>
#include <time.h>

#define FRAME_BYTES 11    /* newline, eight hex digits, a blank; a newline behind */
#define KEPT_BYTES 64     /* what a payload in memory costs beside its characters */
#define ENVELOPE_BYTES 80 /* {"w":"","p":"","q":,"t":,} with two numbers of at most 20 characters */
#define PREFIX_BYTES 64

typedef struct {
    PyTypeObject *area, *line, *pen, *clock;
} Types;

/* --- CRC-32 as zlib has it (reflected 0xEDB88320), eight bytes at a time */

static const char hex_digits[] = "0123456789abcdef";
static uint32_t crc_table[8][256];

static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
        crc_table[0][i] = crc;
    }
    for (int i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            crc_table[k][i] = (crc_table[k - 1][i] >> 8) ^ crc_table[0][crc_table[k - 1][i] & 255];
}

static uint32_t crc_of(const unsigned char *data, size_t size)
{
    uint32_t crc = ~0u;
    for (; size >= 8; data += 8, size -= 8) {
        crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        crc = crc_table[7][crc & 255] ^ crc_table[6][crc >> 8 & 255] ^ crc_table[5][crc >> 16 & 255] ^
              crc_table[4][crc >> 24] ^ crc_table[3][data[4]] ^ crc_table[2][data[5]] ^
              crc_table[1][data[6]] ^ crc_table[0][data[7]];
    }
    while (size--)
        crc = crc_table[0][(crc ^ *data++) & 255] ^ (crc >> 8);
    return ~crc;
}

/* --- Area: the mapped start of one file */

typedef struct {
    PyObject_HEAD
    Py_buffer map;
    Py_ssize_t used;
} Area;

static PyObject *area_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *mapped;
    static char *names[] = {"mapped", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Area", names, &mapped))
        return NULL;
    Area *self = (Area *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self != NULL && PyObject_GetBuffer(mapped, &self->map, PyBUF_WRITABLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void area_dealloc(Area *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyBuffer_Release(&self->map);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *area_write(Area *self, PyObject *record)
{
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(record, &data, &size) < 0)
        return NULL;
    if (self->map.buf == NULL || size > self->map.len - self->used) {
        PyErr_SetString(PyExc_ValueError, "the record does not fit, or the room was given up");
        return NULL;
    }
    memcpy((char *)self->map.buf + self->used, data, (size_t)size);
    self->used += size;
    Py_RETURN_NONE;
}

static PyObject *area_release(Area *self, PyObject *ignored)
{
    PyBuffer_Release(&self->map);
    self->map.buf = NULL;
    Py_RETURN_NONE;
}

static PyMethodDef area_methods[] = {
    {"write", (PyCFunction)area_write, METH_O, "Copy a record behind all others."},
    {"release", (PyCFunction)area_release, METH_NOARGS, "Let go of the mapping; nothing more is written."},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef area_members[] = {
    {"used", T_PYSSIZET, offsetof(Area, used), READONLY, "Bytes written."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot area_slots[] = {
    {Py_tp_new, area_new},         {Py_tp_dealloc, area_dealloc},
    {Py_tp_methods, area_methods}, {Py_tp_members, area_members},
    {Py_tp_doc, "Area(mapped)\n--\n\nThe mapped start of a file, written from its beginning."},
    {0, NULL},
};
static PyType_Spec area_spec = {"jobspan._native.Area", sizeof(Area), 0, Py_TPFLAGS_DEFAULT, area_slots};

/* --- Line: where the events of this process go */

typedef struct {
    PyObject_HEAD
    Py_buffer told;      /* the page whose first int is the id of this process, zeroed by a fork */
    PyObject *late;      /* the Python road: callable with a payload */
    int pid;             /* the process for which the following is so */
    Area *area;          /* where to write; NULL: nowhere */
    double check_at;     /* from this second of CLOCK_MONOTONIC on the Python road looks after the file */
    PyObject *keep;      /* where there is no area: callable with a payload that is to wait; NULL: none is to */
    double keep_until;   /* the second at which the Python road tries the disk again */
    Py_ssize_t keep_room; /* bytes that may wait until then */
} Line;

static PyObject *line_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *told, *late;
    static char *names[] = {"told", "late", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:Line", names, &told, &late))
        return NULL;
    Line *self = (Line *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->late = Py_NewRef(late);
    if (PyObject_GetBuffer(told, &self->told, PyBUF_SIMPLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (self->told.len < (Py_ssize_t)sizeof(int)) {
        PyErr_SetString(PyExc_ValueError, "the page is too small for a process id");
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int line_traverse(Line *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->late);
    Py_VISIT(self->keep);
    return 0;
}

static int line_clear(Line *self)
{
    Py_CLEAR(self->late);
    Py_CLEAR(self->keep);
    return 0;
}

static void line_dealloc(Line *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    line_clear(self);
    Py_CLEAR(self->area);
    PyBuffer_Release(&self->told);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *line_aim(Line *self, PyObject *args)
{
    PyObject *area;
    int pid;
    Types *types = PyType_GetModuleState(Py_TYPE((PyObject *)self));
    if (types == NULL || !PyArg_ParseTuple(args, "Oi:aim", &area, &pid))
        return NULL;
    if (area != Py_None && !Py_IS_TYPE(area, types->area)) {
        PyErr_SetString(PyExc_TypeError, "an Area or None is needed");
        return NULL;
    }
    PyObject *area_before = (PyObject *)self->area, *keep_before = self->keep;
    self->area = area == Py_None ? NULL : (Area *)Py_NewRef(area);
    self->keep = NULL;
    self->pid = pid;
    Py_XDECREF(area_before);
    Py_XDECREF(keep_before);
    Py_RETURN_NONE;
}

static PyObject *line_hold(Line *self, PyObject *args)
{
    PyObject *keep, *before = self->keep;
    int pid;
    double until;
    Py_ssize_t room;
    if (!PyArg_ParseTuple(args, "Oidn:hold", &keep, &pid, &until, &room))
        return NULL;
    self->keep = NULL;
    if (keep != Py_None) {
        self->keep = Py_NewRef(keep);
        self->pid = pid;
        self->keep_until = until;
        self->keep_room = room;
    }
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static int is_before(double second)
{
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now) == 0 && (double)now.tv_sec + (double)now.tv_nsec * 1e-9 < second;
}

/* Whether `pid` is this process: a fork has wiped the page. */
static int is_own(const Line *self)
{
    return *(const int *)self->told.buf == self->pid;
}

/* Returns where a record of at most `size` bytes may be written; NULL: not here. */
static char *room_for(const Line *self, Py_ssize_t size)
{
    const Area *area = self->area;
    if (area == NULL || area->map.buf == NULL || size > area->map.len - area->used)
        return NULL;
    return is_own(self) && is_before(self->check_at) ? (char *)area->map.buf + area->used : NULL;
}

/* Puts the frame around a payload of `size` bytes that stands at `start + FRAME_BYTES - 1`. */
static void frame(Line *self, char *start, Py_ssize_t size)
{
    uint32_t crc = crc_of((const unsigned char *)start + FRAME_BYTES - 1, (size_t)size);
    start[FRAME_BYTES - 1 + size] = '\n';
    start[9] = ' ';
    for (int i = 8; i >= 1; i--, crc >>= 4)
        start[i] = hex_digits[crc & 15];
    start[0] = '\n';
    self->area->used += size + FRAME_BYTES;
}

/* The bytes of a text that is to be copied as it is: one line of ASCII; NULL: it is not (no exception set). */
static const char *plain_bytes(PyObject *text, Py_ssize_t *size)
{
    const char *data = PyUnicode_AsUTF8AndSize(text, size);
    if (data == NULL) {
        PyErr_Clear(); /* a surrogate alone */
        return NULL;
    }
    if (PyUnicode_GetLength(text) != *size || memchr(data, '\n', (size_t)*size) != NULL)
        return NULL;
    return data;
}

/* Gives a payload that cannot be written here to the Python road, or keeps it where that would do no more. */
static PyObject *pass_on(Line *self, PyObject *payload)
{
    PyObject *taker = self->late;
    Py_ssize_t size = PyUnicode_GetLength(payload) + KEPT_BYTES;
    if (self->area == NULL && self->keep != NULL && size <= self->keep_room && is_own(self) &&
        is_before(self->keep_until)) {
        taker = self->keep;
        self->keep_room -= size;
    }
    if (taker == NULL) {
        PyErr_SetString(PyExc_ValueError, "the journal is gone");
        return NULL;
    }
    Py_INCREF(taker); /* it may be replaced meanwhile */
    PyObject *done = PyObject_CallFunctionObjArgs(taker, payload, NULL);
    Py_DECREF(taker);
    return done;
}

static PyObject *line_append(Line *self, PyObject *payload)
{
    Py_ssize_t size;
    const char *data;
    char *start;
    if (!PyUnicode_Check(payload)) {
        PyErr_SetString(PyExc_TypeError, "a payload is a text");
        return NULL;
    }
    if ((data = plain_bytes(payload, &size)) == NULL || (start = room_for(self, size + FRAME_BYTES)) == NULL)
        return pass_on(self, payload);
    memcpy(start + FRAME_BYTES - 1, data, (size_t)size);
    frame(self, start, size);
    Py_RETURN_NONE;
}

static PyObject *line_pen(Line *self, PyObject *const *args, Py_ssize_t count);
static PyObject *line_new_pen(Line *self, PyObject *const *args, Py_ssize_t count);

static PyMethodDef line_methods[] = {
    {"aim", (PyCFunction)line_aim, METH_VARARGS, "aim(area, pid): write there from now on; None: nowhere."},
    {"hold", (PyCFunction)line_hold, METH_VARARGS,
     "hold(keep, pid, until, room): have payloads wait, up to a second and a number of bytes; None: no more."},
    {"append", (PyCFunction)line_append, METH_O, "Write one event."},
    {"pen", (PyCFunction)(void (*)(void))line_pen, METH_FASTCALL,
     "pen(pid, writer, part): what writes the events of one writer to a part another one has opened."},
    {"new_pen", (PyCFunction)(void (*)(void))line_new_pen, METH_FASTCALL,
     "new_pen(pid, prefix, number): what writes the events of a new part; its uid is the prefix and the number."},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef line_members[] = {
    {"check_at", T_DOUBLE, offsetof(Line, check_at), 0, "When the Python road is taken next, whatever comes."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot line_slots[] = {
    {Py_tp_new, line_new},           {Py_tp_dealloc, line_dealloc}, {Py_tp_traverse, line_traverse},
    {Py_tp_clear, line_clear},       {Py_tp_methods, line_methods}, {Py_tp_members, line_members},
    {Py_tp_doc, "Line(told, late)\n--\n\nWhere the events of this process go."},
    {0, NULL},
};
static PyType_Spec line_spec = {
    "jobspan._native.Line", sizeof(Line), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, line_slots};

/* --- Pen: the events of one writer. A circle through it is broken at its line. */

typedef struct {
    PyObject_HEAD
    Line *line;
    PyObject *writer, *part; /* texts; the part is NULL where it is the writer's own */
    long long next;
    int pid;
} Pen;

/* Takes over the reference to `writer`, which may be NULL, with an exception set. */
static PyObject *make_pen(Line *line, PyObject *pid, PyObject *writer, PyObject *part)
{
    Types *types = PyType_GetModuleState(Py_TYPE((PyObject *)line));
    long number = writer == NULL ? -1 : PyLong_AsLong(pid);
    Pen *pen = NULL;
    if (types != NULL && types->pen == NULL) /* the interpreter goes, and has cleared the module */
        PyErr_SetString(PyExc_RuntimeError, "the compiled part is gone");
    if (types != NULL && !PyErr_Occurred())
        pen = (Pen *)((allocfunc)PyType_GetSlot(types->pen, Py_tp_alloc))(types->pen, 0);
    if (pen == NULL) {
        Py_XDECREF(writer);
        return NULL;
    }
    pen->line = (Line *)Py_NewRef((PyObject *)line);
    pen->writer = writer;
    pen->part = Py_XNewRef(part);
    pen->pid = (int)number;
    return (PyObject *)pen;
}

static PyObject *line_pen(Line *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyUnicode_Check(args[1]) || !PyUnicode_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "pen(pid, writer, part)");
        return NULL;
    }
    return make_pen(self, args[0], Py_NewRef(args[1]), PyUnicode_GetLength(args[2]) ? args[2] : NULL);
}

static PyObject *line_new_pen(Line *self, PyObject *const *args, Py_ssize_t count)
{
    char uid[PREFIX_BYTES + 16];
    Py_ssize_t size;
    const char *prefix;
    if (count != 3 || !PyUnicode_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "new_pen(pid, prefix, number)");
        return NULL;
    }
    unsigned long long number = PyLong_AsUnsignedLongLong(args[2]);
    if (PyErr_Occurred() || (prefix = PyUnicode_AsUTF8AndSize(args[1], &size)) == NULL)
        return NULL;
    if (size > PREFIX_BYTES) {
        PyErr_SetString(PyExc_ValueError, "the prefix of the uid is too long");
        return NULL;
    }
    memcpy(uid, prefix, (size_t)size);
    for (int i = 15; i >= 0; i--, number >>= 4)
        uid[size + i] = hex_digits[number & 15];
    return make_pen(self, args[0], PyUnicode_FromStringAndSize(uid, size + 16), NULL);
}

static int pen_traverse(Pen *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->line);
    return 0;
}

static void pen_dealloc(Pen *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->line);
    Py_CLEAR(self->writer);
    Py_CLEAR(self->part);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static char *put(char *at, const char *data, Py_ssize_t size)
{
    memcpy(at, data, (size_t)size);
    return at + size;
}

static char *put_number(char *at, long long number)
{
    char digits[20];
    int count = 0;
    unsigned long long rest = number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
    do
        digits[count++] = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0)
        *at++ = '-';
    while (count)
        *at++ = digits[--count];
    return at;
}

/* The event as a text, for the Python road. */
static PyObject *pen_payload(const Pen *self, long long number, long long at_ns, PyObject *body)
{
    if (self->part == NULL)
        return PyUnicode_FromFormat("{\"w\":\"%U\",\"q\":%lld,\"t\":%lld,%U}", self->writer, number, at_ns, body);
    return PyUnicode_FromFormat("{\"w\":\"%U\",\"p\":\"%U\",\"q\":%lld,\"t\":%lld,%U}", self->writer, self->part,
                                number, at_ns, body);
}

static PyObject *pen_write(Pen *self, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t size, writer_size, part_size = 0;
    const char *writer, *part = NULL, *body;
    char *start = NULL;
    if (count != 2 || !PyUnicode_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "write(at_ns, body)");
        return NULL;
    }
    long long at_ns = PyLong_AsLongLong(args[0]);
    if (at_ns == -1 && PyErr_Occurred())
        return NULL;
    long long number = self->next++;
    if ((writer = plain_bytes(self->writer, &writer_size)) != NULL &&
        (self->part == NULL || (part = plain_bytes(self->part, &part_size)) != NULL) &&
        (body = plain_bytes(args[1], &size)) != NULL)
        start = room_for(self->line, FRAME_BYTES + ENVELOPE_BYTES + writer_size + part_size + size);
    if (start == NULL) {
        PyObject *payload = pen_payload(self, number, at_ns, args[1]);
        if (payload == NULL)
            return NULL;
        PyObject *done = pass_on(self->line, payload);
        Py_DECREF(payload);
        return done;
    }
    char *at = start + FRAME_BYTES - 1;
    at = put(at, "{\"w\":\"", 6);
    at = put(at, writer, writer_size);
    if (part != NULL) {
        at = put(at, "\",\"p\":\"", 7);
        at = put(at, part, part_size);
    }
    at = put(at, "\",\"q\":", 6);
    at = put_number(at, number);
    at = put(at, ",\"t\":", 5);
    at = put_number(at, at_ns);
    *at++ = ',';
    at = put(at, body, size);
    *at++ = '}';
    frame(self->line, start, at - (start + FRAME_BYTES - 1));
    Py_RETURN_NONE;
}

static PyMethodDef pen_methods[] = {
    {"write", (PyCFunction)(void (*)(void))pen_write, METH_FASTCALL, "write(at_ns, body): write one event."},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef pen_members[] = {
    {"pid", T_INT, offsetof(Pen, pid), READONLY, "The process it writes in."},
    {"uid", T_OBJECT_EX, offsetof(Pen, writer), READONLY, "The writer id of its events."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot pen_slots[] = {
    {Py_tp_dealloc, pen_dealloc},
    {Py_tp_traverse, pen_traverse},
    {Py_tp_methods, pen_methods},
    {Py_tp_members, pen_members},
    {Py_tp_doc, "Writes the events of one writer; made by `Line.pen`."},
    {0, NULL},
};
static PyType_Spec pen_spec = {
    "jobspan._native.Pen", sizeof(Pen), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, pen_slots};

/* --- Clock: the wall clock read once, plus one that only moves forward */

typedef struct {
    PyObject_HEAD
    long long offset_ns;
    int id;
} Clock;

static PyObject *clock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int id;
    long long offset_ns;
    static char *names[] = {"clock_id", "offset_ns", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iL:Clock", names, &id, &offset_ns))
        return NULL;
    Clock *self = (Clock *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self != NULL) {
        self->id = id;
        self->offset_ns = offset_ns;
    }
    return (PyObject *)self;
}

static PyObject *clock_now_ns(Clock *self, PyObject *ignored)
{
    struct timespec now;
    if (clock_gettime((clockid_t)self->id, &now) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyLong_FromLongLong(self->offset_ns + (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
}

static void clock_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef clock_methods[] = {
    {"now_ns", (PyCFunction)clock_now_ns, METH_NOARGS, "Return `offset_ns` plus the clock, in nanoseconds."},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef clock_members[] = {
    {"offset_ns", T_LONGLONG, offsetof(Clock, offset_ns), 0, "What is added to the clock."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot clock_slots[] = {
    {Py_tp_new, clock_new},         {Py_tp_dealloc, clock_dealloc},
    {Py_tp_methods, clock_methods}, {Py_tp_members, clock_members},
    {Py_tp_doc, "Clock(clock_id, offset_ns)\n--\n\nA clock of the system, moved by an offset."},
    {0, NULL},
};
static PyType_Spec clock_spec = {"jobspan._native.Clock", sizeof(Clock), 0, Py_TPFLAGS_DEFAULT, clock_slots};

/* --- the module */

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *type == NULL ? -1 : PyModule_AddType(module, *type);
}

static int module_exec(PyObject *module)
{
    Types *types = PyModule_GetState(module);
    make_crc_table();
    if (add_type(module, &area_spec, &types->area) < 0 || add_type(module, &line_spec, &types->line) < 0 ||
        add_type(module, &pen_spec, &types->pen) < 0 || add_type(module, &clock_spec, &types->clock) < 0)
        return -1;
    return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    Types *types = PyModule_GetState(module);
    Py_VISIT(types->area);
    Py_VISIT(types->line);
    Py_VISIT(types->pen);
    Py_VISIT(types->clock);
    return 0;
}

static int module_clear(PyObject *module)
{
    Types *types = PyModule_GetState(module);
    Py_CLEAR(types->area);
    Py_CLEAR(types->line);
    Py_CLEAR(types->pen);
    Py_CLEAR(types->clock);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_native", "The road of one event, compiled.", sizeof(Types), NULL,
    module_slots,          module_traverse, module_clear, NULL};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&module_def);
}
