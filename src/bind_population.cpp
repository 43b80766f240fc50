// SPDX-License-Identifier: BSD-3-Clause
// Many trainers run in one call.
#include <pybind11/stl.h>

#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include "population.h"
#include "py_given_epochs.h"
#include "py_trainer.h"

namespace fastrelu::python {
namespace {

constexpr const char* kRun = "a fit";

// Rows of a data set, a copy of each array that is given: members with one array share it.
using Orders = std::map<PyObject*, Order>;

// A member as Python gives it, and what the run leaves for Python. Made and destroyed by the thread
// that calls; while it lives, nobody may use the trainer or its network but what Lent lets.
struct Member {
  Member(const py::dict& given, std::size_t place, Orders& orders)
      : trainer(given["trainer"].cast<PyTrainer*>()),
        working(trainer->guard, kRun),
        writing(trainer->net->guard, kRun),
        data(given["data"].cast<PyDataSet*>()),
        rates(given["rates"]),
        number(place),
        epochs(given["epochs"].cast<std::size_t>()),
        asks(given["asks"].cast<bool>()),
        sampling(parse_sampling(given["sampling"].cast<std::string>())) {
    trainer->guard.disown();
    trainer->net->guard.disown();
    if (sampling == Sampling::blocks) throw py::value_error("sampling: expected no blocks");
    if (!given["given"].is_none()) {
      PyGivenEpochs& of_caller = given["given"].cast<PyGivenEpochs&>();
      ordering.emplace(of_caller.guard, kRun);
      if (of_caller.most_row >= data->rows) {
        throw py::value_error("rows: expected those of the data, got " +
                              std::to_string(of_caller.most_row));
      }
      given_epochs = of_caller.core.get();
    }
    if (!given["rows"].is_none()) {
      const py::object rows = given["rows"];
      auto found = orders.find(rows.ptr());
      if (found == orders.end()) {
        found = orders.emplace(rows.ptr(), as_order(rows, data->rows)).first;
      }
      order = found->second;
      subset = {order.data(), static_cast<std::size_t>(order.size())};
      if (subset.count == 0) throw py::value_error("rows: expected at least one, got none");
    }
  }

  template <class T>
  PopulationMember<T> as_core(Trainer<T>& core) const {
    PopulationMember<T> m;
    m.number = number;
    m.trainer = &core;
    m.data = &std::get<Data<T>>(data->data).view;
    m.subset = subset;
    m.sampling = sampling;
    m.epochs = epochs;
    m.constant_rate = py::isinstance<py::float_>(rates);
    if (m.constant_rate) m.learning_rate = rates.cast<double>();
    m.asks = asks;
    m.given = given_epochs;
    return m;
  }

  PyTrainer* trainer;
  const Working working;
  const Writing writing;
  std::optional<Working> ordering;
  PyDataSet* data;
  py::object rates;  // a number, or a function of the number of steps
  py::array_t<double, kInOrder> next_rates;
  Order order;
  Subset subset;
  GivenEpochs* given_epochs = nullptr;
  std::size_t number, epochs;
  bool asks;
  Sampling sampling;
  std::vector<EpochNumbers> numbers;
};

// The hooks of a run, which call Python.
struct Calls {
  std::deque<Member> members;
  py::object epoch_end, on_poll;
  std::atomic<std::uint64_t> epochs_made{0}, members_ended{0};

  // f() with the GIL, by any number of threads at once where there is none; `failed` where Python
  // raises.
  template <class R, class F>
  R call(R failed, F f) {
    const GilTaken gil;
    try {
      return f();
    } catch (py::error_already_set& raised) {
      keep(std::make_unique<py::error_already_set>(std::move(raised)));
    } catch (const py::cast_error& e) {
      PyErr_SetString(PyExc_TypeError, e.what());
      keep(std::make_unique<py::error_already_set>());
    }
    return failed;
  }
  bool has_failed() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return error_ != nullptr;
  }
  // What the first call that has failed has raised, if any has. Once all have returned.
  void raise() {
    if (error_) throw std::move(*error_);
  }

  static const double* rates(void* context, std::size_t i, std::size_t steps) {
    Calls& self = *static_cast<Calls*>(context);
    return self.call<const double*>(nullptr, [&]() -> const double* {
      Member& m = self.members[i];
      const Lent lent(m.trainer->guard, m.trainer->net->guard);
      m.next_rates = m.rates(steps);
      if (static_cast<std::size_t>(m.next_rates.size()) < steps) {
        throw py::cast_error("learning_rates: expected one for each step");
      }
      return m.next_rates.data();
    });
  }
  static void record(void* context, std::size_t i, const EpochNumbers& numbers) {
    Calls& self = *static_cast<Calls*>(context);
    self.members[i].numbers.push_back(numbers);
    self.epochs_made.fetch_add(1, std::memory_order_relaxed);
  }
  // The member is this thread's Python code's meanwhile.
  static bool at_epoch_end(void* context, std::size_t i) {
    Calls& self = *static_cast<Calls*>(context);
    return self.call(true, [&] {
      Member& m = self.members[i];
      const Lent lent(m.trainer->guard, m.trainer->net->guard);
      const EpochNumbers& n = m.numbers.back();
      return self.epoch_end(i, n.loss, n.learning_rate, n.seconds).cast<bool>();
    });
  }
  static void ended(void* context, std::size_t) {
    static_cast<Calls*>(context)->members_ended.fetch_add(1, std::memory_order_relaxed);
  }

  static bool poll(void* context) {
    Calls& self = *static_cast<Calls*>(context);
    return self.call(true, [&] {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (self.has_failed()) return true;
      return !self.on_poll.is_none() &&
             self.on_poll(self.epochs_made.load(), self.members_ended.load()).is(py::bool_(true));
    });
  }

 private:
  // Takes an error, if it is the first; another one is destroyed outside of the lock, since that
  // may run Python code.
  void keep(std::unique_ptr<py::error_already_set> raised) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (error_ == nullptr) error_.swap(raised);
  }

  std::mutex mutex_;  // nobody waits for Python with it
  std::unique_ptr<py::error_already_set> error_;
};

// -> whether all members have ended. `numbers` gets an array (epochs, 4) of each member, also where
// this raises: loss, learning rate, seconds, penalty.
bool run(const py::list& given, const py::object& epoch_end, const py::object& on_poll,
         py::list numbers) {
  const FpEnvironment environment;
  Calls calls;
  Orders orders;
  calls.epoch_end = epoch_end;
  calls.on_poll = on_poll;
  std::vector<PopulationMember<float>> float32;
  std::vector<PopulationMember<double>> float64;
  for (const py::handle& each : given) {
    calls.members.emplace_back(each.cast<py::dict>(), calls.members.size(), orders);
    const Member& member = calls.members.back();
    if (member.epochs == 0) continue;
    member.trainer->visit([&](auto& trainer) {
      if constexpr (std::is_same_v<ScalarT<decltype(trainer)>, float>) {
        float32.push_back(member.as_core(trainer));
      } else {
        float64.push_back(member.as_core(trainer));
      }
    });
  }
  bool finished = false;
  {
    const GilReleased release;
    const PopulationHooks hooks{&calls, &Calls::rates, &Calls::record, &Calls::at_epoch_end,
                                &Calls::ended};
    std::vector<std::unique_ptr<PopulationWork>> work;
    add_population_work(float32, work);
    add_population_work(float64, work);
    finished = run_population(work, float32.size() + float64.size(), hooks, {&Calls::poll, &calls});
  }
  for (const Member& member : calls.members) {
    const auto epochs = static_cast<py::ssize_t>(member.numbers.size());
    py::array_t<double> array({epochs, py::ssize_t{4}});
    for (py::ssize_t e = 0; e < epochs; ++e) {
      const EpochNumbers& n = member.numbers[static_cast<std::size_t>(e)];
      array.mutable_at(e, 0) = n.loss;
      array.mutable_at(e, 1) = n.learning_rate;
      array.mutable_at(e, 2) = n.seconds;
      array.mutable_at(e, 3) = n.penalty;
    }
    numbers.append(array);
  }
  calls.raise();
  return finished;
}

}  // namespace

void bind_population(py::module_& m) {
  m.def("run_population", &run, py::arg("members"), py::arg("epoch_end"), py::arg("on_poll"),
        py::arg("numbers"));
}

}  // namespace fastrelu::python
