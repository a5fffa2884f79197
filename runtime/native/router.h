// Calls of a function that is compiled for its arguments: finds the kernel made for arguments like these.
#pragma once

#include "table.h"

class Router {
 public:
  Router(uint64_t by_value, nb::object on_call) : by_value_(by_value), on_call_(on_call) {}

  // Calls with such arguments go to `target`, with the arguments (keyword ones after positional ones) at `positions`.
  void add(nb::tuple args, nb::dict keywords, nb::object target, nb::tuple positions) {
    Arguments given;
    if (!reader_.read(args.ptr(), keywords.ptr(), by_value_, given)) return;
    auto route = std::make_shared<Route>();
    route->target = target;
    for (nb::handle position : positions) {
      route->positions.push_back(nb::cast<size_t>(position));
      if (route->positions.back() >= given.count) throw std::out_of_range("no such argument");
    }
    routes_.add(given, std::move(route));
  }

  PyObject *operator()(PyObject *args, PyObject *keywords) {
    Arguments given;
    std::shared_ptr<Route> route;
    if (reader_.read(args, keywords, by_value_, given)) route = routes_.find(given);
    if (!route) return PyObject_Call(on_call_.ptr(), args, keywords);
    nb::object chosen = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(route->positions.size())));
    Py_ssize_t next = 0;
    for (size_t position : route->positions) {
      PyTuple_SET_ITEM(chosen.ptr(), next++, Py_NewRef(given.values[position]));
    }
    return PyObject_Call(route->target.ptr(), chosen.ptr(), nullptr);
  }

  int traverse(visitproc visit, void *arg) {
    Py_VISIT(on_call_.ptr());
    if (int status = reader_.traverse(visit, arg)) return status;
    return routes_.traverse(visit, arg);
  }

  void clear() {
    routes_.clear();
    on_call_ = nb::none();
  }

 private:
  struct Route {
    nb::object target;
    std::vector<size_t> positions;
    int traverse(visitproc visit, void *arg) {
      Py_VISIT(target.ptr());
      return 0;
    }
  };

  uint64_t by_value_;
  nb::object on_call_;
  Reader reader_;
  Table<Route> routes_;
};
