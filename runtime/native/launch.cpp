// The warm launch path in C++. Mirrors runtime/launch.py, which is used where this extension is not built.

#include <nanobind/nanobind.h>

#include "launcher.h"
#include "router.h"

namespace {

// Python's slots of a class that is called and takes part in cycle collection.
template <typename T>
struct Slots {
  static PyObject *call(PyObject *self, PyObject *args, PyObject *keywords) {
    try {
      return (*nb::inst_ptr<T>(self))(args, keywords);
    } catch (nb::python_error &error) {
      error.restore();
    } catch (const std::exception &error) {
      PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
  }

  static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return nb::inst_ready(self) ? nb::inst_ptr<T>(self)->traverse(visit, arg) : 0;
  }

  static int clear(PyObject *self) {
    if (nb::inst_ready(self)) nb::inst_ptr<T>(self)->clear();
    return 0;
  }

  static inline PyType_Slot all[] = {{Py_tp_call, reinterpret_cast<void *>(call)},
                                     {Py_tp_traverse, reinterpret_cast<void *>(traverse)},
                                     {Py_tp_clear, reinterpret_cast<void *>(clear)},
                                     {0, nullptr}};
};

}  // namespace

NB_MODULE(_launch, m) {
  nb::set_leak_warnings(false);  // kernels held by module globals live until the interpreter ends
  m.doc() = "Launches prepared kernels with little host time.";
  nb::class_<Launcher>(m, "Launcher", nb::type_slots(Slots<Launcher>::all))
      .def(nb::init<const char *, uint64_t, nb::object, nb::object, nb::object, nb::object>(), nb::arg("path"),
           nb::arg("by_value"), nb::arg("miss"), nb::arg("on_call"), nb::arg("on_error"), nb::arg("on_misaligned"))
      .def("add", &Launcher::add, nb::arg("args"), nb::arg("spec"))
      .def("call", &Launcher::call_or_miss, nb::arg("args"), nb::arg("stream").none());
  nb::class_<Router>(m, "Router", nb::type_slots(Slots<Router>::all))
      .def(nb::init<uint64_t, nb::object>(), nb::arg("by_value"), nb::arg("on_call"))
      .def("add", &Router::add, nb::arg("args"), nb::arg("keywords"), nb::arg("target"), nb::arg("positions"));
}
